// sched/find_runnable.cpp: where the next goroutine comes from, in Go's order (proc.go, findRunnable):
// a stop of the world; what a short lap chose; every 61st lap a look at all that is not in the own queue (look.cpp); the own
// queue; the own timers; unstarted forks and tasks; the global queue; the poller; other Ps' queues, then their timers; and when there is
// nothing anywhere, the long way to sleep that loses no work (idle.cpp).
#include "sched/for_each_p.hpp"
#include "sched/lap.hpp"
#include "sched/retake.hpp"
#include "sched/upcalls.hpp"
#include "work/netpoll.hpp"

#include <time.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace weft {

extern "C++" {
__attribute__((weak)) extern constinit const task_hooks_t task_hooks = {};
}

namespace {

constexpr int watched_ps = 64;
constexpr std::int64_t nap_ns = 40'000;

// A fair share of the global queue, at most half a ring; the first to run, the rest into the own ring, which is empty.
runnable* take_global(p* pp) noexcept {
  g_list batch;
  {
    lock_guard hold(sched.lock);
    const std::uint32_t size = sched.global.size();
    const auto procs = static_cast<std::uint32_t>(sched.procs.load(std::memory_order_relaxed));
    batch = get_global_locked(pp, std::min({size, size / procs + 1, runq::capacity / 2}));
  }
  runnable* first = batch.pop_front();
  while (runnable* gp = batch.pop_front()) {
    const bool fits = pp->queue.try_put(gp);
    WEFT_INVARIANT(fits, "find_runnable: batch does not fit into an empty queue");
  }
  if (pp->queue.ring_size() != 0 && somebody_could_come()) wakep();  // who looked while they were in neither queue saw nothing
  return first;
}

runnable* stolen_one(p* pp, slice& s, runnable* gp) noexcept {
  bump(pp->count.steals);
  bump(pp->count.stolen);
  s = slice::fresh;
  return gp;
}

// Whether a thief would find something, by a look that costs no barrier; who is about to sleep looks again with one.
bool others_have_work(const p* pp) noexcept {
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    p* other = sched.ps[i].load(std::memory_order_acquire);  // [mo:procs]
    if (!other || other == pp) continue;
    if (other->queue.ring_size() != 0 || has_unstarted(other)) return true;
    if (other->queue.peek_next() && other->status.load(std::memory_order_relaxed) != p::state::running) return true;
  }
  return false;
}

// Four rounds over the others in random order.
runnable* steal_queued(m* mp, p* pp, slice& s, std::uint32_t n) noexcept {
  const stealing announced;
  for (int round = 0; round < 4; round++) {
    std::uint32_t at = mp->random.below(n), step = 1 + mp->random.below(n);
    while (std::gcd(step, n) != 1) step++;
    for (std::uint32_t i = 0; i < n; i++, at = (at + step) % n) {
      if (sched.stopping.load(std::memory_order_relaxed)) return nullptr;
      p* victim = sched.ps[at].load(std::memory_order_acquire);  // [mo:procs]
      if (!victim || victim == pp || !victim->queue.owner_knows()) continue;
      // A running owner is about to run its `next` itself; watch() takes those that stay.
      if (round == 3 && victim->status.load(std::memory_order_relaxed) != p::state::running) {
        if (runnable* gp = victim->queue.steal_next()) return stolen_one(pp, s, gp);
      }
      std::uint32_t count = 0;
      if (runnable* gp = victim->queue.steal_into(pp->queue, count)) {
        bump(pp->count.steals);
        pp->count.stolen.store(pp->count.stolen.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
        s = slice::fresh;
        return gp;
      }
      if (runnable* r = victim->forked.steal()) return stolen_one(pp, s, r);
      if (task_hooks.steal)
        if (g* gp = task_hooks.steal(victim)) return stolen_one(pp, s, gp);
    }
  }
  return nullptr;
}

// What others have queued, else what their timers have due.
runnable* steal_work(m* mp, p* pp, slice& s, std::int64_t& now) noexcept {
  const auto n = static_cast<std::uint32_t>(sched.procs.load(std::memory_order_relaxed));
  if (n <= 1) return nullptr;
  if (others_have_work(pp)) {
    now = os::now_ns();
    if (const std::int64_t began = now; mp->pace.may_steal(began)) {  // else watch() looks again
      const std::uint64_t before = pp->count.stolen.load(std::memory_order_relaxed);
      runnable* gp = steal_queued(mp, pp, s, n);
      now = os::now_ns();
      mp->pace.stole(pp->count.stolen.load(std::memory_order_relaxed) - before, began, now);
      if (gp) return gp;
    }
  }
  for (std::uint32_t i = 0, at = mp->random.below(n); i < n; i++, at = (at + 1) % n) {
    p* victim = sched.ps[at].load(std::memory_order_acquire);  // [mo:procs]
    if (!victim || victim == pp || victim->timers.earliest() == timer_heap::never) continue;
    if (now == 0) now = os::now_ns();
    if (victim->timers.earliest() > now) continue;
    run_timers(victim, pp, now);
    if (runnable* gp = pp->queue.get(s)) return gp;
  }
  return nullptr;
}

std::int64_t earliest_timer() noexcept {
  std::int64_t least = timer_heap::never;
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    const p* pp = sched.ps[i].load(std::memory_order_acquire);  // [mo:procs]
    if (pp) least = std::min(least, pp->timers.earliest());
  }
  return least;
}

