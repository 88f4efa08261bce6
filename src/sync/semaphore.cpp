// sync/semaphore.cpp: see semaphore.hpp.
#include "sync/semaphore.hpp"

#include "goroutine/sudog.hpp"
#include "sched/park_until.hpp"

namespace weft::detail {

namespace {

bool commit_unlock(g* gp) noexcept {
  unlock_word(static_cast<semaphore_core*>(gp->commit_arg)->lock);
  return true;
}

}  // namespace

void acquire(semaphore_core& s, queue_end where, wait_reason why) noexcept {
  lock_word(s.lock);
  if (s.permits > 0) {
    s.permits--;
    unlock_word(s.lock);
    return;
  }
  sudog me;
  me.gp = current_or_thread();
  if (where == queue_end::front) push_front(s.waiters, &me);
  else push_back(s.waiters, &me);
  park_anyone(me.gp, &commit_unlock, &s, why);
}

bool acquire_unless_unwound(semaphore_core& s, wait_reason why) noexcept {
  if (!world_unwinds()) return acquire(s, queue_end::back, why), true;
  lock_word(s.lock);
  if (s.permits > 0) {
    s.permits--;
    unlock_word(s.lock);
    return true;
  }
  sudog me;
  me.gp = current_or_thread();
  me.contested = true;
  begin_contest(me.gp);
  push_back(s.waiters, &me);
  if (park_until(me.gp, &commit_unlock, &s, why, wait_limit::never)) return true;
  lock_word(s.lock);
  const bool in_queue = me.queued;
  if (in_queue) remove(s.waiters, &me);
  unlock_word(s.lock);
  if (!in_queue) acquire(s, queue_end::back, why);  // who took it off has a permit for it
  return !in_queue;
}

bool release(semaphore_core& s) noexcept {
  lock_word(s.lock);
  sudog* first = dequeue(s.waiters);
  if (!first) s.permits++;
  g* gp = first ? first->gp : nullptr;
  unlock_word(s.lock);
  if (gp) ready(gp);
  return gp != nullptr;
}

}  // namespace weft::detail
