// sched/sysmon.cpp: the monitor: a thread of its own that holds no P, allocates nothing and looks at everything now and then.
// It takes Ps from calls that block and from goroutines that compute too long while others wait (design D3, D10), looks at a poller that
// nobody looks at, makes threads for those who may not (idle.cpp, newm), follows the machine's limits, and prints schedtrace lines.
// While goroutines are started by the thousand it makes their stacks ready (mem/stack.hpp).
// It looks each 20 us while there is something to do, then less and less often, at last each 10 ms; when all Ps are idle it sleeps
// until one is taken from the idle list. Source: Go's sysmon and retake (proc.go).
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>

#include "os/futex.hpp"
#include "sched/procs.hpp"
#include "sched/report.hpp"
#include "sched/retake.hpp"
#include "sched/traceback.hpp"
#include "work/netpoll.hpp"

namespace weft {

namespace {

constexpr std::int64_t shortest_ns = 20'000, longest_ns = 10'000'000;
constexpr std::int64_t patience_ns = 10'000'000;  // with what nobody needs at once; no slice, so WEFT_DEBUG=slice does not stretch it
constexpr std::int64_t call_ns = 20'000, stale_poll_ns = 10'000'000;
constexpr std::int64_t late_look_ns = 10'000'000;  // of a P, at its timers and at the global queue
constexpr std::int64_t courtesy_ns = 1'000'000;  // between being asked for a P and losing it

// For how long pp has made no lap: its goroutine has not been in the scheduler.
std::int64_t since_last_lap(p* pp, p::sight& s, std::int64_t now) noexcept {
  if (const std::uint64_t laps = laps_of(pp); laps != s.laps) {
    s.laps = laps;
    s.laps_since = now;
    s.asked_at = 0;
    s.reported = false;
  }
  return now - s.laps_since;
}

bool others_wait(p* pp, std::int64_t now) noexcept { return has_work(pp) || pp->timers.earliest() <= now || sched.background.size() != 0; }

// Nobody searches, and some P has more than it runs. Asked once a slice, for all Ps are looked at.
bool help_is_wanted(p::sight& s, std::int64_t now) noexcept {
  if (sched.spinning.load(std::memory_order_relaxed) + sched.idle_p_count.load(std::memory_order_relaxed) > 0) return false;
  if (now - s.helped_at < sched.slice_ns) return false;
  s.helped_at = now;
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    p* pp = sched.ps[i].load(std::memory_order_acquire);  // [mo:procs]
    if (pp && (pp->queue.ring_size() != 0 || has_unstarted(pp) || pp->timers.earliest() <= now)) return true;
  }
  return false;
}

// One that makes short calls in a loop is seen in a call nearly always, each time in another one, and is out of it before the P is
// taken. So it is asked: at the end of a call it gives way (syscall.cpp).
void ask_to_give_way_after_call(p* pp, p::sight& s, std::int64_t now) noexcept {
  const std::uint32_t bit = others_wait(pp, now) ? attention_preempt : help_is_wanted(s, now) ? attention_help : 0u;
  if (bit & ~pp->attention.load(std::memory_order_relaxed))
    pp->attention.fetch_or(bit, std::memory_order_release);  // [mo:attention]
}

// Its goroutine is in a call. True when the P was taken.
bool retake_from_call(p* pp, m* mp, p::sight& s, std::int64_t now, bool& look_again_soon) noexcept {
  const std::uint64_t calls = mp->calls.load(std::memory_order_acquire);  // [mo:calls]
  if ((calls & 1) == 0) return false;
  const bool long_slice = since_last_lap(pp, s, now) >= sched.slice_ns;
  if (calls != s.calls) {
    s.calls = calls;
    s.calls_since = now;
    pp->call_seen.store(calls, std::memory_order_relaxed);
    look_again_soon = true;  // whether it is still the same then
  }
  if (long_slice) ask_to_give_way_after_call(pp, s, now);
  if (now - s.calls_since < call_ns) return false;
  // Nobody needs it: leave it for when the call returns. But not for ever: its timers, and a world that is quiet, want it idle.
  if (!has_work(pp) && sched.spinning.load(std::memory_order_relaxed) + sched.idle_p_count.load(std::memory_order_relaxed) > 0 && now - s.calls_since < patience_ns) return false;
  {
    lock_guard hold(sched.lock);
    if (sched.stopping.load(std::memory_order_relaxed) || pp->mp.load(std::memory_order_relaxed) != mp) return false;
    if (mp->calls.load(std::memory_order_acquire) != calls || !take_p_from_call_locked(pp)) return false;  // [mo:calls]
    pp->guesses.store(p::guesses_after_long_call, std::memory_order_relaxed);
    bump(pp->count.retaken);
  }
  handoffp(pp);
  return true;
}

WEFT_UNSANITIZED void report_long_slice(const m* mp, std::int64_t ran_ns) noexcept {
  if (const g* gp = mp->curg) {
    error_text() << "weft: goroutine " << gp->id << (gp->name ? " " : "") << (gp->name ? gp->name : "") << ", started by goroutine " << gp->creator
                 << ", has run for " << ran_ns / 1'000'000 << " ms without a call of weft\n";
  }
}

void ask_to_give_way(p* pp, m* mp) noexcept {
  pp->attention.fetch_or(attention_preempt, std::memory_order_release);  // [mo:attention]
  lock_guard hold(sched.lock);  // a thread that has a P under it does not end
  if (pp->mp.load(std::memory_order_relaxed) != mp) return;
  if (mp->own) __atomic_store_n(&mp->own->asked, 1u, __ATOMIC_RELAXED);
  want_p_locked(pp);
}

// One that computes: asked to yield after its slice; and when it does not, and others wait, it goes on without the P. Where there is no
// membarrier only its own safe points can bring that about.
bool retake_from_hog(p* pp, m* mp, p::sight& s, std::int64_t now, bool& look_again_soon) noexcept {
  if (const std::uint32_t tick = pp->tick.load(std::memory_order_relaxed); tick != s.tick) {
    s.tick = tick;
    s.tick_since = now;
  }
  const std::int64_t ran = since_last_lap(pp, s, now);
  if (now - s.tick_since >= sched.slice_ns) ask_to_give_way(pp, mp);
  if (sched.report_slices_ns > 0 && ran >= sched.report_slices_ns && !s.reported) {
    s.reported = true;
    report_long_slice(mp, ran);
  }
  if (ran < sched.slice_ns || !others_wait(pp, now)) return false;
  if (sched.idle_p_count.load(std::memory_order_relaxed) > 0) {  // somebody else can have what waits
    wakep();
    return false;
  }
  if (s.asked_at == 0) s.asked_at = now;
  if (now - s.asked_at < courtesy_ns) {  // it may be about to come to a safe point, or to a poll(), and yield
    look_again_soon = true;
    return false;
  }
  if (sched.displaced.load(std::memory_order_relaxed) >= most_displaced()) return false;
  {
    lock_guard hold(sched.lock);
    if (sched.stopping.load(std::memory_order_relaxed) || pp->mp.load(std::memory_order_relaxed) != mp || laps_of(pp) != s.laps) return false;
    want_p_locked(pp);
    if (thieves.no_membarrier) pp->give_up_at = s.laps;
    m* from = take_p_locked(pp);
    if (!from) return false;
    from->displaced = true;
    sched.displaced.fetch_add(1, std::memory_order_relaxed);
    bump(pp->count.displaced);
  }
  handoffp(pp);
  return true;
}

// Whatever nobody was woken for: a P that was handed over is idle without having looked at the others' queues.
void see_to_idle_ps(std::int64_t now) noexcept {
  if (sched.idle_p_count.load(std::memory_order_relaxed) == 0 || sched.spinning.load(std::memory_order_relaxed) != 0) return;
  const bool polled = sched.last_poll.load(std::memory_order_relaxed) == 0;
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    p* pp = sched.ps[i].load(std::memory_order_acquire);  // [mo:procs]
    if (pp && ((pp->status.load(std::memory_order_relaxed) == p::state::running && pp->queue.ring_size() != 0) || (!polled && pp->timers.earliest() <= now))) return wakep();
  }
}

