// work/runq.hpp: the run queue of one P: a ring of 256 and one slot before it, `next`.
// One owner (the M that holds the P) puts and gets; any M may steal. Nothing here blocks, allocates or calls up.
// Source: Go's proc.go (runqput, runqget, runqgrab).
// Invariants
//   R1  tail - head <= capacity, in wrapping 32-bit arithmetic.
//   R2  every g in [head, tail) is runnable and on no other list.
//   R3  the owner alone writes tail_ and the ring. While there are thieves, head_ moves only by compare-exchange and next_ only
//       by exchange; while there are none the owner moves both by plain stores, between busy_ = 1 and 0 (thieves.hpp).
// Why not Chase-Lev: it gives the owner last-in first-out order, which starves the oldest goroutine.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "goroutine/g.hpp"
#include "work/thieves.hpp"

namespace weft {

enum class slice : std::uint8_t { fresh, inherit };  // whether a goroutine goes on with the time slice of who readied it

class runq {
 public:
  static constexpr std::uint32_t capacity = model_build ? 4 : 256;  // small, so that a model reaches wrap and overflow

  /// Appends gp. False when full; the caller then moves half to the global queue with take_half(). Owner only.
  [[nodiscard]] bool try_put(runnable* gp) noexcept {
    // [mo:runq.head] acquire, pairs with the releases of head_: a slot is reused after its last reader.
    const std::uint32_t head = head_.load(std::memory_order_acquire);
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);  // [mo:own] only we write it
    WEFT_INVARIANT(tail - head <= capacity, "runq: size out of range", head, tail);  // R1
    if (tail - head == capacity) return false;
    ring_[tail % capacity].store(gp, std::memory_order_relaxed);  // [mo:runq.tail] published below
    tail_.store(tail + 1, std::memory_order_release);  // [mo:runq.tail] pairs with the acquires of tail_ in grab()
    return true;
  }

  /// Puts gp into `next`; gives back who was there, to be appended. Owner only.
  [[nodiscard, gnu::always_inline]] runnable* exchange_next(runnable* gp) noexcept {
    runnable* old;
    if (exchange_next_alone(gp, old)) return old;
    // [mo:runq.next] acq_rel: release publishes gp to a thief.
    return next_.exchange(gp, std::memory_order_acq_rel);
  }
  /// The same when there are no thieves; else false. Owner only.
  [[nodiscard, gnu::always_inline]] bool exchange_next_alone(runnable* gp, runnable*& old) noexcept {
    const bool can = __builtin_expect(alone(), 1);
    if (can) {
      old = next_.load(std::memory_order_relaxed);
      next_.store(gp, std::memory_order_release);  // [mo:runq.next] publishes gp to a thief that comes later
    }
    leave();
    return can;
  }

