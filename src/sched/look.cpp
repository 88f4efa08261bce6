// sched/look.cpp: what a P looks at on every 61st lap (inherited slices counted too), so that a run queue that never gets empty
// holds up nobody who is not in it: the clock and the slice, the timers, and all that would come next if the queue did get empty.
// Of the global queue and of the network it takes what its ring has room for, those first that have waited longest, to the end
// of the ring, and ends the chain that runs through `next`: so nobody overtakes the ring, and its oldest runs now. Where there is no
// room one comes in all the same, and the chain goes to the global queue for it. More would overflow there, and be overtaken.
// While some wait in the global queue, who comes from the network goes behind them: one order for all.
// A goroutine that yields goes to the global queue when more wait there than a look takes in (yields_to_global() in lap.hpp): so
// the ring gets shorter while others wait. Where 61 laps are many milliseconds the monitor has the P look sooner (sysmon.cpp).
#include "sched/lap.hpp"
#include "sched/upcalls.hpp"
#include "work/netpoll.hpp"

#include <algorithm>

namespace weft {

namespace {

constexpr std::int64_t background_ns = 10'000'000;  // between turns of the background, at least; or that many times as long as the last
constexpr std::int64_t background_factor = 4;       // one took, for it gets what is left
constexpr std::int64_t first_run_ns = 100'000;      // as often the oldest is taken in of those that have never run: global_runq.hpp
constexpr std::uint32_t most_first_runs = 16;       // at one look
constexpr std::int64_t poll_ns = 1'000'000;         // at most as often somebody looks at the network though others are runnable

// Who would go on with the slice of the one that ran last gets one of his own, behind the others.
void end_chain(p* pp) noexcept {
  if (runnable* gp = pp->queue.steal_next()) put_behind(pp, gp);
}

void look_at_slice(p* pp, std::int64_t now) noexcept {
  if (pp->slice_tick != pp->tick) {
    pp->slice_tick = pp->tick;
    pp->slice_start = now;
  } else if (now - pp->slice_start > sched.slice_ns) {
    pp->slice_start = now;
    end_chain(pp);
  }
}

runnable* take_fork(p* pp) noexcept { return pp->forked.empty() ? nullptr : pp->forked.steal(); }

runnable* take_task(p* pp) noexcept { return task_hooks.any && task_hooks.any(pp) ? task_hooks.steal(pp) : nullptr; }

// The oldest fork or the oldest task, of each in turn: forks that never come to an end hold up no task.
runnable* take_unstarted(p* pp) noexcept {
  const bool task_first = pp->unstarted_turn++ % 2 != 0;
  if (runnable* r = task_first ? take_task(pp) : take_fork(pp)) return r;
  return task_first ? take_fork(pp) : take_task(pp);
}

// Those that have never run of a P that has some, of each in turn: its own look may be far off.
fresh_batches& fresh_of_any(p* pp, int procs) noexcept {
  if (sched.global.size() == sched.global.in_order()) return pp->fresh;
  const int first = pp->fresh_turn++;
  for (int i = 0; i < procs; i++) {
    p* other = sched.ps[(first + i) % procs].load(std::memory_order_acquire);  // [mo:procs]
    if (other && other->fresh.size() != 0) return other->fresh;
  }
  return pp->fresh;
}

// Up to so many of the global queue; of those in order no more than a fair share.
void take_waiting(p* pp, std::uint32_t in_order, std::uint32_t newest, std::uint32_t oldest, g_list& found) noexcept {
  const int procs = sched.procs.load(std::memory_order_relaxed);
  fresh_batches& fresh = oldest != 0 ? fresh_of_any(pp, procs) : pp->fresh;
  const bool some_in_order = in_order != 0 && sched.global.in_order() != 0;
  if (!some_in_order && (newest + oldest == 0 || fresh.size() == 0)) return;
  lock_guard hold(sched.lock);
  const std::uint32_t share = sched.global.in_order() / static_cast<std::uint32_t>(procs) + 1;
  g_list waiting = sched.global.get(std::min(share, in_order), fresh, newest, oldest);
  while (runnable* gp = waiting.pop_front()) found.push_back(gp);
}

// Those that do not lie in the ring, to its end.
bool take_in(p* pp, std::int64_t now) noexcept {
  const std::uint32_t ring = pp->queue.ring_size(), room = waiting_ring - std::min(ring, waiting_ring);
  g_list found;
  if (room > 1) {
    // Of those that have never run the oldest when their time has come; and one at each look, where there is not much else.
    const auto due = static_cast<std::uint32_t>(std::min<std::int64_t>({(now - pp->first_run_at) / first_run_ns, room / 2, most_first_runs}));
    if (due != 0) pp->first_run_at = now;
    while (found.size < std::max(due, 1u)) {
      runnable* r = take_unstarted(pp);
      if (!r) break;
      found.push_back(r);
    }
    const bool one = due == 0 && ring < most_first_runs, own = pp->fresh.size() != 0;
    take_waiting(pp, room - room / 2, one && own ? 1 : 0, one && !own ? 1 : due, found);
  } else {
    for (int kind = 0; kind < 3 && found.empty(); kind++) {  // one of a kind, of each in turn
      switch (pp->look_turn++ % 3) {
        case 0: take_waiting(pp, 1, 0, 0, found); break;
        case 1: take_waiting(pp, 0, 0, 1, found); break;
        default:
          if (runnable* r = take_unstarted(pp)) found.push_back(r);
      }
    }
  }
  const bool some = !found.empty();
  while (runnable* gp = found.pop_front()) {
    if (gp->flags & g_fresh) gp->flags |= g_taken_in;
    put_back(pp, gp);
  }
  return some;
}

// No more than fit; behind those in the global queue, which the monitor's look may have brought from the network before.
// Where few fit, the monitor sees to the network, each 10 ms or so.
bool look_at_network(p* pp, std::int64_t now) noexcept {
  const std::uint32_t ring = pp->queue.ring_size();
  std::int64_t last = sched.last_poll.load(std::memory_order_relaxed);
  if (ring > waiting_ring || netpoll_waiters() == 0 || last == 0 || now - last <= poll_ns) return false;
  if (!sched.last_poll.compare_exchange_strong(last, now, std::memory_order_relaxed)) return false;
  return poll_network(pp, filled_ring - ring, sched.global.in_order() != 0 ? 0 : filled_ring);
}

}  // namespace

bool has_unstarted(p* pp) noexcept { return !pp->forked.empty() || (task_hooks.any && task_hooks.any(pp)); }

bool run_timers(p* owner, p* pp, std::int64_t now) noexcept {
  bool some = false;
  for (bool more = true; more;) {
    due_list due;
    const std::uint32_t fired = owner->timers.run(now, due);
    if (fired) pp->count.timers_fired.store(pp->count.timers_fired.load(std::memory_order_relaxed) + fired, std::memory_order_relaxed);
    more = due.full();
    some = some || due.started != 0 || !due.empty();
    for (std::uint32_t i = 0; i < due.started; i++) start_goroutine(due.functions[i].run, due.functions[i].arg);
    inject(due);
  }
  return some;
}

bool poll_network(p* pp, std::uint32_t most, std::uint32_t ring) noexcept {
  bump(pp->count.polls);
  g_list list = netpoll(0, most);
  const bool some = !list.empty();
  inject(list, ring);
  return some;
}

runnable* take_background(p* pp, std::int64_t now, bool whatever) noexcept {
  lock_guard hold(sched.lock);
  if (!whatever && now < sched.background_due) return nullptr;
  runnable* gp = sched.background.get(1, pp->fresh, 0, 0).pop_front();
  if (!gp) return nullptr;
  pp->background_since = now;
  sched.background_due = now + background_ns;
  return gp;
}

void end_background(p* pp) noexcept {
  const std::int64_t now = os::now_ns();
  lock_guard hold(sched.lock);
  // At most a slice: what goes beyond it had no P for, or waited in a call; and with another P than it began with, nobody knows.
  const std::int64_t took = pp ? std::min(now - pp->background_since, background_ns) : 0;
  const std::int64_t due = now + std::max(background_ns, background_factor * took);
  sched.background_due = std::max(sched.background_due, due);  // another P's turn may have been longer
}

runnable* look(p* pp) noexcept {
  pp->laps_left = laps_between_looks;
  const std::int64_t now = os::now_ns();
  look_at_slice(pp, now);
  const bool fired = run_timers(pp, pp, now), waited = take_in(pp, now), ready = look_at_network(pp, now);
  pp->looked_at.store(now, std::memory_order_relaxed);  // [mo:own] for the monitor
  if (fired || waited || ready) {
    end_chain(pp);
    if (somebody_could_come()) wakep();  // who looked while they were in neither queue saw nothing
  }
  return __builtin_expect(sched.background.size() != 0, 0) ? take_background(pp, now, false) : nullptr;
}

}  // namespace weft
