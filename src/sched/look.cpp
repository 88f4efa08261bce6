// sched/look.cpp: what a P looks at on every 61st lap (inherited slices counted too), so that a run queue that never gets empty
// holds up nobody who is not in it: the clock and the slice, the timers, and all that would come next if the queue did get empty.
// Of the global queue and of the network it takes what its ring has room for, those first that have waited longest, to the end
// of the ring, and ends the chain that runs through `next`: so nobody overtakes the ring, and its oldest runs now. Where there is no
// room one comes in all the same, and the chain goes to the global queue for it. More would overflow there, and be overtaken.
// A goroutine that yields goes to the global queue when more wait there than a look takes in (yields_to_global() in lap.hpp): so
// the ring gets shorter while others wait. Where 61 laps are many milliseconds the monitor has the P look sooner (sysmon.cpp).
#include "sched/lap.hpp"
#include "sched/upcalls.hpp"
#include "work/netpoll.hpp"

#include <algorithm>

namespace weft {

namespace {

constexpr std::int64_t background_ns = 10'000'000;  // as often one of the background has a turn, however long a slice is
constexpr std::int64_t first_run_ns = 100'000;      // as often one that has never run is taken before its turn: global_runq.hpp
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

// One of the background, which runs at once: 10 ms after the turn of the last one has ended, or others would have none beside one
// that uses its slices up.
runnable* background_due(p* pp, std::int64_t now) noexcept {
  if (pp->ran_background) {
    pp->ran_background = false;
    lock_guard hold(sched.lock);
    sched.background_turn = now;
    return nullptr;
  }
  runnable* gp = take_background(now, background_ns);
  pp->ran_background = gp != nullptr;
  return gp;
}

// The oldest fork or task.
runnable* take_unstarted(p* pp) noexcept {
  if (!pp->forked.empty())
    if (runnable* r = pp->forked.steal()) return r;
  return task_hooks.any && task_hooks.any(pp) ? task_hooks.steal(pp) : nullptr;
}

// Up to so many of the global queue; of those in order no more than a fair share, of those that have never run none before its time.
void take_waiting(p* pp, std::int64_t now, std::uint32_t in_order, std::uint32_t never_run, g_list& found) noexcept {
  if (sched.global.size() == 0) return;
  lock_guard hold(sched.lock);
  const auto procs = static_cast<std::uint32_t>(sched.procs.load(std::memory_order_relaxed));
  const std::uint32_t first_runs = static_cast<std::uint32_t>(std::min<std::int64_t>({(now - pp->first_run_at) / first_run_ns, sched.global.never_run(), never_run}));
  if (first_runs != 0) pp->first_run_at = now;
  g_list waiting = sched.global.get_oldest(std::min(sched.global.in_order() / procs + 1, in_order), first_runs);
  while (runnable* gp = waiting.pop_front()) found.push_back(gp);
}

// Those that do not lie in the ring, to its end.
void take_in(p* pp, std::int64_t now) noexcept {
  const std::uint32_t ring = pp->queue.ring_size(), room = waiting_ring - std::min(ring, waiting_ring);
  g_list found;
  if (room > 2) {
    if (runnable* r = take_unstarted(pp)) found.push_back(r);
    take_waiting(pp, now, room - room / 2, room / 2, found);
  } else {
    for (int kind = 0; kind < 3 && found.empty(); kind++) {  // one of a kind, of each in turn
      switch (pp->look_turn++ % 3) {
        case 0: take_waiting(pp, now, 1, 0, found); break;
        case 1: take_waiting(pp, now, 0, 1, found); break;
        default:
          if (runnable* r = take_unstarted(pp)) found.push_back(r);
      }
    }
  }
  while (runnable* gp = found.pop_front()) put_back(pp, gp);
}

// No more than fit. Where few fit, the monitor sees to the network, each 10 ms or so.
void look_at_network(p* pp, std::int64_t now) noexcept {
  const std::uint32_t ring = pp->queue.ring_size();
  std::int64_t last = sched.last_poll.load(std::memory_order_relaxed);
  if (ring > waiting_ring || netpoll_waiters() == 0 || last == 0 || now - last <= poll_ns) return;
  if (sched.last_poll.compare_exchange_strong(last, now, std::memory_order_relaxed)) poll_network(pp, filled_ring - ring);
}

}  // namespace

void run_timers(p* owner, p* pp, std::int64_t now) noexcept {
  for (bool more = true; more;) {
    due_list due;
    const std::uint32_t fired = owner->timers.run(now, due);
    if (fired) pp->count.timers_fired.store(pp->count.timers_fired.load(std::memory_order_relaxed) + fired, std::memory_order_relaxed);
    more = due.full();
    for (std::uint32_t i = 0; i < due.started; i++) start_goroutine(due.functions[i].run, due.functions[i].arg);
    inject(due);
  }
}

void poll_network(p* pp, std::uint32_t most) noexcept {
  bump(pp->count.polls);
  g_list list = netpoll(0, most);
  inject(list, filled_ring);
}

runnable* take_background(std::int64_t now, std::int64_t pause_ns) noexcept {
  lock_guard hold(sched.lock);
  if (pause_ns != 0 && now - sched.background_turn < pause_ns) return nullptr;
  runnable* gp = sched.background.get(1).pop_front();
  if (gp) sched.background_turn = now;
  return gp;
}

runnable* look(p* pp) noexcept {
  pp->laps_left = laps_between_looks;
  const std::int64_t now = os::now_ns();
  pp->looked_at.store(now, std::memory_order_relaxed);  // [mo:own] for the monitor
  look_at_slice(pp, now);
  const std::uint32_t before = pp->queue.ring_size();
  run_timers(pp, pp, now);
  take_in(pp, now);
  look_at_network(pp, now);
  if (pp->queue.ring_size() > before) {
    end_chain(pp);
    if (somebody_could_come()) wakep();  // who looked while they were in neither queue saw nothing
  }
  return __builtin_expect(sched.background.size() != 0 || pp->ran_background, 0) ? background_due(pp, now) : nullptr;
}

}  // namespace weft