// Whether any P has something that a searcher would take; a P to take it with, if so.
p* look_again_for_work() noexcept {
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    p* other = sched.ps[i].load(std::memory_order_acquire);  // [mo:procs]
    if (!other || (other->queue.empty() && !has_unstarted(other))) continue;
    lock_guard hold(sched.lock);
    return get_idle_p_locked();
  }
  return nullptr;
}

// What a watcher saw of a P.
struct glimpse {
  runnable* next = nullptr;
  std::uint64_t laps = 0;
};

// A P whose `next` is where it was and that has run nothing since the last look: its goroutine is busy with itself.
p* stuck_p(const p* pp, glimpse* seen, int from) noexcept {
  p* stuck = nullptr;
  const int procs = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < std::min(procs, watched_ps); i++) {
    p* other = sched.ps[(from + i) % procs].load(std::memory_order_acquire);  // [mo:procs]
    if (!other || other == pp) continue;
    const glimpse now{other->queue.peek_next(), laps_of(other)};
    if (now.next && now.next == seen[i].next && now.laps == seen[i].laps) stuck = other;
    seen[i] = now;
  }
  return stuck;
}

enum class verdict : std::uint8_t { search, sleep };

// A searcher that found nothing does not go to sleep at once while others run. It naps, still counted as a searcher, for two
// reasons. A goroutine in somebody's `next` is normally run by its owner within a microsecond: only if it is still there after
// the nap, and the owner has run nothing meanwhile, is it taken (Go waits 3 us, which a timer makes 50). And a pair that passes
// a value to and fro on one P submits work with every message: a searcher that went to sleep would be woken at once, for nothing,
// by a system call of the submitter. So after wake-ups in vain the naps are more; each is about as long as a wake-up takes.
verdict watch(m* mp, p* pp, slice& s, runnable*& taken) noexcept {
  glimpse seen[watched_ps];
  const int from = static_cast<int>(mp->random.below(max_procs));  // of more Ps than it can watch, others each time
  static_cast<void>(stuck_p(pp, seen, from));
  const int naps = mp->vain_wakeups < 2 ? 1 : 20;
  for (int nap = 0; nap < naps; nap++) {
    if (sched.stopping.load(std::memory_order_relaxed) || (pp->attention.load(std::memory_order_relaxed) & ~attention_always) != 0) return verdict::search;
    if (sched.procs.load(std::memory_order_relaxed) - sched.idle_p_count.load(std::memory_order_relaxed) <= 1) return verdict::sleep;  // nobody else runs
    const timespec pause{0, nap_ns};
    ::nanosleep(&pause, nullptr);
    if (others_have_work(pp) || sched.global.size() != 0) return verdict::search;
    if (p* victim = stuck_p(pp, seen, from)) {
      const stealing announced;
      runnable* gp = victim->queue.peek_next();
      if (gp && victim->queue.owner_knows() && victim->queue.steal_next_if(gp)) {
        taken = stolen_one(pp, s, gp);
        return verdict::search;
      }
    }
    // The poller's wait serves these better than a nap.
    if (netpoll_waiters() > 0 || pp->timers.earliest() != timer_heap::never) return verdict::sleep;
  }
  return verdict::sleep;
}

void begin_spinning(m* mp) noexcept {
  WEFT_INVARIANT(mp->pp->queue.empty(), "schedule: spinning with local work", mp->pp->id);
  mp->spinning = true;
  sched.spinning.fetch_add(1, std::memory_order_seq_cst);  // [mo:idle]
  sched.need_spinning.store(false, std::memory_order_relaxed);
}

