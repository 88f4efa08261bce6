// sync/thread_counts.cpp: see thread_counts.hpp.
#include "sync/thread_counts.hpp"

#include <cstdlib>
#include <new>

#include "base/throw.hpp"
#include "lock/lock.hpp"

namespace weft {

namespace {

atomic<thread_counts*> all{nullptr};
atomic<unsigned> made{0};

// Hands a thread's counters on when it ends.
struct keeper {
  ~keeper() {
    if (thread_counts* c = self()->counts) {
      self()->counts = nullptr;
      c->taken.store(false, std::memory_order_release);  // [mo:thread_counts] pairs with the exchange of the next owner
    }
  }
};

ranked_lock<rank::leaf> slots_lock;
std::uint64_t slots_used[thread_counts::slots / 64] = {1};  // slot 0 means none

}  // namespace

thread_counts* all_thread_counts() noexcept { return all.load(std::memory_order_acquire); }  // [mo:thread_counts]

thread_counts* adopt_thread_counts() noexcept {
  thread_local keeper on_exit;
  static_cast<void>(on_exit);
  thread_counts* c = all_thread_counts();
  // [mo:thread_counts] acquire, pairs with the release in ~keeper(): the counters go on from where they were.
  while (c && (c->taken.load(std::memory_order_relaxed) || c->taken.exchange(true, std::memory_order_acquire))) c = c->next;
  if (!c) {
    void* memory = std::aligned_alloc(alignof(thread_counts), sizeof(thread_counts));
    if (!memory) fatal("out of memory");
    c = ::new (memory) thread_counts;
    c->number = made.fetch_add(1, std::memory_order_relaxed);
    c->next = all.load(std::memory_order_relaxed);
    // [mo:thread_counts] release, pairs with the acquire in all_thread_counts(). seq_cst by way of the exchange: its first
    // addition comes after it, so who sums up sees the block or the thread sees the flag, as for any other addition.
    while (!all.compare_exchange_weak(c->next, c, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    }
  }
  self()->counts = c;
  return c;
}

unsigned take_slot() noexcept {
  lock_guard hold(slots_lock);
  for (unsigned word = 0; word < thread_counts::slots / 64; word++) {
    if (~slots_used[word] == 0) continue;
    const auto bit = static_cast<unsigned>(__builtin_ctzll(~slots_used[word]));
    slots_used[word] |= std::uint64_t{1} << bit;
    return word * 64 + bit;
  }
  return 0;
}

void give_slot(unsigned slot) noexcept {
  lock_guard hold(slots_lock);
  slots_used[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
}

}  // namespace weft