  /// `next`, else the oldest of the ring, else null. Owner only.
  [[nodiscard, gnu::always_inline]] runnable* get(slice& s) noexcept {
    runnable* gp;
    if (get_alone(gp, s)) return gp;
    slice contested = slice::fresh;  // so that s may stay in a register
    gp = get_contested(contested);
    s = contested;
    return gp;
  }
  /// The same when there is somebody and there are no thieves; else false. Owner only.
  [[nodiscard, gnu::always_inline]] bool get_alone(runnable*& gp, slice& s) noexcept {
    bool found = false;
    if (__builtin_expect(alone(), 1)) {
      if ((gp = next_.load(std::memory_order_relaxed))) {
        next_.store(nullptr, std::memory_order_release);  // [mo:runq.next]
        s = slice::inherit;
        found = true;
      } else if (const std::uint32_t head = head_.load(std::memory_order_relaxed); head != tail_.load(std::memory_order_relaxed)) {  // [mo:own]
        gp = ring_[head % capacity].load(std::memory_order_relaxed);
        head_.store(head + 1, std::memory_order_release);  // [mo:runq.head]
        s = slice::fresh;
        found = true;
      }
    }
    leave();
    return found;
  }
  [[nodiscard, gnu::noinline]] runnable* get_contested(slice& s) noexcept {
    s = slice::inherit;
    // A thief may take it between the two: then this gives null.
    if (next_.load(std::memory_order_relaxed))
      if (runnable* gp = next_.exchange(nullptr, std::memory_order_acq_rel)) return gp;  // [mo:runq.next]
    s = slice::fresh;
    std::uint32_t head = head_.load(std::memory_order_acquire);  // [mo:runq.head] synchronises with other takers
    for (;;) {
      if (head == tail_.load(std::memory_order_relaxed)) return nullptr;  // [mo:own]
      runnable* gp = ring_[head % capacity].load(std::memory_order_relaxed);
      // [mo:runq.head] release: the slot may be reused only after this read.
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_release, std::memory_order_acquire)) return gp;
    }
  }

  /// A thief, once in each spell of stealing: whether the owner has seen it. False: it is (for an instant) in the middle of
  /// something, or off its processor there; try another victim.
  [[nodiscard]] bool owner_knows() const noexcept {
    for (int i = 0; i < (model_build ? 2 : 100); i++) {
      if (busy_.load(std::memory_order_acquire) == 0) return true;  // [mo:runq.busy] pairs with the release in leave()
      cpu_relax();
    }
    return false;
  }

  /// Takes half of a full ring, oldest first, into `out`; false if thieves were faster. Owner only: always atomic, it is rare.
  [[nodiscard]] bool take_half(g_list& out) noexcept {
    std::uint32_t head = head_.load(std::memory_order_acquire);  // [mo:runq.head]
    const std::uint32_t n = (tail_.load(std::memory_order_relaxed) - head) / 2;
    if (n != capacity / 2) return false;
    // [mo:runq.head]
    if (!head_.compare_exchange_strong(head, head + n, std::memory_order_release, std::memory_order_relaxed)) return false;
    for (std::uint32_t i = 0; i < n; i++) out.push_back(ring_[(head + i) % capacity].load(std::memory_order_relaxed));  // still there: only we write slots
    return true;
  }

  /// Moves half of the ring (rounded up) to the thief's own queue, which is empty, and returns one of them to run; null when
  /// there was nothing. Any M that holds another P.
  [[nodiscard]] runnable* steal_into(runq& mine, std::uint32_t& count) noexcept {
    const std::uint32_t tail = mine.tail_.load(std::memory_order_relaxed);
    std::uint32_t head = head_.load(std::memory_order_acquire);  // [mo:runq.head]
    for (;;) {
      const std::uint32_t available = tail_.load(std::memory_order_acquire) - head;  // [mo:runq.tail] the ring's entries are there
      const std::uint32_t n = available - available / 2;
      if (n == 0) return nullptr;
      if (n > capacity / 2) {  // head and tail were read apart
        head = head_.load(std::memory_order_acquire);  // [mo:runq.head]
        continue;
      }
      for (std::uint32_t i = 0; i < n; i++)
        mine.ring_[(tail + i) % capacity].store(ring_[(head + i) % capacity].load(std::memory_order_relaxed), std::memory_order_relaxed);
      // [mo:runq.head] release: our reads of the slots are before it. On failure what was copied is not published.
      if (!head_.compare_exchange_strong(head, head + n, std::memory_order_release, std::memory_order_acquire)) continue;
      runnable* gp = mine.ring_[(tail + n - 1) % capacity].load(std::memory_order_relaxed);
      if (n > 1) mine.tail_.store(tail + n - 1, std::memory_order_release);  // [mo:runq.tail]
      count = n;
      return gp;
    }
  }

  /// Takes `next`, whoever it is. The owner, or any M.
  [[nodiscard]] runnable* steal_next() noexcept {
    if (!next_.load(std::memory_order_relaxed)) return nullptr;
    return next_.exchange(nullptr, std::memory_order_acq_rel);  // [mo:runq.next]
  }
  /// Takes `next` if it is still gp. Any M.
  [[nodiscard]] bool steal_next_if(runnable* gp) noexcept {
    return next_.compare_exchange_strong(gp, nullptr, std::memory_order_acq_rel, std::memory_order_relaxed);  // [mo:runq.next]
  }
  /// Who is there; a guess for others than the owner.
  [[nodiscard]] runnable* peek_next() const noexcept { return next_.load(std::memory_order_relaxed); }

  /// Whether there is nothing. From other threads it may be out of date, but never says empty while one moves from `next`
  /// to the ring: head, tail and next are read until tail stays the same.
  [[nodiscard]] bool empty() const noexcept {
    for (;;) {
      const std::uint32_t head = head_.load(std::memory_order_acquire);  // [mo:runq.head]
      const std::uint32_t tail = tail_.load(std::memory_order_acquire);  // [mo:runq.tail]
      const runnable* next = next_.load(std::memory_order_acquire);  // [mo:runq.next]
      if (tail == tail_.load(std::memory_order_acquire)) return head == tail && next == nullptr;  // [mo:runq.tail]
    }
  }
  /// Entries of the ring; owner only, else a guess.
  [[nodiscard]] std::uint32_t ring_size() const noexcept {
    return tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_relaxed);
  }

 private:
  /// Between alone() and leave() the owner has the queue for itself, if alone() said so.
  [[gnu::always_inline]] bool alone() noexcept {
    busy_.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // [mo:thieves] pairs with barrier_on_all_threads()
    // [mo:thieves] acquire: with 0, what the last thief took is seen.
    return thieves.count.load(std::memory_order_acquire) == 0;
  }
  [[gnu::always_inline]] void leave() noexcept { busy_.store(0, std::memory_order_release); }  // [mo:runq.busy]

  alignas(64) atomic<std::uint32_t> head_{0};
  alignas(64) atomic<std::uint32_t> tail_{0};
  atomic<std::uint32_t> busy_{0};  // the owner is inside, or about to look whether it is alone
  atomic<runnable*> next_{nullptr};
  atomic<runnable*> ring_[capacity] = {};
};

}  // namespace weft
