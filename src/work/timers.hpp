// work/timers.hpp: the timers of one P: a 4-ary heap under a lock, with its earliest time readable without it.
// It hands out who is due and calls nobody: a timer's `fire` puts its goroutine, or its function, on the list that is returned.
// Because `fire` runs under the lock, remove() has a plain answer: the timer was still here and will not fire, or it has fired.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "goroutine/g.hpp"
#include "goroutine/timer.hpp"
#include "lock/lock.hpp"

namespace weft {

/// What run() found: goroutines to wake, and functions to start as goroutines, as many of these as there is room for at a time.
struct due_list : g_list {
  struct function {
    void (*run)(void* closure);  // gets the address of `arg`
    void* arg;
  };
  static constexpr std::uint32_t most = 16;

  void start(void (*run)(void*), void* arg) noexcept { functions[started++] = {run, arg}; }
  [[nodiscard]] bool full() const noexcept { return started == most; }

  std::uint32_t started = 0;
  function functions[most];
};

class timer_heap {
 public:
  static constexpr std::int64_t never = INT64_MAX;

  /// Queues t, which is in no heap. True when it is now the earliest. Any thread. Allocates when the heap grows.
  /// One that is never removed need not know its place in the heap; so moving it about touches no memory of its owner, which
  /// for a million sleepers is most of the cost.
  enum class removal : std::uint8_t { possible, never };
  bool add(heap_timer* t, removal r = removal::possible) noexcept;
  /// Takes t out of whatever heap it is in; false when it is in none: it has fired, or was never added. Any thread.
  static bool remove(heap_timer* t) noexcept;
  /// Fires all that are due, or until `due` is full; returns how many fired. Any thread.
  std::uint32_t run(std::int64_t now, due_list& due) noexcept;
  /// Moves all of them to another heap (this P is going).
  void move_to(timer_heap& other) noexcept;

  /// The earliest time, or `never`. Without the lock: may be out of date.
  [[nodiscard]] std::int64_t earliest() const noexcept {
    return earliest_.load(std::memory_order_acquire);  // [mo:timers] pairs with the releases in timers.cpp
  }

 private:
  struct entry {
    std::int64_t when;      // beside the pointer: comparing touches no timer
    std::uintptr_t tagged;  // the timer; bit 0: it does not know its place
    entry() = default;
    entry(heap_timer* t, removal r) noexcept : when(t->when), tagged(reinterpret_cast<std::uintptr_t>(t) | (r == removal::never)) {}
    [[nodiscard]] heap_timer* get() const noexcept { return reinterpret_cast<heap_timer*>(tagged & ~std::uintptr_t{1}); }
  };
  void place(std::uint32_t i, entry e) noexcept;
  void up(std::uint32_t i, entry e) noexcept;
  void down(std::uint32_t i, entry e) noexcept;
  void take(std::uint32_t i) noexcept;
  void publish() noexcept;
  void grow() noexcept;

  ranked_lock<rank::timers> lock_;
  entry* entries_ = nullptr;     // guarded by lock_, as all below
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
  atomic<std::int64_t> earliest_{never};
};

}  // namespace weft
