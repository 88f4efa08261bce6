// sched/idle.cpp: Ms that sleep, and who wakes them.
//
// How no work is lost, with as few wake-ups as can be. Go's protocol (proc.go, "Worker thread parking/unparking").
//   A submitter makes its work visible (queue, global queue, timer), then looks at `spinning` and `idle_p_count`: wakep().
//     It wakes somebody only when nobody searches and a P is idle.
//   A searcher that finds work while it was the last one wakes the next (schedule.cpp, reset_spinning), so one wake-up for
//     many goroutines is enough.
//   A searcher that gives up first leaves the count of searchers, then looks at all sources once more (go_idle).
// The two that could both miss: the submitter's load of `spinning` after its store of work, and the searcher's load of the
// queues after its decrement of `spinning`. Both sides are store-then-load. The submitter is the frequent one, so it has only a
// compiler barrier, and the searcher has barrier_on_all_threads() between the two (work/thieves.hpp): then at least one
// of them sees the other.
#include "sched/bubble.hpp"
#include "sched/in_runtime.hpp"
#include "sched/lap.hpp"
#include "work/netpoll.hpp"

#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "os/memory.hpp"
#include "sched/report.hpp"
#include "sched/retake.hpp"

namespace weft {

scheduler sched;

namespace {

constexpr std::size_t least_thread_stack_bytes = 8 << 20;
timer_heap early_timers;  // from before there is a P

constexpr std::int64_t soon_ns = 1'000'000;
constexpr std::int64_t idle_thread_ns = 5'000'000'000;  // an idle thread ends after this

void put_idle_m_locked(m* mp) noexcept {
  mp->idle_prev = nullptr;
  mp->idle_next = sched.idle_ms;
  if (sched.idle_ms) sched.idle_ms->idle_prev = mp;
  sched.idle_ms = mp;
  mp->on_idle_list = true;
  sched.idle_m_count.store(sched.idle_m_count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void take_idle_m_locked(m* mp) noexcept {
  if (mp->idle_prev) mp->idle_prev->idle_next = mp->idle_next;
  else sched.idle_ms = mp->idle_next;
  if (mp->idle_next) mp->idle_next->idle_prev = mp->idle_prev;
  mp->on_idle_list = false;
  sched.idle_m_count.store(sched.idle_m_count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

void* thread_main(void* arg) {
  m* mp = static_cast<m*>(arg);
  bind_thread(mp);
  acquirep(mp, mp->next_p);
  mp->next_p = nullptr;
  schedule(mp);
  set_this_m(nullptr);
  drop_signal_stack(mp);
  lock_guard hold(sched.lock);
  mp->idle_next = sched.free_ms;
  sched.free_ms = mp;
  return nullptr;
}

[[noreturn]] void no_thread(int error) noexcept {
  begin_report();
  error_text() << "runtime: failed to create new OS thread (have " << sched.m_count.load() << " already; errno=" << error
               << ")\nruntime: may need to increase max user processes (ulimit -u), or the cgroup's pids.max\n";
  fatal("newosproc");
}

}  // namespace

void start_thread(m* mp) noexcept {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  // For the foreign code of call_c(); what is not touched is only address space.
  std::size_t bytes = 0;
  pthread_attr_getstacksize(&attr, &bytes);
  if (bytes < least_thread_stack_bytes) pthread_attr_setstacksize(&attr, least_thread_stack_bytes);
  int error = pthread_create(&mp->thread, &attr, &thread_main, mp);
  // The limit may count threads that have just ended.
  for (int tries = 1; error == EAGAIN && tries <= 20; tries++) {
    const timespec pause{0, tries * 1'000'000L};
    ::nanosleep(&pause, nullptr);
    error = pthread_create(&mp->thread, &attr, &thread_main, mp);
  }
  pthread_attr_destroy(&attr);
  if (error) no_thread(error);
}

namespace {

/// A new thread that starts with pp. One that is locked to a goroutine may have been changed by it (namespaces, affinity, credentials), and a
/// thread inherits all that from who makes it: then sysmon makes it, as for who lands on a stack that may be nearly full.
/// Source: Go's template thread.
void newm(p* pp, bool spinning) noexcept {
  m* mp = make_m();
  mp->next_p = pp;
  mp->spinning = spinning;
  if (const m* maker = this_m(); maker && (maker->locked_g || maker->ends || maker->lands)) {
    {
      lock_guard hold(sched.lock);
      mp->idle_next = sched.new_ms;
      sched.new_ms = mp;
    }
    wake_sysmon();
  } else {
    start_thread(mp);
  }
}

}  // namespace

m* make_m() noexcept {
  m* mp;
  {
    lock_guard hold(sched.lock);
    mp = sched.free_ms;
    if (mp) sched.free_ms = mp->idle_next;
  }
  if (mp) {
    ::new (static_cast<void*>(mp)) m();
  } else {
    void* memory = std::aligned_alloc(alignof(m_node), sizeof(m_node));
    if (!memory) fatal("out of memory: a thread's record");
    auto* node = ::new (memory) m_node;
    mp = ::new (static_cast<void*>(node->memory)) m();
    lock_guard hold(sched.lock);
    node->next = sched.all_ms.load(std::memory_order_relaxed);
    sched.all_ms.store(node, std::memory_order_release);  // [mo:all_ms]
  }
  lock_guard hold(sched.lock);
  mp->id = sched.next_m_id++;
  const int count = sched.m_count.fetch_add(1, std::memory_order_relaxed) + 1;
  if (count > sched.max_ms) {
    begin_report();
    error_text() << "runtime: program exceeds " << sched.max_ms << "-thread limit\n";
    fatal("thread exhaustion");
  }
  mp->random = random_source(sched.seed + mp->id * 0x9e3779b97f4a7c15);
  return mp;
}

void acquirep(m* mp, p* pp) noexcept {
  WEFT_INVARIANT(mp->pp == nullptr && pp->mp.load(std::memory_order_relaxed) == nullptr, "acquirep: already in use", pp->id);
  no_longer_displaced(mp);
  mp->pp = pp;
  pp->mp.store(mp, std::memory_order_release);  // [mo:p.m] pairs with the acquire in take_p_locked()
  pp->status.store(p::state::running, std::memory_order_relaxed);
  if (sched.long_laps || sched.gate.load(std::memory_order_relaxed) != 0) pp->attention.fetch_or(attention_always, std::memory_order_relaxed);
}

p* releasep(m* mp) noexcept {
  p* pp = mp->pp;
  WEFT_INVARIANT(pp != nullptr && pp->mp.load(std::memory_order_relaxed) == mp, "releasep: not ours");
  mp->pp = nullptr;
  pp->mp.store(nullptr, std::memory_order_relaxed);
  pp->status.store(p::state::idle, std::memory_order_relaxed);
  return pp;
}

void put_idle_p_locked(p* pp) noexcept {
  WEFT_INVARIANT(pp->queue.empty() || sched.stopping, "pidleput: P has work", pp->id);
  pp->link = sched.idle_ps;
  sched.idle_ps = pp;
  sched.idle_p_count.fetch_add(1, std::memory_order_seq_cst);  // [mo:idle]
}

p* get_idle_p_locked(const p* wanted) noexcept {
  p** at = &sched.idle_ps;
  while (wanted && *at && *at != wanted) at = &(*at)->link;
  if (!*at) at = &sched.idle_ps;
  p* pp = *at;
  if (!pp) return nullptr;
  *at = pp->link;
  pp->link = nullptr;
  if (__builtin_expect(sched.sysmon_deep.load(std::memory_order_relaxed), 0)) wake_sysmon();
  sched.idle_p_count.fetch_sub(1, std::memory_order_seq_cst);  // [mo:idle]
  return pp;
}

void wakep() noexcept {
  if (!somebody_could_come()) return;  // see the top of this file
  int none = 0;
  if (!sched.spinning.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) return;  // [mo:idle]
  p* pp;
  {
    lock_guard hold(sched.lock);
    pp = sched.stopping.load(std::memory_order_relaxed) ? nullptr : get_idle_p_locked();
    if (!pp) {
      const int before = sched.spinning.fetch_sub(1, std::memory_order_seq_cst);  // [mo:idle]
      WEFT_INVARIANT(before > 0, "wakep: negative count of spinning Ms", before);
      sched.need_spinning.store(true, std::memory_order_relaxed);
      return;
    }
  }
  startm(pp, true);
}

void startm(p* pp, bool spinning, m* wanted) noexcept {
  refuse_in_forked_child();
  sched.wakeups.fetch_add(1, std::memory_order_relaxed);
  m* mp;
  {
    lock_guard hold(sched.lock);
    mp = wanted && wanted->on_idle_list ? wanted : sched.idle_ms;
    if (mp) {
      take_idle_m_locked(mp);
      WEFT_INVARIANT(!mp->spinning && mp->next_p == nullptr, "startm: M is not idle");
      mp->spinning = spinning;
      mp->next_p = pp;
    } else if (sched.m_count.load(std::memory_order_relaxed) >= sched.soft_ms && !spinning) {
      // Enough threads: the P waits for the next that is free, or for sysmon's patience to end. In the same turn of the lock as the look
      // for an idle M: one that comes to rest now sees the P. In a world that stops nobody looks there.
      if (sched.stopping.load(std::memory_order_relaxed)) return p_stopped_locked(pp);
      pp->link = sched.waiting_ps;
      sched.waiting_ps = pp;
      return;
    }
  }
  if (mp) return mp->parked.wake();
  newm(pp, spinning);
}

std::int64_t give_memory_back(m* mp, std::int64_t now) noexcept {
  constexpr std::uint32_t keep = 2048;  // 8 MiB of a page each
  constexpr std::int64_t after_ns = 200'000'000, pace_ns = 500'000;
  if (stacks_warm() <= keep) return os::forever_ns;
  if (const std::uint64_t activity = stacks_activity(); activity != mp->stacks_seen) {
    mp->stacks_seen = activity;
    mp->stacks_still_at = now;
  }
  if (const std::int64_t left = mp->stacks_still_at + after_ns - now; left > 0) return left;
  return stacks_trim(keep) ? pace_ns : os::forever_ns;
}

void stopm(m* mp) noexcept {
  WEFT_INVARIANT(mp->pp == nullptr && !mp->spinning, "stopm: holding a P, or spinning");
  mp->parked.clear();
  const std::int64_t slept_at = os::now_ns();
  mp->vain_wakeups = slept_at - mp->slept_at < soon_ns ? static_cast<std::uint8_t>(std::min(mp->vain_wakeups + 1, 100)) : 0;
  mp->slept_at = slept_at;
  {
    lock_guard hold(sched.lock);
    if (p* pp = sched.waiting_ps; pp && !sched.stopping.load(std::memory_order_relaxed)) {  // for want of a thread
      sched.waiting_ps = pp->link;
      pp->link = nullptr;
      return acquirep(mp, pp);
    }
    put_idle_m_locked(mp);
  }
  check_deadlock();
  for (;;) {
    const std::int64_t until_trim = give_memory_back(mp, os::now_ns());
    if (mp->parked.sleep_for(std::min(until_trim, idle_thread_ns))) break;
    if (until_trim < idle_thread_ns) continue;
    check_deadlock();  // again: a thread may have been about to end at the first look
    if (mp->is_main) continue;
    lock_guard hold(sched.lock);
    if (!mp->on_idle_list) continue;  // somebody has just taken us: the wake-up is under way
    take_idle_m_locked(mp);
    sched.m_count.fetch_sub(1, std::memory_order_relaxed);
    return;  // without a P: schedule() returns and the thread ends
  }
  if (p* pp = mp->next_p) {
    mp->next_p = nullptr;
    acquirep(mp, pp);
  }
}

bool take_from_idle_list(m* mp) noexcept {
  lock_guard hold(sched.lock);
  if (!mp->on_idle_list) return false;
  take_idle_m_locked(mp);
  return true;
}

void wake_poller(std::int64_t when, who_else otherwise) noexcept {
  // [mo:poller] seq_cst, pairs with go_idle(): it stores last_poll = 0 and then reads the timers; we stored a timer and now read
  // last_poll. At least one sees the other.
  full_fence();
  if (sched.last_poll.load(std::memory_order_seq_cst) == 0) {
    const std::int64_t until = sched.poll_until.load(std::memory_order_seq_cst);  // [mo:poller]
    if (until == 0 || until > when) netpoll_break();
  } else if (otherwise == who_else::a_searcher) {
    wakep();
  }
}

void add_timer(heap_timer* t) noexcept {
  m* mp = this_m();
  const in_runtime inside(mp);
  const bool own = mp && mp->pp;
  if (bubble* b = bubble_here()) return static_cast<void>(b->timers.add(t));
  const std::int64_t when = t->when;  // once it is queued, it may fire and be gone
  p* pp = own ? mp->pp : sched.ps[0].load(std::memory_order_acquire);  // [mo:procs]
  if (pp) {
    if (pp->timers.add(t)) wake_poller(when, own ? who_else::nobody : who_else::a_searcher);
    return;
  }
  early_timers.add(t);
  // [mo:early] seq_cst: the timer, then the look for a P; adopt_early_timers() stores the Ps and then looks for timers.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sched.ps[0].load(std::memory_order_acquire)) adopt_early_timers();  // [mo:procs]
}

void adopt_early_timers() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);  // [mo:early]
  const std::int64_t when = early_timers.earliest();
  if (when == timer_heap::never) return;
  early_timers.move_to(sched.ps[0].load(std::memory_order_acquire)->timers);  // [mo:procs]
  wake_poller(when, who_else::a_searcher);
}

}  // namespace weft
