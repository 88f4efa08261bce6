// sched/locked.cpp: goroutines that are locked to a thread: for libraries that keep their state per thread (a window system, OpenGL, a
// database's client), for namespaces and credentials. Source: Go's proc.go (LockOSThread, stoplockedm, startlockedm).
// The thread runs that goroutine and no other. While the goroutine waits, the thread sleeps on its note; whoever finds the
// goroutine runnable gives its P to that thread and looks for another. Two short cuts make this cheaper than Go's: a P goes
// straight from one locked thread to the next, without a third in between; and a locked thread looks at its note for some
// microseconds before it sleeps.
#include <weft/this_goroutine.hpp>

#include "sched/retake.hpp"

namespace weft {

namespace {

// Our own goroutine, or one that is locked to somebody else, if that is what comes next on pp; else null, and nothing is changed.
g* next_if_locked(p* pp, slice& s) noexcept {
  if (sched.stopping.load(std::memory_order_relaxed) || pp->laps_left <= 1 || pp->attention.load(std::memory_order_relaxed) != 0) return nullptr;
  runnable* r = pp->queue.get(s);
  if (!r) return nullptr;
  if (r->flags & g_locked) {
    pp->laps_left--;
    return static_cast<g*>(r);
  }
  put_next(pp, r);
  return nullptr;
}

// The owner of gp, which sleeps or is about to, goes on with pp. In whose slice matters: two that wake each other are one, else they
// would keep the ring of their P from being looked at.
void wake_owner(g* gp, p* pp, slice s) noexcept {
  m* owner = gp->mp;
  {
    lock_guard hold(sched.lock);
    if (owner->locked_wait.load(std::memory_order_relaxed)) sched.locked_idle--;
    owner->locked_wait.store(false, std::memory_order_relaxed);
    owner->next_p = pp;
    owner->next_slice = s;
  }
  owner->parked.wake();
}

void sleep_locked(m* mp) noexcept {
  {
    lock_guard hold(sched.lock);
    if (!mp->next_p) {  // else somebody was faster
      mp->locked_wait.store(true, std::memory_order_relaxed);
      sched.locked_idle++;
    }
  }
  if (!mp->parked.spin(10'000)) {
    do check_deadlock();  // again: a thread may have been about to end at the first look
    while (!mp->parked.sleep_for(5'000'000'000));
  }
  mp->parked.clear();
}

}  // namespace

slice stop_locked_m(m* mp) noexcept {
  WEFT_INVARIANT(!mp->spinning, "stoplockedm: spinning");
  refuse_in_forked_child();
  if (!mp->pp) {
    lock_guard hold(sched.lock);
    no_longer_displaced(mp);
  } else {
    slice s = slice::fresh;
    g* next = next_if_locked(mp->pp, s);
    if (next == mp->locked_g) return s;
    p* pp = releasep(mp);
    if (next) wake_owner(next, pp, s);
    else handoffp(pp);
  }
  sleep_locked(mp);
  if (p* pp = mp->next_p) {
    mp->next_p = nullptr;
    acquirep(mp, pp);
  }
  return mp->next_slice;
}

void start_locked_m(m* mp, g* gp, slice s) noexcept {
  WEFT_INVARIANT(gp->mp != mp, "startlockedm: locked to me");
  wake_owner(gp, releasep(mp), s);
  stopm(mp);
}

void end_locked(m* mp, g* gp) noexcept {
  gp->flags &= static_cast<std::uint16_t>(~g_locked);
  mp->locked_g = nullptr;
  mp->ends = (gp->flags & g_main) == 0;
}

void end_of_thread(m* mp) noexcept {
  if (mp->pp) handoffp(releasep(mp));
  {
    lock_guard hold(sched.lock);
    no_longer_displaced(mp);
  }
  if (mp->is_main) {
    mp->ends = false;
    mp->parked.clear();
    return sleep_locked(mp);
  }
  {
    lock_guard hold(sched.lock);
    sched.m_count.fetch_sub(1, std::memory_order_relaxed);
  }
  check_deadlock();
}

namespace this_goroutine {

void lock_thread() {
  g* gp = current_g();
  if (!gp || gp->locks_of_thread++ != 0) return;
  m* mp = this_m();
  mp->parked.clear();
  mp->locked_g = gp;
  gp->mp = mp;
  gp->flags |= g_locked;
}

void unlock_thread() {
  g* gp = current_g();
  if (!gp || gp->locks_of_thread == 0 || --gp->locks_of_thread != 0) return;
  gp->flags &= static_cast<std::uint16_t>(~g_locked);
  this_m()->locked_g = nullptr;
}

}  // namespace this_goroutine
}  // namespace weft
