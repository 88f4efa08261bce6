// goroutine/sudog.hpp: the lists of those that wait: see <weft/detail/sudog.hpp>.
#pragma once

#include <weft/detail/sudog.hpp>
#include <weft/detail/wait_list.hpp>

#include "goroutine/g.hpp"

namespace weft::detail {

/// For an entry that only a waker takes off: it does not note that it is on the list.
inline void append(wait_list& l, sudog* s) noexcept {
  s->next = nullptr;
  s->prev = l.last;
  if (l.last) l.last->next = s;
  else l.first = s;
  l.last = s;
}
inline void push_back(wait_list& l, sudog* s) noexcept {
  append(l, s);
  s->queued = true;
}
inline void push_front(wait_list& l, sudog* s) noexcept {
  s->prev = nullptr;
  s->next = l.first;
  if (l.first) l.first->prev = s;
  else l.last = s;
  l.first = s;
  s->queued = true;
}
/// s is the first.
inline void take_first(wait_list& l, const sudog* s) noexcept {
  l.first = s->next;
  if (s->next) s->next->prev = nullptr;
  else l.last = nullptr;
}
inline void remove_first(wait_list& l, sudog* s) noexcept {
  take_first(l, s);
  s->queued = false;
}
inline void remove(wait_list& l, sudog* s) noexcept {
  if (s->prev) s->prev->next = s->next;
  else l.first = s->next;
  if (s->next) s->next->prev = s->prev;
  else l.last = s->prev;
  s->queued = false;
}

/// Takes the first off the list, which has one, if it is still to be woken; else null. Under the list's lock.
inline sudog* dequeue_first(wait_list& l) noexcept {
  sudog* s = l.first;
  remove_first(l, s);
  // [mo:claim] acq_rel, pairs with the other wakers' exchange: exactly one of them wakes the goroutine. A loser leaves it
  // alone: the goroutine itself may be gone on as soon as the list's lock is free.
  if (s->contested) {
    if (s->gp->claimed.exchange(1, std::memory_order_acq_rel) != 0) return nullptr;
    s->served = true;
  }
  return s;
}

/// The first who is still to be woken, off the list; null when there is none. Under the list's lock.
inline sudog* dequeue(wait_list& l) noexcept {
  while (l.first) {
    if (sudog* s = dequeue_first(l)) return s;
  }
  return nullptr;
}

}  // namespace weft::detail