bool look_at_ps(std::int64_t now, bool& look_again_soon) noexcept {
  bool took = false;
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    p* pp = sched.ps[i].load(std::memory_order_acquire);  // [mo:procs]
    if (!pp || pp->status.load(std::memory_order_relaxed) != p::state::running) continue;
    m* mp = pp->mp.load(std::memory_order_acquire);  // [mo:p.m]
    if (!mp) continue;
    // Its laps are long, and it looks at what is not in its queue only now and then: the next one is to do it.
    const bool others = sched.global.size() != 0 || sched.background.size() != 0 || has_unstarted(pp);
    if (pp->timers.earliest() <= now - late_look_ns || (others && pp->looked_at.load(std::memory_order_relaxed) <= now - late_look_ns))
      pp->attention.fetch_or(attention_preempt, std::memory_order_release);  // [mo:attention]
    if (pp->seen.mp != mp) pp->seen = {.mp = mp, .calls_since = now, .laps_since = now, .tick_since = now};
    if (mp->calls.load(std::memory_order_acquire) & 1) took |= retake_from_call(pp, mp, pp->seen, now, look_again_soon);  // [mo:calls]
    else took |= retake_from_hog(pp, mp, pp->seen, now, look_again_soon);
  }
  return took;
}

// Whom it has fetched is in nobody's queue until inject(), and nobody waits for the network any more: who goes to sleep meanwhile must not
// take that for a deadlock. The lock, for then who sees that nobody waits sees the flag when it looks.
void look_at_poller(std::int64_t now) noexcept {
  if (netpoll_waiters() == 0) return;
  std::int64_t last = sched.last_poll.load(std::memory_order_relaxed);
  if (last == 0 || now - last < stale_poll_ns || !sched.last_poll.compare_exchange_strong(last, now, std::memory_order_relaxed)) return;
  const auto is_polling = [](bool is) {
    lock_guard hold(sched.lock);
    sched.monitor_polls = is;
  };
  is_polling(true);
  g_list list = netpoll(0);
  inject(list);
  is_polling(false);
  check_deadlock();  // who went to sleep meanwhile left it to us
}

