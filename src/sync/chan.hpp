// sync/chan.hpp: the untyped channel from inside, for the two that work on it: chan.cpp and select.cpp.
// Invariants, under the lock
//   C1  of the two wait lists at least one is empty (but for a goroutine that waits on both, in a select).
//   C2  buffered: values in the buffer mean that no receiver waits; a free slot means that no sender waits.
// For both, who waits in a select that somebody has woken already does not count: dequeue() passes over it.
// A value goes straight from a sender to a receiver that waits: into its frame, which cannot go away before ready().
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <weft/detail/chan_core.hpp>

#include "base/atomic.hpp"
#include "goroutine/sudog.hpp"
#include "lock/lock.hpp"

namespace weft::detail {

struct chan_clock {
  std::int64_t when, period;  // see chan_make_clock()
};

struct chan_core {
  // What every operation looks at, in 64 bytes.
  ranked_lock<rank::channel> lock;
  std::uint32_t element_size;
  std::uint32_t bubble = 0;   // where it was made (sched/bubble.hpp)
  bool closed = false;
  bool ticks = false;         // a timer's: it has a clock
  bool orphan = false;        // no handle is left, only who waits
  std::size_t capacity;
  std::size_t count = 0;      // in the buffer
  wait_list receivers, senders;
  std::size_t send_at = 0, recv_at = 0;
  std::uint32_t selects = 0;  // entries of selects that will come back to it, on its lists or not
  atomic<std::uint32_t> refs{1};
  drop_fn drop;

  /// If it ticks; where others have their buffer.
  chan_clock* clock() const noexcept { return reinterpret_cast<chan_clock*>(const_cast<chan_core*>(this) + 1); }
  char* slot(std::size_t i) noexcept { return reinterpret_cast<char*>(this + 1) + i * element_size; }
  void advance(std::size_t& at) const noexcept { at = at + 1 == capacity ? 0 : at + 1; }
};

// Elements of a word are most of all there are; an inlined move beats a call of memcpy by 2 ns.
[[gnu::always_inline]] inline void copy(const chan_core* c, void* to, const void* from) noexcept {
  if (__builtin_expect(c->element_size == 8, 1)) std::memcpy(to, from, 8);
  else if (c->element_size != 0) std::memcpy(to, from, c->element_size);
}

// chan_clock.cpp
/// done, or would_block.
chan_status take_tick_locked(chan_core* c, void* element) noexcept;
/// Whether there is a value now; also without the lock, as a hint.
bool is_due(const chan_core* c) noexcept;

/// What can be done at once, under the lock: done, closed, or would_block. `served` is who is to be made ready once the lock
/// is free, or null.
[[gnu::always_inline]] inline chan_status send_locked(chan_core* c, const void* element, runnable*& served) noexcept {
  served = nullptr;
  if (__builtin_expect(c->closed, 0)) return chan_status::closed;
  if (sudog* s = dequeue(c->receivers)) {
    copy(c, s->element, element);
    s->success = true;
    served = s->gp;
    return chan_status::done;
  }
  if (c->count < c->capacity) {
    copy(c, c->slot(c->send_at), element);
    c->advance(c->send_at);
    c->count++;
    return chan_status::done;
  }
  return chan_status::would_block;
}

[[gnu::always_inline]] inline chan_status recv_locked(chan_core* c, void* element, runnable*& served) noexcept {
  served = nullptr;
  if (c->count > 0) {
    copy(c, element, c->slot(c->recv_at));
    if (sudog* s = dequeue(c->senders)) {  // the buffer was full: the first who waits fills the slot, at the tail
      copy(c, c->slot(c->recv_at), s->element);
      c->advance(c->recv_at);
      c->send_at = c->recv_at;
      s->success = true;
      served = s->gp;
      return chan_status::done;
    }
    c->advance(c->recv_at);
    c->count--;
    return chan_status::done;
  }
  if (sudog* s = dequeue(c->senders)) {
    copy(c, element, s->element);
    s->success = true;
    served = s->gp;
    return chan_status::done;
  }
  if (__builtin_expect(c->ticks, 0)) return take_tick_locked(c, element);
  return __builtin_expect(c->closed, 0) ? chan_status::closed : chan_status::would_block;
}

/// Under the lock: whether nothing can come to it any more, so that it is to be destroyed.
inline bool is_abandoned(const chan_core* c) noexcept { return c->orphan && c->selects == 0 && !c->receivers.first && !c->senders.first; }
void destroy(chan_core* c) noexcept;

}  // namespace weft::detail
