// sync/thread_counts.hpp: counters that each thread has for itself: adding is a plain store, and who must know adds them all up.
// For what readers do a million times for each time that a writer wants to know: shared_mutex and reclaim.hpp.
// By thread and not by P: a thread that runs a goroutine without a P, or that weft did not make, counts like any other, and
// nobody can take a thread's counters away in the middle of an addition. A goroutine may add on one thread and take off on
// another: only sums mean anything.
//
// Adding and looking at a flag afterwards, against setting the flag and summing up, is a race that needs a full barrier on both
// sides. The reader's is a compiler barrier; the writer's is barrier_on_all_threads() (work/thieves.hpp), between its flag
// and its sum: so either the reader sees the flag, or the writer sees its addition. Without membarrier nobody uses this.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "lock/thread_state.hpp"

namespace weft {

struct alignas(64) thread_counts {
  static constexpr unsigned slots = 1024;

  atomic<std::uint32_t> leaving{0};        // its thread is about to leave some lock, and may still look at it
  atomic<std::uint64_t> entered[2] = {};   // reclaim.hpp
  atomic<std::uint64_t> left[2] = {};
  thread_counts* next = nullptr;           // of all there are: never freed, but handed on, sums and all, when its thread ends
  atomic<bool> taken{true};
  unsigned number = 0;                     // of the block, from 0: to spread threads over lists
  std::uint32_t map_chance = 0;            // map_core.cpp: its thread's, for all maps
  struct reader_count {
    atomic<std::uint32_t> n{0};       // may wrap, and so may the sum
    atomic<std::uint32_t> lowest{0};  // n was seen to be right down to here: a hint where to look again
  };
  alignas(64) reader_count readers[slots];  // shared_mutex: by the lock's slot
};

/// The calling thread's. Not to be held over a park.
[[gnu::cold, gnu::noinline]] thread_counts* adopt_thread_counts() noexcept;
[[gnu::always_inline]] inline thread_counts* this_thread_counts() noexcept {
  thread_counts* c = self()->counts;
  return __builtin_expect(c != nullptr, 1) ? c : adopt_thread_counts();
}
/// All that there are, linked by `next`.
thread_counts* all_thread_counts() noexcept;

/// A slot that is nobody else's, in which all counters add up to 0; 0 when there is none left.
unsigned take_slot() noexcept;
void give_slot(unsigned slot) noexcept;

}  // namespace weft
