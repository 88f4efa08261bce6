// work/global_runq.hpp: the run queue that all Ps share: what overflowed, came from threads without a P, or was left by a P
// that went. Guarded by the scheduler's lock; its size may be read without.
// Two kinds. Goroutines that have run before wait in order, first come first served, as in Go. Goroutines that have never
// run are served newest batch first: each that starts makes its stack's first page real, and a tree that is run breadth-first
// has them all alive at once (skynet: 75,000 live and 310 MB, against a few thousand). They lie in lists of the Ps that started them
// (work/fresh_batches.hpp): a P goes on with its own part of the tree, whose nodes are in its cache, and one that has none takes the
// oldest of another, the largest part. So that none of these is starved, a P takes of the oldest ten thousand a second, of each P's in
// turn, and while its ring is short one more at each look (sched/look.cpp); these wait in order from then on.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/atomic.hpp"
#include "goroutine/g.hpp"
#include "work/fresh_batches.hpp"

namespace weft {

class global_runq {
 public:
  /// In order.
  void put(runnable* gp) noexcept {
    waiting_.push_back(gp);
    publish();
  }
  void put(g_list& batch) noexcept {
    waiting_.append(batch);
    publish();
  }
  /// What has overflowed from a ring: some in order; and those that have never run in front of the others of that kind, which lie in `fresh`.
  void put(g_list& in_order, fresh_batches& never_run, fresh_batches& fresh) noexcept {
    waiting_.append(in_order);
    fresh_ += never_run.size();
    fresh.take_over(never_run);
    publish();
  }
  /// Up to so many of those that wait in order; then, of those that have never run and lie in `fresh`, up to so many of the newest,
  /// and of the oldest.
  [[nodiscard]] g_list get(std::uint32_t in_order, fresh_batches& fresh, std::uint32_t newest, std::uint32_t oldest) noexcept {
    g_list out;
    for (; in_order > 0 && !waiting_.empty(); in_order--) out.push_back(waiting_.pop_front());
    const std::uint32_t of_those = out.size;
    fresh.take_newest(newest, out);
    fresh.take_oldest(oldest, out);
    fresh_ -= out.size - of_those;
    publish();
    return out;
  }
  /// Without the lock: may be out of date. seq_cst where the last searcher looks again before it sleeps (sched/idle.cpp).
  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_seq_cst); }  // [mo:idle]

  /// How many wait in order; a guess without the lock.
  [[nodiscard]] std::uint32_t in_order() const noexcept { return in_order_.load(std::memory_order_relaxed); }

 private:
  void publish() noexcept {
    in_order_.store(waiting_.size, std::memory_order_relaxed);       // [mo:own] a hint
    size_.store(waiting_.size + fresh_, std::memory_order_seq_cst);  // [mo:idle] pairs with size()
  }
  g_list waiting_;
  std::uint32_t fresh_ = 0;  // in all Ps' lists
  atomic<std::uint32_t> size_{0}, in_order_{0};
};

}  // namespace weft
