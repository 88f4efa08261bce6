// lock/lock.hpp: the runtime's lock: held for a few dozen instructions (seldom longer: when a table grows), never over a park,
// never under user code.
// One locked instruction to take it and a plain store to give it back, so that a channel operation pays once. Who finds it
// taken spins, then lets the kernel run somebody else, who may be the holder; nobody has to be woken, so unlock has no
// slow half. Rejected: a futex lock, whose unlock is a second locked instruction (5 ns of a 15 ns channel operation).
#pragma once

#include <sched.h>
#include <time.h>

#include <cstdint>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "lock/thread_state.hpp"

namespace weft {

/// The order in which locks are taken: a thread that holds one takes only later ones. Checked with WEFT_SLOW_CHECKS.
enum class rank : std::uint8_t { none, wait_list, channel, poll_desc, sched, timers, all_goroutines, memory, leaf };

namespace detail {
// Looks seldom, and more seldom with time: each look takes the cache line away from the holder, and a holder who is left alone
// gets many turns done in the time of one handed over (chan_mpmc at procs 2: 65 ns a message with a steady look, 25 with this).
[[gnu::cold, gnu::noinline]] inline void lock_contended(atomic<std::uint32_t>& word) noexcept {
  for (unsigned round = 0;; round++) {
    if (round < 16) {
      for (unsigned i = 0; i < 8u << (round < 5 ? round : 5); i++) cpu_relax();
    } else if (round < 64) {
      ::sched_yield();
    } else {  // the holder's thread does not get a processor: stop competing with it
      const timespec pause{0, 50'000};
      ::nanosleep(&pause, nullptr);
    }
    refuse_in_forked_child();  // the holder's thread is not here
    // [mo:lock] acquire, pairs with the release in unlock().
    if (word.load(std::memory_order_relaxed) == 0 && word.exchange(1, std::memory_order_acquire) == 0) return;
  }
}
}  // namespace detail

[[gnu::always_inline]] inline void lock_word(atomic<std::uint32_t>& word) noexcept {
  count_locks<1>();
  // [mo:lock] acquire, pairs with the release in unlock_word().
  if (__builtin_expect(word.exchange(1, std::memory_order_acquire) != 0, 0)) detail::lock_contended(word);
}
[[gnu::always_inline]] inline void unlock_word(atomic<std::uint32_t>& word) noexcept {
  // [mo:lock] release, pairs with the acquires of whoever takes it next.
  word.store(0, std::memory_order_release);
  count_locks<-1>();
}

template <rank R>
class ranked_lock {
 public:
  constexpr ranked_lock() noexcept = default;
  ranked_lock(const ranked_lock&) = delete;
  ranked_lock& operator=(const ranked_lock&) = delete;

  void lock() noexcept {
    lock_word(word_);
#if WEFT_SLOW_CHECKS
    if constexpr (R != rank::channel && R != rank::wait_list) {  // those may be held twice, in the order of their addresses
      thread_state* t = self();
      WEFT_INVARIANT((t->ranks >> static_cast<unsigned>(R)) == 0, "lock: taken out of order", static_cast<unsigned>(R), t->ranks);
      t->ranks |= 1u << static_cast<unsigned>(R);
    }
#endif
  }
  void unlock() noexcept {
#if WEFT_SLOW_CHECKS
    if constexpr (R != rank::channel && R != rank::wait_list) self()->ranks &= ~(1u << static_cast<unsigned>(R));
#endif
    unlock_word(word_);
  }
  /// A second one of the same rank, where only one thread at a time ever holds two.
  void lock_second() noexcept { lock_word(word_); }
  void unlock_second() noexcept { unlock_word(word_); }
  [[nodiscard]] bool try_lock() noexcept {
    count_locks<1>();  // first, as in lock_word(): a signal that comes between finds it counted
    if (__builtin_expect(word_.exchange(1, std::memory_order_acquire) != 0, 0)) {  // [mo:lock]
      count_locks<-1>();
      return false;
    }
#if WEFT_SLOW_CHECKS
    if constexpr (R != rank::channel && R != rank::wait_list) self()->ranks |= 1u << static_cast<unsigned>(R);
#endif
    return true;
  }

 private:
  atomic<std::uint32_t> word_{0};
};

template <class L>
class [[nodiscard]] lock_guard {
 public:
  explicit lock_guard(L& l) noexcept : lock_(l) { lock_.lock(); }
  ~lock_guard() { lock_.unlock(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  L& lock_;
};

}  // namespace weft
