// base/atomic.hpp: the atomics of the runtime, by one name, so that the explorer of interleavings can put its own behind it
// (tests/model): with WEFT_MODEL it decides who goes on at each access, and what a load reads.
#pragma once

#include <weft/detail/atomic.hpp>

namespace weft {

inline constexpr bool model_build =
#if WEFT_MODEL
    true;
#else
    false;
#endif

using detail::atomic;

/// Adds to a counter that one thread at a time writes and others read: no locked instruction.
template <class T>
inline void bump(atomic<T>& counter, T by = 1, std::memory_order order = std::memory_order_relaxed) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, order);
}

/// std::atomic_thread_fence(seq_cst).
#if WEFT_MODEL
using model::full_fence;
#else
inline void full_fence() noexcept { std::atomic_thread_fence(std::memory_order_seq_cst); }  // [mo:own] who calls it says what it pairs with
#endif

inline void cpu_relax() noexcept {
#if WEFT_MODEL
  model::relax();
#elif defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

}  // namespace weft
