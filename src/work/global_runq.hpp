// work/global_runq.hpp: the run queue that all Ps share: what overflowed, came from threads without a P, or was left by a P
// that went. Guarded by the scheduler's lock; its size may be read without.
// Two kinds. Goroutines that have run before wait in order, first come first served, as in Go. Goroutines that have never
// run are served newest batch first: each that starts makes its stack's first page real, and a tree that is run breadth-first
// has them all alive at once (skynet: 75,000 live and 310 MB, against a few thousand). So that none of these is starved, a P takes
// of the oldest ten thousand a second, and while its ring is short one of the newest at each look (sched/look.cpp); these wait in
// order from then on.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/atomic.hpp"
#include "goroutine/g.hpp"

namespace weft {

class global_runq {
 public:
  /// In order.
  void put(runnable* gp) noexcept {
    waiting_.push_back(gp);
    publish();
  }
  /// A batch in order; those that have never run go to the others of that kind, unless they have been there.
  void put(g_list& batch) noexcept {
    g_list fresh;
    while (runnable* gp = batch.pop_front()) ((gp->flags & (g_fresh | g_taken_in)) == g_fresh ? fresh : waiting_).push_back(gp);
    // In front of the older ones, its own order kept: from newest_ on, `link` leads to older batches and `older` back.
    if (!fresh.empty()) {
      g* back = nullptr;
      for (runnable* gp = fresh.first; gp; gp = gp->link) older(gp) = back, back = static_cast<g*>(gp);
      fresh.last->link = fresh_.first;
      if (fresh_.first) older(fresh_.first) = back;
      else fresh_.last = fresh.last;
      fresh_.first = fresh.first;
      fresh_.size += fresh.size;
    }
    publish();
  }
  /// Up to so many of those that wait in order; then of those that have never run up to so many of the newest, and of the oldest.
  [[nodiscard]] g_list get(std::uint32_t in_order, std::uint32_t newest, std::uint32_t oldest) noexcept {
    g_list out;
    for (; in_order > 0 && !waiting_.empty(); in_order--) out.push_back(waiting_.pop_front());
    for (; newest > 0 && !fresh_.empty(); newest--) {
      out.push_back(fresh_.pop_front());
      if (fresh_.first) older(fresh_.first) = nullptr;
    }
    for (; oldest > 0 && !fresh_.empty(); oldest--) {
      runnable* gp = fresh_.last;
      fresh_.last = older(gp);
      if (fresh_.last) fresh_.last->link = nullptr;
      else fresh_.first = nullptr;
      fresh_.size--;
      out.push_back(gp);
    }
    publish();
    return out;
  }
  /// Up to n, those first that wait in order.
  [[nodiscard]] g_list get(std::uint32_t n) noexcept {
    const std::uint32_t in_order = std::min(n, waiting_.size);
    return get(in_order, n - in_order, 0);
  }
  /// Without the lock: may be out of date. seq_cst where the last searcher looks again before it sleeps (sched/idle.cpp).
  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_seq_cst); }  // [mo:idle]

  /// How many wait in order; a guess without the lock.
  [[nodiscard]] std::uint32_t in_order() const noexcept { return in_order_.load(std::memory_order_relaxed); }

 private:
  static g*& older(runnable* fresh) noexcept { return static_cast<g*>(fresh)->older; }  // only goroutines are among those
  void publish() noexcept {
    in_order_.store(waiting_.size, std::memory_order_relaxed);             // [mo:own] a hint
    size_.store(waiting_.size + fresh_.size, std::memory_order_seq_cst);  // [mo:idle] pairs with size()
  }
  g_list waiting_, fresh_;
  atomic<std::uint32_t> size_{0}, in_order_{0};
};

}  // namespace weft
