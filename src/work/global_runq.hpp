// work/global_runq.hpp: the run queue that all Ps share: what overflowed, came from threads without a P, or was left by a P
// that went. Guarded by the scheduler's lock; its size may be read without.
// Two kinds. Goroutines that have run before wait in order, first come first served, as in Go. Goroutines that have never
// run are served newest batch first: each that starts makes its stack's first page real, and a tree that is run breadth-first
// has them all alive at once (skynet: 75,000 live and 310 MB, against a few thousand). So that none of either kind is starved,
// every 61st lap takes the oldest one that waits, and instead, at most ten thousand times a second, the oldest one that has never
// run: so on a P that never runs out of work, and has laps of 50 us, one of those starts each 3 ms.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "goroutine/g.hpp"

namespace weft {

class global_runq {
 public:
  void put(runnable* gp) noexcept {
    waiting_.push_back(gp);
    publish();
  }
  /// A batch in order; those that have never run go to the others of that kind.
  void put(g_list& batch) noexcept {
    g_list fresh;
    while (runnable* gp = batch.pop_front()) (gp->flags & g_fresh ? fresh : waiting_).push_back(gp);
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
  /// The one that has waited longest: of those that have run before, or, each `fresh_turn_ns`, of those that have not.
  [[nodiscard]] runnable* get_oldest(std::int64_t now) noexcept {
    runnable* gp = nullptr;
    if (fresh_.empty() || now - last_fresh_turn_ < fresh_turn_ns || (was_fresh_turn_ && !waiting_.empty())) {
      was_fresh_turn_ = false;
      gp = waiting_.pop_front();
    } else {
      last_fresh_turn_ = now;
      was_fresh_turn_ = true;  // where looks are seldom, the two kinds alternate
      gp = fresh_.last;
      fresh_.last = older(gp);
      if (fresh_.last) fresh_.last->link = nullptr;
      else fresh_.first = nullptr;
      fresh_.size--;
      gp->link = nullptr;
    }
    publish();
    return gp;
  }
  /// Up to n, those first that have run before.
  [[nodiscard]] g_list get(std::uint32_t n) noexcept {
    g_list out;
    while (out.size < n) {
      runnable* gp = waiting_.pop_front();
      if (!gp && (gp = fresh_.pop_front()) && fresh_.first) older(fresh_.first) = nullptr;
      if (!gp) break;
      out.push_back(gp);
    }
    publish();
    return out;
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
  static constexpr std::int64_t fresh_turn_ns = 100'000;
  std::int64_t last_fresh_turn_ = 0;
  bool was_fresh_turn_ = false;
  atomic<std::uint32_t> size_{0}, in_order_{0};
};

}  // namespace weft
