// sync/condition_variable.cpp: see <weft/condition_variable.hpp>.
// A waiter is in the list before the user's lock is free, and parks later: in between there is user code, unlock(). Who
// notifies one that has not parked yet only marks it. Go counts tickets instead; with those, one that gives up would leave a
// hole in the count, and the notification that falls into it would be lost.
#include <weft/condition_variable.hpp>

#include <new>

#include "sync/waiting.hpp"

namespace weft {

namespace {

using detail::wait_end;
using detail::wait_list;

struct waiter : detail::sudog {
  bool parked = false;
  bool notified = false;  // before it parked
};

waiter* first_of(wait_list& l) noexcept { return static_cast<waiter*>(l.first); }

/// Takes the first off the list; true when that is a notification used.
bool notify_first(wait_list& l, detail::wake_list& woken) noexcept {
  waiter* w = first_of(l);
  if (!w->parked) {
    w->notified = true;
    remove(l, w);
    return true;
  }
  if (detail::sudog* s = detail::dequeue_first(l)) return woken.add(s), true;
  return false;
}

}  // namespace

condition_variable::waiting::waiting(detail::waiters_core& core) noexcept : core_(core) {
  static_assert(sizeof(waiter) <= sizeof sudog_ && alignof(waiter) <= 8);
  auto* me = ::new (sudog_) waiter;
  lock_word(core.lock);
  push_back(core.list, me);
  unlock_word(core.lock);
}

condition_variable::waiting::~waiting() {
  auto* me = std::launder(reinterpret_cast<waiter*>(sudog_));
  if (!me->queued) return;  // as it is after wait(); else the user's unlock() has thrown
  lock_word(core_.lock);
  if (me->queued) remove(core_.list, me);
  unlock_word(core_.lock);
}

wait_end condition_variable::waiting::wait(const detail::wait_limit& limit) noexcept {
  auto* me = std::launder(reinterpret_cast<waiter*>(sudog_));
  lock_word(core_.lock);
  if (me->notified) {
    unlock_word(core_.lock);
    return wait_end::woken;
  }
  me->parked = true;
  const wait_end end = detail::wait_in_place(core_.lock, core_.list, *me, wait_reason::cond_wait, limit);
  if (end != wait_end::woken) unlock_word(core_.lock);
  return end;
}

void condition_variable::notify_one() noexcept {
  detail::wake_list woken;
  lock_word(core_.lock);
  while (core_.list.first && !notify_first(core_.list, woken)) {
  }
  unlock_word(core_.lock);
  woken.ready_all();
}

void condition_variable::notify_all() noexcept {
  detail::wake_list woken;
  lock_word(core_.lock);
  while (core_.list.first) static_cast<void>(notify_first(core_.list, woken));
  unlock_word(core_.lock);
  woken.ready_all();
}

}  // namespace weft
