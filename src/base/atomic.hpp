// base/atomic.hpp: the atomics of the runtime, by one name, so that a model checker can put its own behind it.
#pragma once

#include <atomic>

namespace weft {

template <class T>
using atomic = std::atomic<T>;

/// Adds to a counter that one thread at a time writes and others read: no locked instruction.
template <class T>
inline void bump(atomic<T>& counter, T by = 1) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

}  // namespace weft
