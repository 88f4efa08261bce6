// work/timers.cpp: see timers.hpp. Source of the heap's arity: Go's time.go (four children: fewer cache lines on the way down).
#include "work/timers.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace weft {

void timer_heap::place(std::uint32_t i, entry e) noexcept {
  entries_[i] = e;
  if ((e.tagged & 1) == 0) e.get()->position = i;
}

void timer_heap::up(std::uint32_t i, entry e) noexcept {
  while (i > 0) {
    const std::uint32_t parent = (i - 1) / 4;
    if (entries_[parent].when <= e.when) break;
    place(i, entries_[parent]);
    i = parent;
  }
  place(i, e);
}

void timer_heap::down(std::uint32_t i, entry e) noexcept {
  for (;;) {
    const std::uint32_t first = 4 * i + 1;
    if (first >= size_) break;
    std::uint32_t least = first;
    for (std::uint32_t c = first + 1; c < std::min(first + 4, size_); c++)
      if (entries_[c].when < entries_[least].when) least = c;
    if (entries_[least].when >= e.when) break;
    place(i, entries_[least]);
    i = least;
  }
  place(i, e);
}

void timer_heap::take(std::uint32_t i) noexcept {
  entries_[i].get()->heap.store(nullptr, std::memory_order_release);  // [mo:timers.heap] our last touch of the timer
  const entry last = entries_[--size_];
  if (i == size_) return;
  if (i > 0 && last.when < entries_[(i - 1) / 4].when) up(i, last);
  else down(i, last);
}

void timer_heap::publish() noexcept {
  // [mo:timers] release: who reads the time and takes the lock finds the timer.
  earliest_.store(size_ > 0 ? entries_[0].when : never, std::memory_order_release);
}

// The four children of an entry lie in one cache line: entry 1 starts one.
void timer_heap::grow() noexcept {
  constexpr std::size_t line = 64, before = line / sizeof(entry) - 1;
  static_assert(sizeof(entry) * 4 == line);
  const std::uint32_t more = capacity_ ? capacity_ * 2 : 60;
  void* memory = std::aligned_alloc(line, (before + more + 1) * sizeof(entry) / line * line + line);
  if (!memory) fatal("out of memory: timers");
  auto* bigger = static_cast<entry*>(memory) + before;
  if (entries_) {
    std::copy(entries_, entries_ + size_, bigger);
    std::free(entries_ - before);
  }
  entries_ = bigger;
  capacity_ = more;
}

bool timer_heap::add(heap_timer* t, removal r) noexcept {
  lock_guard hold(lock_);
  if (size_ == capacity_) grow();
  t->heap.store(this, std::memory_order_release);  // [mo:timers.heap]
  up(size_++, entry(t, r));
  if (entries_[0].get() != t) return false;
  publish();
  return true;
}

bool timer_heap::remove(heap_timer* t) noexcept {
  for (;;) {
    // [mo:timers.heap] acquire, pairs with the releases: when it is null, the heap has touched the timer for the last time.
    timer_heap* h = t->heap.load(std::memory_order_acquire);
    if (!h) return false;
    lock_guard hold(h->lock_);
    timer_heap* now = t->heap.load(std::memory_order_relaxed);
    if (!now) return false;   // it fired while we took the lock, which its `fire` has left by now
    if (now != h) continue;   // it moved with a P that went
    const bool first = t->position == 0;
    h->take(t->position);
    if (first) h->publish();
    return true;
  }
}

std::uint32_t timer_heap::run(std::int64_t now, due_list& due) noexcept {
  if (earliest() > now) return 0;
  std::uint32_t fired = 0;
  lock_guard hold(lock_);
  while (size_ > 0 && entries_[0].when <= now && !due.full()) {
    heap_timer* t = entries_[0].get();
    const auto fire = t->fire;
    fire(t, due);
    take(0);
    fired++;
  }
  publish();
  return fired;
}

void timer_heap::move_to(timer_heap& other) noexcept {
  // Both locks: a foreign thread, which no stop of the world stops, may remove one of them meanwhile.
  lock_guard hold(lock_);
  other.lock_.lock_second();
  for (std::uint32_t i = 0; i < size_; i++) {
    if (other.size_ == other.capacity_) other.grow();
    entries_[i].get()->heap.store(&other, std::memory_order_release);  // [mo:timers.heap]
    other.up(other.size_++, entries_[i]);
  }
  size_ = 0;
  publish();
  other.publish();
  other.lock_.unlock_second();
}

}  // namespace weft
