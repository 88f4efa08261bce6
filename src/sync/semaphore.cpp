// sync/semaphore.cpp: see semaphore.hpp.
#include "sync/semaphore.hpp"

#include "goroutine/sudog.hpp"
#include "sched/park_until.hpp"
#include "sched/suspend.hpp"

namespace weft::detail {

namespace {

bool commit_unlock(g* gp) noexcept {
  unlock_word(static_cast<semaphore_core*>(gp->commit_arg)->lock);
  return true;
}

// A permit, if there is one; else the lock is left held.
bool take(semaphore_core& s) noexcept {
  lock_word(s.lock);
  if (s.permits == 0) return false;
  s.permits--;
  unlock_word(s.lock);
  return true;
}

void enqueue(semaphore_core& s, queue_end where, sudog& me, runnable* gp) noexcept {
  me.gp = gp;
  if (where == queue_end::front) push_front(s.waiters, &me);
  else push_back(s.waiters, &me);
}

}  // namespace

void acquire(semaphore_core& s, queue_end where, wait_reason why) noexcept {
  if (take(s)) return;
  sudog me;
  g* gp = current_or_thread();
  enqueue(s, where, me, gp);
  park_anyone(gp, &commit_unlock, &s, why);
}

// Who gives a permit and the limit compete for gp->claimed: if release() wins it, this wait ends as woken, with the permit; else
// release() passes over the entry, and looks for the next.
wait_end acquire(semaphore_core& s, queue_end where, wait_reason why, const wait_limit& limit) noexcept {
  if (limit.none() && !world_unwinds()) return acquire(s, where, why), wait_end::woken;
  if (take(s)) return wait_end::woken;
  sudog me;
  g* gp = current_or_thread();
  me.contested = true;
  begin_contest(gp);
  enqueue(s, where, me, gp);
  const wait_end end = park_until(gp, &commit_unlock, &s, why, limit);
  if (end == wait_end::woken) return end;
  lock_word(s.lock);
  if (me.queued) remove(s.waiters, &me);
  unlock_word(s.lock);
  return end;
}

bool try_acquire(semaphore_core& s) noexcept {
  lock_word(s.lock);
  const bool taken = s.permits > 0;
  s.permits -= taken;
  unlock_word(s.lock);
  return taken;
}

bool co_acquire(semaphore_core& core, queue_end where, wait_reason why, sudog& s, runnable& r) noexcept {
  if (take(core)) return false;
  suspend(r, why);
  enqueue(core, where, s, &r);
  unlock_word(core.lock);
  return true;
}

bool release(semaphore_core& s) noexcept {
  lock_word(s.lock);
  sudog* first = dequeue(s.waiters);
  if (!first) s.permits++;
  runnable* gp = first ? first->gp : nullptr;
  unlock_word(s.lock);
  if (gp) ready(gp);
  return gp != nullptr;
}

}  // namespace weft::detail
