// sched/park_until.cpp: see park_until.hpp.
#include "sched/park_until.hpp"

#include "goroutine/sudog.hpp"
#include "os/futex.hpp"
#include "sched/bubble.hpp"
#include "sched/call_c.hpp"
#include "sched/lap.hpp"

namespace weft {

namespace {

using detail::done_core;
using detail::wait_end;
using detail::wait_limit;

struct limited_park {
  heap_timer t;
  detail::sudog on_done;
  g* gp;
  commit_fn commit;
  void* arg;
  const wait_limit& limit;
  wait_end end = wait_end::woken;
};

// [mo:claim] acq_rel, pairs with the exchange in dequeue(): one of all who could wake gp does.
bool claim(g* gp) noexcept { return gp->claimed.exchange(1, std::memory_order_acq_rel) == 0; }

void fire(heap_timer* t, due_list& due) noexcept {
  auto* lp = static_cast<limited_park*>(t->arg);
  g* gp = lp->gp;
  if (!claim(gp)) return;
  lp->end = wait_end::timed_out;
  due.push_back(gp);
}

/// Puts gp among those whom d wakes; false when it is done already.
bool join_locked(done_core& d, detail::sudog& s, g* gp) noexcept {
  if (d.done.load(std::memory_order_relaxed)) return false;
  s.gp = gp;
  s.contested = true;
  push_back(d.waiters, &s);
  return true;
}
void leave(done_core& d, detail::sudog& s) noexcept {
  lock_word(d.lock);
  if (s.queued) remove(d.waiters, &s);
  unlock_word(d.lock);
}

// Whatever is set up first may wake gp before the rest is, so each step must keep its frame alive for the next. Timer and
// cancellation are set up under the cancellation's lock, which gp takes in leave(). What the caller waits for comes last: its lock
// is the caller's to take again, and commit_arg stays as it is until commit has read it.
bool commit_limited(g* gp) noexcept {
  auto* lp = static_cast<limited_park*>(gp->commit_arg);
  const commit_fn commit = lp->commit;
  const std::int64_t deadline = lp->limit.deadline;
  const bool timed = deadline != wait_limit::never, polls = (gp->flags & g_bubbled) == 0;
  bool parked = true;
  gp->commit_arg = lp->arg;
  bool first_of_all = false;
  if (done_core* d = lp->limit.done) {
    lock_word(d->lock);
    if (join_locked(*d, lp->on_done, gp)) {
      if (timed) first_of_all = timers_of(gp, this_m()).add(&lp->t);
    } else {
      const bool won = claim(gp);
      WEFT_INVARIANT(won, "park_until: woken before it waits");
      lp->end = wait_end::cancelled;
      parked = false;
    }
    unlock_word(d->lock);
  } else if (timed) {
    first_of_all = timers_of(gp, this_m()).add(&lp->t);
  }
  const bool committed = commit(gp);
  WEFT_INVARIANT(committed, "park_until: commit refused");
  if (first_of_all && polls) wake_poller(deadline, this_m()->pp ? who_else::nobody : who_else::a_searcher);
  return parked;
}

bool thread_joins(done_core& d, detail::sudog& s, g* gp) noexcept {
  lock_word(d.lock);
  const bool in_time = join_locked(d, s, gp);
  unlock_word(d.lock);
  return in_time;
}

wait_end thread_until(g* gp, commit_fn commit, void* arg, wait_reason why, const wait_limit& limit) noexcept {
  refuse_in_call_c(why);
  refuse_in_forked_child();
  gp->set_why(why);
  gp->commit_arg = arg;
  gp->wakeup.store(0, std::memory_order_relaxed);
  gp->status.store(g_status::waiting, std::memory_order_release);  // [mo:status]
  detail::sudog on_done;
  wait_end end = wait_end::woken;
  const bool at_once = limit.done && !thread_joins(*limit.done, on_done, gp) && claim(gp);
  static_cast<void>(commit(gp));
  if (at_once) end = wait_end::cancelled;
  // [mo:wakeup] acquire, pairs with the release in ready().
  while (!at_once && gp->wakeup.load(std::memory_order_acquire) == 0) {
    if (limit.deadline == wait_limit::never || end == wait_end::timed_out) {
      os::futex_wait(gp->wakeup, 0);
      continue;
    }
    const std::int64_t left = limit.deadline - os::now_ns();
    if (left > 0) {
      os::futex_wait(gp->wakeup, 0, left);
    } else {
      end = wait_end::timed_out;
      if (claim(gp)) break;
    }
  }
  // Too late by a hair: somebody's wake-up was under way, and that one counts.
  if (gp->wakeup.load(std::memory_order_acquire) != 0) end = wait_end::woken;  // [mo:wakeup]
  gp->status.store(g_status::running, std::memory_order_relaxed);
  if (limit.done) leave(*limit.done, on_done);
  return on_done.served ? wait_end::cancelled : end;
}

}  // namespace

wait_end park_until(runnable* caller, commit_fn commit, void* arg, wait_reason why, const wait_limit& limit) noexcept {
  g* gp = static_cast<g*>(caller);
  if (gp->flags & g_thread) return thread_until(gp, commit, arg, why, limit);
  limited_park lp{.t = {}, .on_done = {}, .gp = gp, .commit = commit, .arg = arg, .limit = limit};
  lp.t.when = limit.deadline;
  lp.t.fire = &fire;
  lp.t.arg = &lp;
  const wait_on_bubble where(gp, limit.done ? limit.done->bubble : bubble_id_here());
  gp->flags |= g_claimable;
  park(&commit_limited, &lp, why);
  const bool is_end = !(gp->flags & g_claimable);  // of the world: unwind_all() took it
  gp->flags &= static_cast<std::uint16_t>(~g_claimable);
  if (limit.deadline != wait_limit::never && lp.end != wait_end::timed_out) timer_heap::remove(&lp.t);
  if (limit.done) leave(*limit.done, lp.on_done);
  if (is_end) return wait_end::timed_out;
  return lp.on_done.served ? wait_end::cancelled : lp.end;
}

namespace detail {

void finish(done_core& d) noexcept {
  g_list woken;
  lock_word(d.lock);
  if (!d.done.load(std::memory_order_relaxed)) {
    d.done.store(true, std::memory_order_release);  // [mo:done] pairs with the acquires of who asks without the lock
    // Each is claimed, so it waits for us to make it ready: its frame and its link are ours until then.
    while (sudog* s = dequeue(d.waiters)) woken.push_back(s->gp);
  }
  unlock_word(d.lock);
  while (runnable* gp = woken.pop_front()) ready(gp);
}

}  // namespace detail

}  // namespace weft
