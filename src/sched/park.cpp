// sched/park.cpp: see park.hpp. The halves that need not be inlined, and yield.
#include "sched/park.hpp"

#include <sched.h>

#include <weft/this_goroutine.hpp>

#include "os/futex.hpp"
#include "sched/attach.hpp"
#include "sched/call_c.hpp"
#include "sched/unwind.hpp"
#include "sched/retake.hpp"

namespace weft {

g* current_or_thread() noexcept {
  g* gp = current_g();
  return gp ? gp : this_threads_g();
}

void park_anyone(runnable* caller, commit_fn commit, void* arg, wait_reason why) noexcept {
  g* gp = static_cast<g*>(caller);  // its own G, as current_or_thread() gave it
  if (!(gp->flags & g_thread)) return park(commit, arg, why);
  refuse_in_call_c(why);
  refuse_in_forked_child();
  gp->set_why(why);
  gp->commit_arg = arg;
  gp->wakeup.store(0, std::memory_order_relaxed);
  gp->status.store(g_status::waiting, std::memory_order_release);  // [mo:status]
  if (commit(gp)) {
    // [mo:wakeup] acquire, pairs with the release in ready().
    while (gp->wakeup.load(std::memory_order_acquire) == 0) os::futex_wait(gp->wakeup, 0);
  }
  gp->status.store(g_status::running, std::memory_order_relaxed);
}

namespace this_goroutine {

std::uint64_t id() noexcept {
  const g* gp = current_g();
  if (!gp) gp = attached_g();
  if (!gp) return 0;
  return id_of(gp);
}

stack_use stack_usage() noexcept {
  const g* gp = current_g();
  if (!gp) return {0, 0};
  const auto* here = static_cast<const char*>(__builtin_frame_address(0));  // a local may lie in AddressSanitizer's own memory
  return {static_cast<std::size_t>(gp->stack.high - here), gp->stack.size()};
}

}  // namespace this_goroutine

namespace detail {

// A yield is about a hundred instructions, so each saved register counts: what happens seldom is called last, and does not come back.

namespace {

/// Behind all that are runnable here, unless it belongs elsewhere: then nothing is done.
[[gnu::always_inline]] inline bool queue_plainly(p* pp, g* gp) noexcept {
  return __builtin_expect(pp && (gp->flags & g_background) == 0 && sched.global.size() == 0 && pp->queue.try_put(gp), 1);
}
void queue(p* pp, g* gp) noexcept {
  if (queue_plainly(pp, gp)) return;
  if (!pp || (gp->flags & g_background) != 0) return put_global(gp);
  put_behind(pp, gp);
}
[[gnu::noinline]] void land_and_queue(m* mp, g* from) noexcept {
  yield_commit(from);
  leave_runtime(mp);
}
[[gnu::noinline]] void land_and_wake(m* mp) noexcept {
  mp->lands = true;
  wakep();
  mp->lands = false;
  leave_runtime(mp);
}
[[gnu::noinline]] void land_otherwise(commit_fn commit, g* from) noexcept { land(commit, from); }

/// With `taken`, if the queue gave one that is special.
[[gnu::noinline]] context_switch yield_otherwise(m* mp, runnable* taken, slice s) {
  if (!mp || !mp->curg) {
    ::sched_yield();
    return {nullptr, nullptr};
  }
  enter_runtime(mp);
  g* gp = mp->curg;
  p* pp = mp->pp;
  g* next;
  if (taken) {
    next = next_for(mp, pp, taken, s, holding::nothing);
    if (next) bump(pp->tick, std::uint32_t{s == slice::fresh});
  } else {
    next = short_lap(mp, pp, gp, holding::nothing);
  }
  if (!next && is_to_unwind(gp)) {
    leave_runtime(mp);
    unwind();
  }
  // Alone on this P, and nothing else asked for: go on. (The queue: who is g_long_only has no `next` though others wait.) And so does who has lost its P and finds another one.
  if (!next && (pp ? pp->laps_left > 1 && pp->attention.load(std::memory_order_relaxed) == 0 && !mp->chosen && pp->queue.empty() && sched.global.size() == 0 : regain_p(mp))) {
    if (pp && (gp->flags & g_long_only)) pp->laps_left--;  // for others short_lap() has counted it
    leave_runtime(mp);
    return {nullptr, nullptr};
  }
#if WEFT_ASAN || WEFT_TSAN
  leave_stack(mp, gp, next, &yield_commit);  // the sanitizers' calls must be made by the function that switches
  return {nullptr, nullptr};
#else
  return {gp, change_over(mp, mp->pp, gp, next)};
#endif
}

}  // namespace

bool yield_commit(g* gp) noexcept {
  m* mp = this_m();
  gp->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
  mp->lands = true;
  queue(mp->pp, gp);
  if (somebody_could_come()) wakep();
  mp->lands = false;
  return true;
}

context_switch yield_begin() {
  thread_state* t = self();
  m* mp = t->mp;
  WEFT_INVARIANT(t->locks == 0, "schedule: holding locks", t->locks);
#if WEFT_ASAN || WEFT_TSAN
  return yield_otherwise(mp, nullptr, slice::fresh);
#else
  if (__builtin_expect(!mp || !mp->curg || !try_enter_runtime(mp), 0)) return yield_otherwise(mp, nullptr, slice::fresh);
  g* gp = mp->curg;
  p* pp = mp->pp;
  slice s;
  runnable* taken;
  if (!may_lap_short(pp, gp) || !pp->queue.get_alone(taken, s)) return yield_otherwise(mp, nullptr, slice::fresh);
  pp->laps_left--;
  if (__builtin_expect((taken->flags & g_special) != 0, 0)) return yield_otherwise(mp, taken, s);
  bump(pp->tick, std::uint32_t{s == slice::fresh});
  g* next = static_cast<g*>(taken);
  return {gp, change_over(mp, pp, gp, next)};
#endif
}

// land(), for code that users compile.
void landed(commit_fn commit, g* from) noexcept {
  if (__builtin_expect(commit != &yield_commit, 0)) return land_otherwise(commit, from);
  m* mp = this_m();
  from->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
  if (!queue_plainly(mp->pp, from)) return land_and_queue(mp, from);
  if (somebody_could_come()) return land_and_wake(mp);
  leave_runtime(mp);
}

}  // namespace detail

void give_way() noexcept {
  m* mp = this_m();
  if (!mp || !mp->curg) {
    ::sched_yield();
    return;
  }
  enter_runtime(mp);
  leave_stack(mp, mp->curg, short_lap(mp, mp->pp, mp->curg, holding::nothing), &detail::yield_commit);
}

void give_way_as_asked() noexcept {
  thread_state* t = self();
  __atomic_store_n(&t->asked, 0u, __ATOMIC_RELAXED);
  if (t->mp && t->mp->curg && t->locks == 0) give_way();
}

void poll() {
  m* mp = this_m();
  if (!mp || !mp->curg) return;
  const p* pp = mp->pp;  // outside the runtime it may be another's by now, which does no harm
  if (!pp || pp->attention.load(std::memory_order_relaxed) != 0) this_goroutine::yield();
}

}  // namespace weft
