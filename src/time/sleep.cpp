// time/sleep.cpp: a goroutine that waits for a time: its own timer in its P's heap.
#include <algorithm>
#include <ctime>

#include <weft/this_goroutine.hpp>

#include "os/clock.hpp"
#include "os/futex.hpp"
#include "sched/attach.hpp"
#include "sched/bubble.hpp"
#include "sched/park.hpp"
#include "sched/call_c.hpp"
#include "sched/park_until.hpp"
#include "sched/unwind.hpp"

namespace weft {

namespace {

bool commit_sleep(g* gp) noexcept {
  const std::int64_t when = gp->sleep_timer.when;  // once it is queued, it may fire and gp go on
  m* mp = this_m();
  if (gp->flags & g_bubbled) gp->its_bubble->timers.add(&gp->sleep_timer, timer_heap::removal::never);
  else if (timers_here(mp).add(&gp->sleep_timer, timer_heap::removal::never)) wake_poller(when, mp->pp ? who_else::nobody : who_else::a_searcher);
  return true;
}

}  // namespace

namespace detail {

std::int64_t deadline_after_ns(std::int64_t ns) noexcept { return os::add_ns(time_here(), ns < 0 ? 0 : ns); }

std::int64_t bubble_ns() noexcept {
  const bubble* b = bubble_here();
  return b ? b->now.load(std::memory_order_relaxed) : -1;
}

void sleep_ns(std::int64_t ns) {
  if (ns <= 0) return;
  g* gp = current_g();
  if (!gp) {
    refuse_in_call_c(wait_reason::sleep);
    const thread_waits shown(wait_reason::sleep);
    for (const std::int64_t until = deadline_after_ns(ns); (ns = until - os::now_ns()) > 0;) {
      const timespec t = os::to_timespec(ns);
      ::nanosleep(&t, nullptr);
    }
    return;
  }
  if (world_unwinds()) {
    unwind_if_due();
    begin_contest(gp);
    static_cast<void>(park_until(gp, [](g*) noexcept { return true; }, nullptr, wait_reason::sleep, std::min(deadline_after_ns(ns), timer_heap::never - 1)));
    return unwind_if_due();
  }
  gp->sleep_timer.when = std::min(deadline_after_ns(ns), timer_heap::never - 1);  // as long as it may be, it is a timer
  gp->sleep_timer.arg = gp;
  gp->sleep_timer.fire = [](heap_timer* t, due_list& due) noexcept { due.push_back(static_cast<g*>(t->arg)); };
  park(&commit_sleep, nullptr, wait_reason::sleep);
}

bool sleep_within(const wait_limit& limit) {
  if (limit.deadline <= time_here()) return true;
  g* gp = current_or_thread();
  unwind_if_due();
  begin_contest(gp);
  const wait_end end = park_until(gp, [](g*) noexcept { return true; }, nullptr, wait_reason::sleep, limit);
  unwind_if_due();
  return end == wait_end::timed_out;
}

}  // namespace detail

}  // namespace weft
