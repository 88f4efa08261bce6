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
    const std::uint32_t old = word_.exchange(woken, std::memory_order_release);
    WEFT_INVARIANT(old != woken, "note: double wakeup");
    if (old == sleeping) os::futex_wake(word_);
  }
  void sleep() noexcept {
    while (!is_woken()) os::futex_wait(word_, sleeping);
  }
  /// Looks for up to `ns` without sleeping.
  [[nodiscard]] bool spin(std::int64_t ns) noexcept {
    for (const std::int64_t until = os::now_ns() + ns; os::now_ns() < until;) {
      for (int i = 0; i < 20; i++) {
        if (word_.load(std::memory_order_acquire) == woken) return true;  // [mo:note]
        cpu_relax();
      }
    }
    return false;
  }
  /// At most `ns`; false when nobody woke it in that time.
  [[nodiscard]] bool sleep_for(std::int64_t ns) noexcept {
    if (ns == os::forever_ns) return sleep(), true;
    const std::int64_t until = os::add_ns(os::now_ns(), ns < 0 ? 0 : ns);
    while (!is_woken()) {
      const std::int64_t left = until - os::now_ns();
      if (left <= 0) return false;
      os::futex_wait(word_, sleeping, left);
    }
    return true;
  }

 private:
  static constexpr std::uint32_t woken = 1, sleeping = 2;
  // Else it says that there is somebody to be woken: who finds nobody saves the system call.
  bool is_woken() noexcept {
    std::uint32_t none = 0;
    // [mo:note] acquire, pairs with the release in wake().
    return !word_.compare_exchange_strong(none, sleeping, std::memory_order_acquire, std::memory_order_acquire) && none == woken;
  }

  atomic<std::uint32_t> word_{0};
};

}  // namespace weft