// Chaos mode makes the windows of the protocols wide.
void chaos_delay(m* mp) noexcept {
  if (__builtin_expect(!sched.chaos, 1) || !mp->random.one_in(4)) return;
  const timespec pause{0, static_cast<long>(mp->random.below(100'000))};
  ::nanosleep(&pause, nullptr);
}

enum class after_sleep { search, end };

// Nothing anywhere. Gives the P up, makes sure once more that nothing came, blocks in the poller if nobody does, else sleeps.
after_sleep go_idle(m* mp, p* pp) noexcept {
  bool alone;
  {
    lock_guard hold(sched.lock);
    if (sched.stopping.load(std::memory_order_relaxed) || sched.global.size() != 0 || sched.background.size() != 0) return after_sleep::search;
    if (!mp->spinning && sched.need_spinning.load(std::memory_order_relaxed)) {
      begin_spinning(mp);
      return after_sleep::search;
    }
    p* released = releasep(mp);
    WEFT_INVARIANT(released == pp, "find_runnable: wrong P");
    put_idle_p_locked(pp);
    // The delicate part (idle.cpp, "How no work is lost"): a submitter that saw us spinning wakes nobody. So after leaving the
    // count of searchers, and not before, look at every source once more.
    if (mp->spinning) {
      mp->spinning = false;
      const int before = sched.spinning.fetch_sub(1, std::memory_order_seq_cst);  // [mo:idle]
      WEFT_INVARIANT(before > 0, "find_runnable: negative count of spinning Ms", before);
    }
    // With no P left that is held, whoever submits from now on takes this lock first, and sees what we have just written.
    alone = sched.idle_p_count.load(std::memory_order_relaxed) == sched.procs.load(std::memory_order_relaxed);
  }
  chaos_delay(mp);
  if (alone) full_fence();
  else barrier_on_all_threads();  // [mo:idle] pairs with fence_after_submit()
  chaos_delay(mp);
  p* again = nullptr;
  if (sched.global.size() != 0 || sched.background.size() != 0) {
    lock_guard hold(sched.lock);
    if (sched.global.size() != 0 || sched.background.size() != 0) again = get_idle_p_locked();
  }
  if (!again) again = look_again_for_work();
  if (again) {
    acquirep(mp, again);
    begin_spinning(mp);
    return after_sleep::search;
  }
  const std::int64_t until = earliest_timer();
  if ((until != timer_heap::never || netpoll_waiters() > 0) && !sched.stopping.load(std::memory_order_relaxed)) {
    const std::int64_t last = sched.last_poll.exchange(0, std::memory_order_seq_cst);  // [mo:poller]
    if (last != 0) {
      // [mo:poller] seq_cst: this store, then the look at the timers in the next lines; add_timer() does it the other way round.
      sched.poll_until.store(until, std::memory_order_seq_cst);
      const std::int64_t until_trim = give_memory_back(mp, os::now_ns());
      const std::int64_t now = os::now_ns();
      const std::int64_t soonest = std::min(until, earliest_timer());
      std::int64_t delay = soonest == timer_heap::never ? os::forever_ns : std::max<std::int64_t>(soonest - now, 0);
      delay = std::min(delay, until_trim);
      g_list list = netpoll(delay);
      sched.poll_until.store(0, std::memory_order_relaxed);
      sched.last_poll.store(os::now_ns(), std::memory_order_seq_cst);  // [mo:poller]
      {
        lock_guard hold(sched.lock);
        again = get_idle_p_locked();
      }
      if (!again) {
        inject(list);
      } else {
        acquirep(mp, again);
        bump(again->count.polls);
        inject(list);
        // The timer that it slept for is on some P: run it here. As a searcher we would find it too, and then wake the next one.
        const std::int64_t now_due = os::now_ns();
        const int n = sched.procs.load(std::memory_order_relaxed);
        for (int i = 0; i < n; i++) {
          p* other = sched.ps[i].load(std::memory_order_acquire);  // [mo:procs]
          if (other && other->timers.earliest() <= now_due) run_timers(other, mp->pp, now_due);
        }
        if (mp->pp->queue.ring_size() > 1) wakep();  // which came one by one
        return after_sleep::search;
      }
    } else if (until != timer_heap::never) {
      const std::int64_t polling_until = sched.poll_until.load(std::memory_order_seq_cst);  // [mo:poller]
      if (polling_until == 0 || polling_until > until) netpoll_break();
    }
  }
  stopm(mp);
  return mp->pp ? after_sleep::search : after_sleep::end;
}

}  // namespace

g_list get_global_locked(p* pp, std::uint32_t n) noexcept {
  const std::uint32_t in_order = std::min(n, sched.global.in_order());
  g_list out = sched.global.get(in_order, pp->fresh, n - in_order, 0);
  const int procs = sched.procs.load(std::memory_order_relaxed);
  for (int i = 1; i < procs && out.size < n; i++) {
    p* other = sched.ps[(pp->id + i) % procs].load(std::memory_order_relaxed);
    if (other->fresh.size() == 0) continue;
    g_list more = sched.global.get(0, other->fresh, 0, n - out.size);
    out.append(more);
  }
  return out;
}

runnable* find_runnable(m* mp, slice& s) noexcept {
  for (bool helps = false;;) {
    if (!mp->pp) {  // the goroutine that was here had lost its P
      refuse_in_forked_child();
      {
        lock_guard hold(sched.lock);
        no_longer_displaced(mp);
      }
      if (!regain_p(mp)) stopm(mp);
      if (!mp->pp) return nullptr;
    }
    p* pp = mp->pp;
    // [mo:attention] acq_rel: takes the bits first; each raiser's condition, stored before its bit, is seen below.
    if (pp->attention.load(std::memory_order_relaxed) != 0) {
      const bool all_long = sched.long_laps || sched.unwinding.load(std::memory_order_relaxed) || sched.gate.load(std::memory_order_relaxed) != 0;
      const std::uint32_t taken = pp->attention.exchange(all_long ? +attention_always : 0u, std::memory_order_acq_rel);
      helps = (taken & attention_help) != 0;
      if (taken & attention_preempt) pp->laps_left = 1;  // a whole slice has gone by: time to look at the clock, and at all else
      refuse_in_forked_child();
      if (pp->safe_point.load(std::memory_order_relaxed)) run_safe_point(pp);
    }
    if (sched.stopping.load(std::memory_order_acquire)) {  // [mo:stop]
      if (runnable* gp = mp->chosen) {
        mp->chosen = nullptr;
        put_next(pp, gp);
      }
      stop_here(mp);
      if (!mp->pp) return nullptr;
      continue;
    }
    if (runnable* gp = mp->chosen) {  // a fresh slice each time would let two that wake each other keep the others from running
      mp->chosen = nullptr;
      s = mp->chosen_slice;
      return gp;
    }
    s = slice::fresh;
    if (pp->laps_left <= 1 || (sched.chaos && mp->random.one_in(8))) {
      if (runnable* gp = look(pp)) return gp;
    } else {
      pp->laps_left--;
    }
    if (runnable* gp = pp->queue.get(s)) return gp;

    std::int64_t now = 0;
    if (pp->timers.earliest() != timer_heap::never) {
      now = os::now_ns();
      run_timers(pp, pp, now);
      if (runnable* gp = pp->queue.get(s)) return gp;
    }
    if (runnable* r = pp->forked.take()) return r;
    if (task_hooks.take) {
      if (g* gp = task_hooks.take(pp)) return gp;
    }
    if (sched.global.size() != 0 && !std::exchange(helps, false)) {  // where the one is that has just given way
      if (runnable* gp = take_global(pp)) return gp;
    }
    if (netpoll_waiters() > 0 && sched.last_poll.load(std::memory_order_relaxed) != 0) {
      poll_network(pp, netpoll_most, filled_ring);
      if (runnable* gp = pp->queue.get(s)) return gp;
    }
    // At most half as many searchers as there are busy Ps: enough for any load, and no storm on a quiet one.
    if (mp->spinning || 2 * sched.spinning.load(std::memory_order_relaxed) <
                            sched.procs.load(std::memory_order_relaxed) - sched.idle_p_count.load(std::memory_order_relaxed)) {
      if (!mp->spinning) begin_spinning(mp);
      if (runnable* gp = steal_work(mp, pp, s, now)) return gp;
      if (sched.global.size() != 0) continue;
    }
    // Not while a thief keeps its pace: what the others have comes first.
    if (__builtin_expect(sched.background.size() != 0, 0) && !(mp->spinning && others_have_work(pp))) {
      if (runnable* gp = take_background(pp, os::now_ns(), true)) return gp;
    }
    if (mp->spinning) {
      runnable* taken = nullptr;
      if (watch(mp, pp, s, taken) == verdict::search) {
        if (taken) return taken;
        continue;
      }
    }
    if (go_idle(mp, pp) == after_sleep::end) return nullptr;
  }
}

}  // namespace weft
