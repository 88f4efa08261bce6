// sched/carrier.cpp: see carrier.hpp.
#include "sched/carrier.hpp"

#include <coroutine>
#include <utility>

#include <weft/go.hpp>

#include "sched/park.hpp"
#include "sched/suspend.hpp"

namespace weft {

namespace {

constexpr std::uint32_t resting_carriers = 8;  // that a P keeps: each has a page of stack, at least

// The carrier is off its stack: whoever finds a coroutine on this P may use it.
bool commit_rest(g* gp) noexcept {
  p* pp = this_m()->pp;
  gp->link = pp->carriers;
  pp->carriers = gp;
  pp->carrier_count++;
  return true;
}

/// What this P runs next, as far as that can be said without g0; and whether it is for this carrier.
struct next_up {
  runnable* coroutine;  // for us
  g* goroutine;         // for a switch; null: g0 looks
};

[[gnu::always_inline]] inline next_up look_for_next(m* mp, p* pp) noexcept {
  // [mo:attention] relaxed, as in short_lap().
  if (__builtin_expect(pp->attention.load(std::memory_order_relaxed) != 0 || pp->laps_left <= 1, 0)) return {};
  pp->laps_left--;
  slice s;
  runnable* r = pp->queue.get(s);
  if (!r) {
    if (pp->timers.earliest() == timer_heap::never) r = pp->forked.take();
    if (!r) return {};
  }
  if (__builtin_expect((r->flags & g_coroutine) != 0, 1)) {
    if (s == slice::fresh) bump(pp->tick);
    bump(pp->count.short_switches);
    return {r, nullptr};
  }
  g* next = static_cast<g*>(r);
  if ((next->flags & g_long_only) != 0 || (mp->curg->flags & g_long_only) != 0) {
    choose(mp, next, s);
    return {};
  }
  if (next->flags & g_fresh) bind_stack(pp, next);
  bump(pp->tick, std::uint32_t{s == slice::fresh});
  return {nullptr, next};
}

// A goroutine's function.
void carry(void*) {
  runnable* r = current_g()->cargo;
  for (;;) {
    r->depth = 0;
    std::coroutine_handle<>::from_address(r->sp).resume();
    thread_state* t = self();  // anew: the coroutine may have parked us
    m* mp = t->mp;
    enter_runtime(mp);
    p* pp = mp->pp;  // it may also have lost us our P
    count_suspensions(t, pp);
    g* gp = mp->curg;
    if (__builtin_expect((gp->flags & g_locked) != 0, 0)) {  // its next part may run on any thread
      begin_report();
      error_text() << "weft: a coroutine has called lock_thread(), and waits or ends with it; only a goroutine can be locked to a thread\n";
      fatal("schedule: coroutine locked to a thread");
    }
    const next_up next = pp ? look_for_next(mp, pp) : next_up{};
    r = next.coroutine;
    if (__builtin_expect(r != nullptr, 1)) {
      leave_runtime(mp);
      continue;
    }
    if (!pp || pp->carrier_count >= resting_carriers) {
      if (next.goroutine) put_next(pp, next.goroutine);
      else if (pp && mp->chosen) put_next(pp, std::exchange(mp->chosen, nullptr));  // our end looks for the next anew
      count_started(pp);  // it was not counted as a goroutine, and its end will be
      leave_runtime(mp);
      return;
    }
    gp->set_why(wait_reason::rest);
    gp->status.store(g_status::waiting, std::memory_order_release);  // [mo:status]
    leave_stack(mp, gp, next.goroutine, &commit_rest);
    r = current_g()->cargo;
  }
}

}  // namespace

g* carrier_for(p* pp, runnable* r) noexcept {
  if (g* gp = resting_carrier_for(pp, r)) return gp;
  static constexpr go_options options{.name = "coroutines"};
  g* gp = detail::go_begin(0, 1, &options).gp;
  gp->creator = 0;
  gp->cargo = r;
  return go_prepare(gp, &carry);
}

void move_carriers(p* from, p* heir) noexcept {
  while (g* gp = from->carriers) {
    from->carriers = static_cast<g*>(gp->link);
    gp->link = heir->carriers;
    heir->carriers = gp;
  }
  heir->carrier_count += std::exchange(from->carrier_count, 0);
}

}  // namespace weft
