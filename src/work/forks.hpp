// work/forks.hpp: the coroutines that were forked on a P and that nobody has started: newest last.
// The owner puts and takes at the new end, so that a tree of forks is walked in depth; a thief takes the oldest, which is the
// largest piece (design D12). Chase and Lev's deque in a fixed ring: who finds it full makes the coroutine runnable instead.
//
// take() must not overlook a thief, and a thief not take(): each writes its own end and then reads the other's. The owner
// is the frequent one. So it has a compiler barrier only, while no thief is about: one that comes later raises `thieves` and
// puts a barrier on all threads first, and then sees the end that the owner has moved (work/thieves.hpp).
// Invariants
//   F1  bottom - top <= capacity, and is 0 or more but inside take(), in wrapping 32-bit arithmetic.
//   F2  the owner alone writes bottom_ and the ring; top_ moves only by compare-exchange, and only forwards.
#pragma once

#include <cstdint>

#include <weft/detail/runnable.hpp>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "work/thieves.hpp"

namespace weft {

class forks {
 public:
  static constexpr std::uint32_t capacity = model_build ? 4 : 256;

  /// False when it is full. Owner only.
  [[nodiscard]] bool try_put(runnable* r) noexcept {
    const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed);  // [mo:own]
    // [mo:forks.top] acquire, pairs with the release in steal(): a slot is used again after its last reader.
    if (bottom - top_.load(std::memory_order_acquire) >= capacity) return false;
    ring_[bottom % capacity].store(r, std::memory_order_relaxed);
    bottom_.store(bottom + 1, std::memory_order_release);  // [mo:forks.bottom] pairs with the acquire in steal()
    return true;
  }

  /// The newest, if it is `wanted` or that is null; else null. Owner only.
  [[nodiscard]] runnable* take(runnable* wanted = nullptr) noexcept {
    const std::uint32_t bottom = bottom_.load(std::memory_order_relaxed) - 1;  // [mo:own]
    runnable* r = ring_[bottom % capacity].load(std::memory_order_relaxed);
    if (wanted && r != wanted) return nullptr;  // a slot that is empty may have anything in it: what follows decides
    // [mo:forks.bottom] release here and below: a thief may read this store instead of try_put()'s, and then an older entry.
    bottom_.store(bottom, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // [mo:thieves] pairs with barrier_on_all_threads()
    // [mo:thieves] acquire: with 0, what the last thief took is seen.
    const bool alone = thieves.count.load(std::memory_order_acquire) == 0;
    if (!alone) full_fence();  // [mo:forks.dekker] pairs with the fence in steal()
    std::uint32_t top = top_.load(std::memory_order_relaxed);
    const auto left = static_cast<std::int32_t>(bottom - top);
    if (left > 0 || (left == 0 && alone)) return r;
    if (left == 0) {  // the last one: whoever moves top_ has it
      // [mo:forks.top] A thief that comes too late has read nothing that matters.
      if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_relaxed, std::memory_order_relaxed)) r = nullptr;
    } else {
      r = nullptr;
    }
    bottom_.store(bottom + 1, std::memory_order_release);  // [mo:forks.bottom]
    return r;
  }

  /// The oldest, or null. Any M that has announced itself as stealing; the owner too.
  [[nodiscard]] runnable* steal() noexcept {
    std::uint32_t top = top_.load(std::memory_order_acquire);  // [mo:forks.top]
    for (;;) {
      full_fence();  // [mo:forks.dekker]
      const std::uint32_t bottom = bottom_.load(std::memory_order_acquire);  // [mo:forks.bottom]
      if (static_cast<std::int32_t>(bottom - top) <= 0) return nullptr;
      runnable* r = ring_[top % capacity].load(std::memory_order_relaxed);
      // [mo:forks.top] release: the slot may be used again only after this read.
      if (top_.compare_exchange_weak(top, top + 1, std::memory_order_acq_rel, std::memory_order_acquire)) return r;
    }
  }

  /// From other threads a guess; never says empty when one lies there all the time.
  [[nodiscard]] bool empty() const noexcept {
    const std::uint32_t top = top_.load(std::memory_order_acquire);  // [mo:forks.top]
    return static_cast<std::int32_t>(bottom_.load(std::memory_order_acquire) - top) <= 0;  // [mo:forks.bottom]
  }

 private:
  alignas(64) atomic<std::uint32_t> top_{0};
  alignas(64) atomic<std::uint32_t> bottom_{0};
  atomic<runnable*> ring_[capacity] = {};
};

}  // namespace weft