// Threads that others asked for, for Ps that were given up, and one more for Ps that wait because there are so many.
void make_threads(std::int64_t now) noexcept {
  m* wanted;
  p *waiting = nullptr, *given;
  {
    lock_guard hold(sched.lock);
    wanted = sched.new_ms;
    sched.new_ms = nullptr;
    given = sched.given_ps;
    sched.given_ps = nullptr;
    if (sched.waiting_ps && now - sched.patience_ended > patience_ns && !sched.stopping.load(std::memory_order_relaxed)) {
      sched.patience_ended = now;
      waiting = sched.waiting_ps;
      sched.waiting_ps = waiting->link;
      waiting->link = nullptr;
    }
  }
  while (m* mp = wanted) {
    wanted = mp->idle_next;
    mp->idle_next = nullptr;
    start_thread(mp);
  }
  while (p* pp = given) {
    given = pp->link;
    pp->link = nullptr;
    handoffp(pp);
  }
  if (waiting) {
    m* mp = make_m();
    mp->next_p = waiting;
    start_thread(mp);
  }
}

WEFT_UNSANITIZED void print_trace(std::int64_t now) noexcept {
  static std::int64_t next = 0, started = 0;
  if (sched.trace_every_ns == 0 || now < next) return;
  if (started == 0) started = now;
  next = now + sched.trace_every_ns;
  const int n = sched.procs.load(std::memory_order_relaxed);
  error_text out;
  out << "SCHED " << (now - started) / 1'000'000 << "ms: gomaxprocs=" << n << " idleprocs=" << sched.idle_p_count.load(std::memory_order_relaxed)
      << " threads=" << sched.m_count.load(std::memory_order_relaxed) << " spinningthreads=" << sched.spinning.load(std::memory_order_relaxed)
      << " needspinning=" << (sched.need_spinning.load(std::memory_order_relaxed) ? 1 : 0) << " idlethreads=" << sched.idle_m_count.load(std::memory_order_relaxed)
      << " displaced=" << sched.displaced.load(std::memory_order_relaxed) << " runqueue=" << sched.global.size();
  if (!sched.trace_detail) out << " [";
  for (int i = 0; i < n; i++) {
    const p* pp = sched.ps[i].load(std::memory_order_acquire);  // [mo:procs]
    const std::uint32_t queued = pp->queue.ring_size() + (pp->queue.peek_next() ? 1 : 0);
    if (!sched.trace_detail) {
      out << (i ? " " : "") << queued;
      continue;
    }
    static constexpr const char* names[] = {"idle", "running", "stopped", "dead"};
    const m* mp = pp->mp.load(std::memory_order_acquire);  // [mo:p.m]
    const g* gp = mp ? mp->curg : nullptr;
    out << "\n  P" << i << ": status=" << names[static_cast<int>(pp->status.load(std::memory_order_relaxed))] << " schedtick=" << pp->tick.load(std::memory_order_relaxed) << " laps=" << laps_of(pp)
        << " m=" << (mp ? static_cast<std::int64_t>(mp->id) : -1) << " goroutine=" << (gp ? gp->id : 0) << " runqsize=" << queued;
  }
  out << (sched.trace_detail ? "\n" : "]\n");
}

