// work/global_runq.hpp: the run queue that all Ps share: what overflowed, came from threads without a P, or was left by a P
// that went. Guarded by the scheduler's lock; its size may be read without.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "goroutine/g.hpp"

namespace weft {

class global_runq {
 public:
  void put(g* gp) noexcept {
    list_.push_back(gp);
    publish();
  }
  void put_front(g* gp) noexcept {
    list_.push_front(gp);
    publish();
  }
  void put(g_list& batch) noexcept {
    list_.append(batch);
    publish();
  }
  [[nodiscard]] g* get() noexcept {
    g* gp = list_.pop_front();
    publish();
    return gp;
  }
  /// Up to n from the front.
  [[nodiscard]] g_list get(std::uint32_t n) noexcept {
    g_list out;
    while (out.size < n) {
      g* gp = list_.pop_front();
      if (!gp) break;
      out.push_back(gp);
    }
    publish();
    return out;
  }
  /// Without the lock: may be out of date. seq_cst where the last searcher looks again before it sleeps (sched/idle.cpp).
  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_seq_cst); }  // [mo:idle]

 private:
  void publish() noexcept { size_.store(list_.size, std::memory_order_seq_cst); }  // [mo:idle] pairs with the load in size()
  g_list list_;
  atomic<std::uint32_t> size_{0};
};

}  // namespace weft
