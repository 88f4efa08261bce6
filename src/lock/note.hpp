// lock/note.hpp: a one-shot sleep of a thread: one sleeps, one wakes it once, in either order. Then clear() and again.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "os/clock.hpp"
#include "os/futex.hpp"

namespace weft {

class note {
 public:
  void clear() noexcept { word_.store(0, std::memory_order_relaxed); }

  /// Wakes the sleeper, present or future. Once between two clears.
  void wake() noexcept {
    // [mo:note] release, pairs with the acquire in sleep(): what was written before is seen by who wakes up.
    const std::uint32_t old = word_.exchange(1, std::memory_order_release);
    WEFT_INVARIANT(old == 0, "note: double wakeup");
    os::futex_wake(word_);
  }
  void sleep() noexcept {
    // [mo:note]
    while (word_.load(std::memory_order_acquire) == 0) os::futex_wait(word_, 0);
  }
  /// At most `ns`; false when nobody woke it in that time.
  [[nodiscard]] bool sleep_for(std::int64_t ns) noexcept {
    if (ns == os::forever_ns) return sleep(), true;
    const std::int64_t until = os::add_ns(os::now_ns(), ns < 0 ? 0 : ns);
    // [mo:note]
    while (word_.load(std::memory_order_acquire) == 0) {
      const std::int64_t left = until - os::now_ns();
      if (left <= 0) return false;
      os::futex_wait(word_, 0, left);
    }
    return true;
  }

 private:
  atomic<std::uint32_t> word_{0};
};

}  // namespace weft
