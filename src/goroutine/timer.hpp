// goroutine/timer.hpp: one thing that is due at a time, in somebody's frame or record; work/timers.hpp keeps the heap of them.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft {

struct due_list;  // work/timers.hpp
class timer_heap;

struct heap_timer {
  /// Called when due, under the heap's lock: puts a goroutine that it may wake on `due`, or a function to be started. A leaf.
  using fire_fn = void (*)(heap_timer* t, due_list& due) noexcept;

  std::int64_t when = 0;          // ns on the monotonic clock
  fire_fn fire = nullptr;
  void* arg = nullptr;
  atomic<timer_heap*> heap{nullptr};  // where it is queued, or null; changed under that heap's lock
  std::uint32_t position = 0;         // in that heap
};

}  // namespace weft
