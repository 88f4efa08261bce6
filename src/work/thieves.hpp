// work/thieves.hpp: whether anybody may be stealing. The owner of a run queue works on it a hundred million times a second, a
// thief comes by now and then: so the owner pays nothing while there is none, and a thief pays for both (design D1).
//
//   owner   busy = 1;  look at `thieves`:  none: plain loads and stores   busy = 0
//                                          some: busy = 0; atomic read-modify-writes
//   thief   thieves += 1;  barrier on all threads (membarrier);  for each victim: wait until busy == 0;  read-modify-writes
//
// The owner's store of busy and its load of `thieves` are in order but for the processor's store buffer, and the thief's
// barrier empties that: so either the owner sees the thief, or the thief sees busy, and once it has seen busy == 0 the owner
// sees the thief at each later turn. Without membarrier `thieves` is 1 for good, and everybody pays as in Go.
// The same holds for sleeping and waking: see fence_after_submit() in sched/lap.hpp.
#pragma once

#include "base/atomic.hpp"

namespace weft {

/// How many threads may be stealing, in a cache line that is only read while there are none.
struct alignas(64) thieves_t {
  atomic<int> count{1};       // until init_thieves() has found that owners can do without
  bool no_membarrier = true;  // set once, before the first P runs
};
extern thieves_t thieves;

/// Once, before the first P runs.
void init_thieves() noexcept;
/// A full barrier on all threads: between what a thread that steals or goes to sleep has announced and what it looks at next.
/// Pairs with compiler barriers of the owners.
void barrier_on_all_threads() noexcept;

/// While it lives, owners use atomic read-modify-writes on their queues.
class [[nodiscard]] stealing {
 public:
  stealing() noexcept {
    thieves.count.fetch_add(1, std::memory_order_seq_cst);  // [mo:thieves]
    barrier_on_all_threads();
  }
  // [mo:thieves] release, pairs with the owner's acquire: what was taken is seen to be gone.
  ~stealing() { thieves.count.fetch_sub(1, std::memory_order_release); }
  stealing(const stealing&) = delete;
};

}  // namespace weft
