// net/fd_mutex.hpp: one reader and one writer at a time on a descriptor, and a close that needs neither's turn.
// Operations hold a reference; close() marks, wakes who queues, and the last reference to go closes the descriptor. So a
// descriptor number is never reused under somebody's feet. Source: Go's internal/poll/fd_mutex.go.
#pragma once

#include <cstdint>

#include <weft/detail/wait_limit.hpp>
#include <weft/detail/wait_list.hpp>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "sched/lap.hpp"
#include "sync/semaphore.hpp"
#include "work/netpoll.hpp"

namespace weft::net::detail {

class fd_mutex {
 public:
  /// False when it is closed.
  [[nodiscard]] bool add_ref() noexcept {
    std::uint64_t old = state_.load(std::memory_order_relaxed);
    do {
      if (old & closed_bit) return false;
      check_room((old & refs_mask) == refs_mask);
    } while (!state_.compare_exchange_weak(old, old + one_ref, std::memory_order_acquire, std::memory_order_relaxed));  // [mo:fd_mutex]
    return true;
  }
  /// Marks it closed and wakes who waits for their turn; false when it was. Takes a reference as add_ref() does.
  [[nodiscard]] bool close() noexcept {
    std::uint64_t old = state_.load(std::memory_order_relaxed);
    do {
      if (old & closed_bit) return false;
      check_room((old & refs_mask) == refs_mask);
    } while (!state_.compare_exchange_weak(old, ((old | closed_bit) & ~(waiters_mask << read_waiters | waiters_mask << write_waiters)) + one_ref,
                                           std::memory_order_acq_rel, std::memory_order_relaxed));  // [mo:fd_mutex]
    for (auto n = (old >> read_waiters) & waiters_mask; n > 0; n--) weft::detail::release(turn_[0]);
    for (auto n = (old >> write_waiters) & waiters_mask; n > 0; n--) weft::detail::release(turn_[1]);
    return true;
  }
  /// True when this was the last reference of a closed one: the caller closes the descriptor.
  [[nodiscard]] bool drop_ref() noexcept {
    const std::uint64_t now = state_.fetch_sub(one_ref, std::memory_order_acq_rel) - one_ref;  // [mo:fd_mutex]
    return (now & closed_bit) != 0 && (now & refs_mask) == 0;
  }
  /// A turn to read or to write, and a reference; waits for it.
  enum class turn : std::uint8_t { taken, closed, cancelled };
  [[nodiscard]] turn lock(direction d, const weft::detail::wait_limit& limit = {}) noexcept {
    const std::uint64_t bit = d == direction::read ? read_bit : write_bit;
    const int waiters = d == direction::read ? read_waiters : write_waiters;
    std::uint64_t old = state_.load(std::memory_order_relaxed);
    for (;;) {
      if (old & closed_bit) return turn::closed;
      check_room((old >> waiters & waiters_mask) == waiters_mask || (old & refs_mask) == refs_mask);
      const std::uint64_t wanted = old & bit ? old + (std::uint64_t{1} << waiters) : (old | bit) + one_ref;
      if (!state_.compare_exchange_weak(old, wanted, std::memory_order_acquire, std::memory_order_relaxed)) continue;  // [mo:fd_mutex]
      if ((old & bit) == 0) return turn::taken;
      auto& queue = turn_[static_cast<int>(d)];
      if (limit.none()) {
        weft::detail::acquire(queue, weft::detail::queue_end::back, wait_reason::io_wait);
      } else if (weft::detail::acquire(queue, weft::detail::queue_end::back, wait_reason::io_wait, limit) != weft::detail::wait_end::woken) {
        // One off the count, unless the last of it was taken for a wake-up: that one is on its way to us, and may have to be
        // passed on, which who has a turn does at its end. With that turn the operation sees by itself that it is cancelled.
        old = state_.load(std::memory_order_relaxed);
        while ((old >> waiters & waiters_mask) != 0) {
          if (state_.compare_exchange_weak(old, old - (std::uint64_t{1} << waiters), std::memory_order_relaxed)) return turn::cancelled;
        }
        while (!weft::detail::try_acquire(queue)) give_way();
      }
      old = state_.load(std::memory_order_relaxed);  // the one who woke us took us off the count; compete again
    }
  }
  /// As drop_ref().
  [[nodiscard]] bool unlock(direction d) noexcept {
    const std::uint64_t bit = d == direction::read ? read_bit : write_bit;
    const int waiters = d == direction::read ? read_waiters : write_waiters;
    std::uint64_t old = state_.load(std::memory_order_relaxed);
    for (;;) {
      WEFT_INVARIANT((old & bit) != 0, "fd_mutex: unlock of an unlocked one");
      const bool wake = (old >> waiters & waiters_mask) != 0;
      const std::uint64_t wanted = (old & ~bit) - one_ref - (wake ? std::uint64_t{1} << waiters : 0);
      if (!state_.compare_exchange_weak(old, wanted, std::memory_order_acq_rel, std::memory_order_relaxed)) continue;  // [mo:fd_mutex]
      if (wake) weft::detail::release(turn_[static_cast<int>(d)]);
      return (wanted & closed_bit) != 0 && (wanted & refs_mask) == 0;
    }
  }
  [[nodiscard]] bool is_closed() const noexcept { return (state_.load(std::memory_order_relaxed) & closed_bit) != 0; }

 private:
  static constexpr std::uint64_t closed_bit = 1, read_bit = 2, write_bit = 4, one_ref = 8;
  static constexpr std::uint64_t refs_mask = ((std::uint64_t{1} << 20) - 1) << 3, waiters_mask = (1 << 20) - 1;
  static constexpr int read_waiters = 23, write_waiters = 43;
  // One more would carry into the next field.
  static void check_room(bool full) noexcept {
    if (__builtin_expect(full, 0)) fatal("net: too many goroutines wait for one descriptor");
  }
  atomic<std::uint64_t> state_{0};
  weft::detail::semaphore_core turn_[2];
};

}  // namespace weft::net::detail
