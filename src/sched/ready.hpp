// sched/ready.hpp: the usual half of ready(), for those who know where they are; ready.cpp has the rest.
#pragma once

#include "sched/in_runtime.hpp"
#include "sched/lap.hpp"

namespace weft {

// What is seldom, called last, so that the usual half saves no registers; false, for awaiters, which end with that: it does not wait.
/// ready(r).
[[gnu::noinline]] bool ready_whoever(runnable* r) noexcept;
/// r is runnable, and on no queue. `outside`: the caller was outside the runtime, and is to be again.
[[gnu::noinline]] bool queue_somehow(m* mp, runnable* r, bool outside) noexcept;
/// The same with r queued, and `kicked` (or null) in its place. The caller is inside.
[[gnu::noinline]] bool queued(m* mp, runnable* kicked, bool outside) noexcept;

[[gnu::always_inline]] inline void make_runnable(runnable* r) noexcept {
  // [mo:status] acquire, pairs with the release in park(): the context is complete.
  const g_status was = r->status.load(std::memory_order_acquire);
  WEFT_INVARIANT(was == g_status::waiting, "ready: bad g status", static_cast<int>(was), r);
  r->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
}

/// ready() for a coroutine's code: that is on a goroutine's stack, and outside the runtime.
[[gnu::always_inline]] inline bool ready_from_coroutine(runnable* r) noexcept {
  if (__builtin_expect((r->flags & (g_thread | g_bubbled | g_background)) != 0, 0)) return ready_whoever(r);
  make_runnable(r);
  m* mp = this_m();
#if WEFT_SLOW_CHECKS
  WEFT_INVARIANT(mp && mp->curg && !mp->in_rt.load(std::memory_order_relaxed), "ready: a coroutine's code is not on a goroutine's stack");
#endif
  if (!try_enter_runtime(mp)) return queue_somehow(mp, r, true);
  p* pp = mp->pp;
  runnable* kicked;
  if (__builtin_expect(!pp || sched.chaos, 0) || !pp->queue.exchange_next_alone(r, kicked)) return queue_somehow(mp, r, true);
  bump(pp->count.readies);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // [mo:idle] fence_after_submit() where there is membarrier: as there are no thieves
  if (kicked || idle_p_unwatched()) return queued(mp, kicked, true);
  leave_runtime(mp);
  return false;
}

}  // namespace weft
