// sched/park_until.cpp: see park_until.hpp.
#include "sched/park_until.hpp"

#include "os/futex.hpp"

namespace weft {

namespace {

struct timed_park {
  timer t;
  g* gp;
  commit_fn commit;
  void* arg;
  bool timed_out = false;
};

void fire(timer* t, g_list& woken) noexcept {
  auto* tp = static_cast<timed_park*>(t->arg);
  g* gp = tp->gp;
  // [mo:claim] acq_rel, pairs with the exchange in dequeue().
  if (gp->claimed.exchange(1, std::memory_order_acq_rel) != 0) return;
  tp->timed_out = true;
  woken.push_back(gp);
}

// The timer first: once the list's lock is free, somebody may wake gp, and its frame is gone. Should the timer fire
// before, gp comes back and waits for that lock, so commit_arg stays as it is until commit has read it.
bool commit_timed(g* gp) noexcept {
  auto* tp = static_cast<timed_park*>(gp->commit_arg);
  const commit_fn commit = tp->commit;
  gp->commit_arg = tp->arg;
  self()->mp->pp->timers.add(&tp->t);
  const bool committed = commit(gp);
  WEFT_INVARIANT(committed, "park_until: commit refused");
  return true;
}

bool thread_until(g* gp, commit_fn commit, void* arg, wait_reason why, std::int64_t deadline) noexcept {
  gp->why = why;
  gp->commit_arg = arg;
  gp->wakeup.store(0, std::memory_order_relaxed);
  gp->status.store(g_status::waiting, std::memory_order_release);  // [mo:status]
  static_cast<void>(commit(gp));
  bool in_time = true;
  // [mo:wakeup] acquire, pairs with the release in ready().
  while (gp->wakeup.load(std::memory_order_acquire) == 0) {
    const std::int64_t left = deadline - os::now_ns();
    if (left > 0) {
      os::futex_wait(gp->wakeup, 0, left);
    } else if (in_time) {
      // [mo:claim] If somebody was faster, the wake-up is under way and must be waited for.
      if (gp->claimed.exchange(1, std::memory_order_acq_rel) == 0) return gp->status.store(g_status::running, std::memory_order_relaxed), false;
      in_time = false;
    } else {
      os::futex_wait(gp->wakeup, 0);
    }
  }
  gp->status.store(g_status::running, std::memory_order_relaxed);
  return true;
}

}  // namespace

bool park_until(g* gp, commit_fn commit, void* arg, wait_reason why, std::int64_t deadline) noexcept {
  if (gp->flags & g_thread) return thread_until(gp, commit, arg, why, deadline);
  timed_park tp{};
  tp.gp = gp;
  tp.t.when = deadline;
  tp.t.fire = &fire;
  tp.t.arg = &tp;
  tp.commit = commit;
  tp.arg = arg;
  park(&commit_timed, &tp, why);
  if (!tp.timed_out) timer_heap::remove(&tp.t);
  return !tp.timed_out;
}

}  // namespace weft
