// work/fresh_batches.hpp: goroutines that have never run and found no room in their P's ring, the newest batch first. A P's own.
// The first of a batch, its head, knows how many they are and the last of them, whose `link` is the next older batch; `batch` leads
// back, from head to head. So who takes whole batches looks at two of each while it holds the lock: the rest is in no cache of its
// processor. Guarded by the scheduler's lock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/atomic.hpp"
#include "goroutine/g.hpp"

namespace weft {

class fresh_batches {
 public:
  /// How many there are; a guess without the lock.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_.load(std::memory_order_relaxed); }  // [mo:own] a hint

  /// In front of the older ones, their own order kept. They are goroutines, and at least one.
  void put(const g_list& fresh) noexcept {
    g* head = static_cast<g*>(fresh.first);
    g* const first = head;
    for (std::uint32_t left = fresh.size;;) {
      head->many = std::min(left, batch_size);
      head->last = head;
      for (std::uint32_t i = 1; i < head->many; i++) head->last = static_cast<g*>(head->last->link);
      left -= head->many;
      if (left == 0) break;
      g* const next = static_cast<g*>(head->last->link);
      next->batch = head;
      head = next;
    }
    head->last->link = newest_;
    (newest_ ? newest_->batch : oldest_) = head;
    newest_ = first;
    size_.store(size() + fresh.size, std::memory_order_relaxed);
  }
  /// All of o's, in front of the own ones.
  void take_over(fresh_batches& o) noexcept {
    if (!o.newest_) return;
    if (newest_) {
      o.oldest_->last->link = newest_;
      newest_->batch = o.oldest_;
    } else {
      oldest_ = o.oldest_;
    }
    newest_ = std::exchange(o.newest_, nullptr);
    o.oldest_ = nullptr;
    size_.store(size() + o.size(), std::memory_order_relaxed);
    o.size_.store(0, std::memory_order_relaxed);
  }
  /// Up to so many from the newest batches, or from the oldest, each in its order, to the end of `out`.
  void take_newest(std::uint32_t many, g_list& out) noexcept {
    while (many > 0 && newest_) many -= take_from(newest_, many, out);
  }
  void take_oldest(std::uint32_t many, g_list& out) noexcept {
    while (many > 0 && oldest_) many -= take_from(oldest_, many, out);
  }

 private:
  static constexpr std::uint32_t batch_size = 33;  // four are what overflows from a ring

  // The first so many of a batch, or all of it. How many.
  std::uint32_t take_from(g* head, std::uint32_t many, g_list& out) noexcept {
    g* const older = static_cast<g*>(head->last->link);
    g* rest = nullptr;
    g_list taken{head, head->last, std::min(many, head->many)};
    if (taken.size < head->many) {
      taken.last = head;
      for (std::uint32_t i = 1; i < taken.size; i++) taken.last = taken.last->link;
      rest = static_cast<g*>(taken.last->link);
      rest->many = head->many - taken.size;
      rest->last = head->last;
      rest->batch = head->batch;
    }
    if (head != oldest_) older->batch = rest ? rest : head->batch;
    else oldest_ = rest ? rest : head != newest_ ? head->batch : nullptr;
    if (head != newest_) head->batch->last->link = rest ? rest : older;
    else newest_ = rest ? rest : older;  // whose `batch` means nothing from now on
    taken.last->link = nullptr;
    size_.store(size() - taken.size, std::memory_order_relaxed);
    const std::uint32_t n = taken.size;
    out.append(taken);
    return n;
  }

  g *newest_ = nullptr, *oldest_ = nullptr;
  atomic<std::uint32_t> size_{0};
};

}  // namespace weft