// Sleeps for `ns`, or until woken, which it tells.
bool sleep(std::int64_t ns) noexcept {
  if (sched.sysmon_signal.load(std::memory_order_relaxed) == 0) os::futex_wait(sched.sysmon_signal, 0, ns);
  // [mo:sysmon] acquire, pairs with the release in wake_sysmon().
  return sched.sysmon_signal.exchange(0, std::memory_order_acquire) != 0;
}

void rest() noexcept {
  for (;;) {
    {
      lock_guard hold(sched.lock);
      const bool is_over = !sched.running.load(std::memory_order_relaxed) || sched.ending.load(std::memory_order_relaxed);
      if (!is_over) sched.sysmon_rests = false;
      else if (!sched.new_ms && !sched.given_ps) sched.sysmon_rests = true;
      if (!is_over) return;
    }
    make_threads(0);  // whose Ps the end waits for
    sleep(os::forever_ns);
  }
}

// For dumps, which say how long somebody has been waiting: some each second, and (nearly) all in a long sleep.
void note_waits(std::int64_t now, int times) noexcept {
  static std::int64_t next = 0;
  if (times == 1 && now < next) return;
  next = now + 1'000'000'000;
  while (times-- > 0) note_waiting(now);
}

// All Ps idle: until one is taken. The flag first, then the look, and the taker does it the other way round, under the lock.
bool sleep_deeply() noexcept {
  {
    lock_guard hold(sched.lock);
    if (sched.idle_p_count.load(std::memory_order_relaxed) != sched.procs.load(std::memory_order_relaxed) || sched.new_ms) return false;
    sched.sysmon_deep.store(true, std::memory_order_relaxed);
  }
  constexpr std::int64_t second = 1'000'000'000;
  const std::int64_t limit = sched.trace_every_ns ? sched.trace_every_ns : os::forever_ns;
  if (!sleep(std::min(limit, second))) {
    note_waits(os::now_ns(), 64);
    if (limit > second) sleep(limit == os::forever_ns ? limit : limit - second);
  }
  sched.sysmon_deep.store(false, std::memory_order_relaxed);
  return true;
}

void* sysmon(void*) {
  std::int64_t delay = shortest_ns;
  os::set_timer_slack_ns(1);
  rest();
  for (int quiet = 0;;) {
    if (!sched.running.load(std::memory_order_relaxed) || sched.ending.load(std::memory_order_relaxed)) rest();
    const std::int64_t now = os::now_ns();
    const monitored found = monitor(now);
    note_waits(now, 1);
    quiet = found.took_a_p ? 0 : quiet + 1;
    if (quiet == 0) delay = shortest_ns;
    else if (quiet > 50) delay = std::min(delay * 2, longest_ns);
    if (delay == longest_ns && sleep_deeply()) {
      quiet = 0;
      delay = shortest_ns;
    }
    if (!found.has_more_to_do) sleep(found.look_again_soon ? shortest_ns : delay);
  }
  return nullptr;
}

}  // namespace

monitored monitor(std::int64_t now) noexcept {
  monitored found;
  make_threads(now);
  look_at_poller(now);
  found.took_a_p = look_at_ps(now, found.look_again_soon);
  if (found.took_a_p) check_deadlock();  // who went to sleep meanwhile saw a P in our hand
  see_to_idle_ps(now);
  follow_procs(now);
  print_trace(now);
  // Not more at a time, or those wait whose Ps are to be taken: some 0.2 ms of the kernel's work.
  found.has_more_to_do = stacks_prepare(sched.stack_size_class, 64) != 0;
  return found;
}

void wake_sysmon() noexcept {
  // [mo:sysmon] release: what it is to do was stored before.
  if (sched.sysmon_signal.exchange(1, std::memory_order_acq_rel) == 0) os::futex_wake(sched.sysmon_signal);
}

void start_sysmon() noexcept {
  static bool made = false;
  if (made) return wake_sysmon();
  made = true;
  // Without any signal, which are for threads that run users' code.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const int error = pthread_create(&thread, &attr, &sysmon, nullptr);
  pthread_attr_destroy(&attr);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) {
    begin_report();
    error_text() << "runtime: failed to create the monitor's thread (errno=" << error << "); see ulimit -u, or the cgroup's pids.max\n";
    fatal("newosproc");
  }
}

void rest_sysmon() noexcept {
  for (;;) {
    {
      lock_guard hold(sched.lock);
      if (sched.sysmon_rests) return;
    }
    wake_sysmon();
    ::sched_yield();
  }
}

}  // namespace weft
