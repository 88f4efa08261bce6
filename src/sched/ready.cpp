// sched/ready.cpp: waiting -> runnable. Who is made ready runs next on the waker's P, within its time slice, so a chain of
// wake-ups stays on one processor, warm; an idle P, if there is one, starts to look for the rest.
#include "sched/ready.hpp"

#include "sched/bubble.hpp"

#include "os/futex.hpp"

namespace weft {

namespace {

[[gnu::always_inline]] inline bool may_be_next(const p* pp, const runnable* gp) noexcept {
  return __builtin_expect(pp && (gp->flags & g_background) == 0 && !sched.chaos, 1);
}

// Where gp will go on: it has waited for long, as have those before it in the ring, which run meanwhile.
void prefetch_stack(const runnable* gp) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(gp->sp);
  __builtin_prefetch(reinterpret_cast<const void*>(at));
  __builtin_prefetch(reinterpret_cast<const void*>(at + 64));
}

void overflow(p* pp, runnable* gp) noexcept {
  g_list half, in_order, never_run;
  if (!pp->queue.take_half(half)) return put_back(pp, gp);  // thieves made room
  half.push_back(gp);
  while (runnable* r = half.pop_front()) ((r->flags & (g_fresh | g_taken_in)) == g_fresh ? never_run : in_order).push_back(r);
  fresh_batches fresh;
  if (!never_run.empty()) fresh.put(never_run);
  lock_guard hold(sched.lock);
  sched.global.put(in_order, fresh, pp->fresh);
}

}  // namespace

void put_back(p* pp, runnable* gp) noexcept {
  if (!pp->queue.try_put(gp)) overflow(pp, gp);
}

void put_behind(p* pp, runnable* gp) noexcept {
  if (!yields_to_global(pp)) return put_back(pp, gp);
  lock_guard hold(sched.lock);
  sched.global.put(gp);
}

void put_global(runnable* gp) noexcept {
  {
    lock_guard hold(sched.lock);
    (gp->flags & g_background ? sched.background : sched.global).put(gp);
  }
  wakep();
}

void put_next(p* pp, runnable* gp) noexcept {
  if (!may_be_next(pp, gp)) {
    if (!pp || (gp->flags & g_background) != 0) return put_global(gp);
    const std::uint32_t choice = this_m()->random.below(8);
    if (choice < 4) return put_back(pp, gp);  // not next
    if (choice == 4) {                        // and perhaps on another P
      lock_guard hold(sched.lock);
      return sched.global.put(gp);
    }
  }
  if (runnable* kicked = pp->queue.exchange_next(gp)) put_back(pp, kicked);
}

bool queue_somehow(m* mp, runnable* gp, bool outside) noexcept {
  if (outside) enter_runtime(mp);
  p* pp = mp ? +mp->pp : nullptr;
  if (pp) bump(pp->count.readies);
  put_next(pp, gp);
  wakep();
  if (outside) leave_runtime(mp);
  return false;
}

bool queued(m* mp, runnable* kicked, bool outside) noexcept {
  if (kicked) put_back(mp->pp, kicked);
  wakep();
  if (outside) leave_runtime(mp);
  return false;
}

namespace {

[[gnu::noinline]] void ready_otherwise(runnable* gp) noexcept {
  if (gp->flags & g_thread) {
    // [mo:wakeup] release, pairs with the acquire in park_anyone(). The thread may be gone right after, and its G with it:
    // a futex call on such an address is harmless.
    auto& wakeup = static_cast<g*>(gp)->wakeup;
    wakeup.store(1, std::memory_order_release);
    os::futex_wake(wakeup);
    return;
  }
  readied_in_bubble(static_cast<g*>(gp));
  make_runnable(gp);
  m* mp = this_m();
  queue_somehow(mp, gp, mp && !mp->in_rt.load(std::memory_order_relaxed));
}

}  // namespace

void ready(runnable* gp) noexcept {
  if (__builtin_expect((gp->flags & (g_thread | g_bubbled)) != 0, 0)) return ready_otherwise(gp);
  make_runnable(gp);
  m* mp = this_m();
  if (__builtin_expect(!mp, 0)) return void(queue_somehow(nullptr, gp, false));
  const bool outside = !mp->in_rt.load(std::memory_order_relaxed);
  if (outside && !try_enter_runtime(mp)) return void(queue_somehow(mp, gp, outside));
  p* pp = mp->pp;
  if (!may_be_next(pp, gp)) return void(queue_somehow(mp, gp, outside));
  bump(pp->count.readies);
  runnable* kicked = pp->queue.exchange_next(gp);
  if (kicked || somebody_could_come()) return void(queued(mp, kicked, outside));
  if (outside) leave_runtime(mp);
}

bool ready_whoever(runnable* r) noexcept {
  ready(r);
  return false;
}

void inject(g_list& list, std::uint32_t ring) noexcept {
  if (list.empty()) return;
  const std::uint32_t n = list.size;
  g_list now_runnable;
  while (runnable* gp = list.pop_front()) {
    if (__builtin_expect((gp->flags & (g_thread | g_bubbled)) != 0, 0)) {
      ready(gp);
      continue;
    }
    make_runnable(gp);
    if (__builtin_expect((gp->flags & g_background) != 0, 0)) put_global(gp);
    else now_runnable.push_back(gp);
  }
  m* mp = this_m();
  const in_runtime inside(mp);
  p* pp = mp ? +mp->pp : nullptr;
  const bool behind_others = pp && !pp->queue.empty();
  if (pp) {
    while (pp->queue.ring_size() < ring) {
      runnable* gp = now_runnable.pop_front();
      if (!gp) break;
      bump(pp->count.readies);
      prefetch_stack(gp);
      put_back(pp, gp);
    }
  }
  if (!now_runnable.empty()) {
    lock_guard hold(sched.lock);
    sched.global.put(now_runnable);
  }
  // One more P for each goroutine beyond the first that somebody must run: a searcher that finds work wakes the next.
  if (n > 1 || !pp || behind_others) wakep();
}

}  // namespace weft
