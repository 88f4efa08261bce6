// mutex.hpp: mutual exclusion for goroutines and threads.
// A mutex belongs to no goroutine: one may lock it and another unlock it, and it may be held over a park. Lockable, so
// std::lock_guard, std::unique_lock (with time limits too) and std::scoped_lock work. Fair as Go's is: newcomers may overtake, until somebody has
// waited for 1 ms; then it is handed over in order. Source: Go's internal/sync/mutex.go.
#pragma once

#include <chrono>
#include <cstdint>

#include <weft/detail/atomic.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/context_wait.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/waiters.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

namespace detail {
class mutex_wait;  // src/sync/mutex_wait.hpp
}

class mutex {
 public:
  constexpr mutex() noexcept = default;
  ~mutex() {
    if (WEFT_UNLIKELY(sema_.waiters.first != nullptr)) detail::destroyed_in_use("weft::mutex");
  }
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  /// Locks, waiting while it is held. Locking it twice in one goroutine is a deadlock, reported as such when nothing else runs.
  /// Parks: yes.    Threads: any.    Allocates: no.
  void lock() {
    // [mo:mutex] acquire, pairs with the release in unlock(). While it is handed over the bit stays set, so nobody can come between.
    // A bit set and tested in one instruction: a pair with unlock() takes 4.4 ns where a compare-exchange makes it 4.8.
    if (WEFT_UNLIKELY((state_.fetch_or(locked, std::memory_order_acquire) & locked) != 0)) lock_slow();
  }
  /// Locks if it is free now.    Parks: no.    Threads: any.
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t s = state_.load(std::memory_order_relaxed);
    // [mo:mutex]
    return (s & (locked | starving)) == 0 && state_.compare_exchange_strong(s, s | locked, std::memory_order_acquire, std::memory_order_relaxed);
  }
  /// Locks, waiting at most d, or until t on t's own clock; false when it was not to be had.    Parks: yes.    Threads: any.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    if (try_lock()) return true;
    return d > d.zero() && lock_until({.deadline = detail::deadline_after_ns(detail::to_ns(d))}) == detail::wait_end::woken;
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> t) {
    do {
      if (try_lock_for(detail::time_until(t))) return true;
    } while (detail::now_on<Clock>() < t);  // a clock that was set meanwhile
    return false;
  }
  /// Locks, unless ctx is done before; then its error. Not at all when ctx is done already.    Parks: yes.    Threads: any.
  result<void> lock(const context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (!detail::is_over(limit) && (try_lock() || lock_until(limit) == detail::wait_end::woken)) return {};
    return detail::err_of(ctx);
  }
  /// Unlocks. Of a mutex that is not locked: fatal ("sync: unlock of unlocked mutex").
  /// Parks: no, but lets a waiter run that has waited for more than 1 ms.    Threads: any.
  void unlock() noexcept {
    std::uint32_t expected = locked;
    // [mo:mutex] release, pairs with the acquires of whoever locks next.
    if (WEFT_UNLIKELY(!state_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed))) unlock_slow();
  }

 private:
  friend class detail::mutex_wait;
  static constexpr std::uint32_t locked = 1, woken = 2, starving = 4, handing_over = 8, one_waiter = 16;
  WEFT_API void lock_slow();
  WEFT_API detail::wait_end lock_until(const detail::wait_limit& limit);
  WEFT_API void unlock_slow() noexcept;
  enum class given : std::uint8_t { nothing, a_wake_up, the_mutex };
  given give_up() noexcept;

  detail::atomic<std::uint32_t> state_{0};  // bits above; the rest counts those that wait
  detail::semaphore_core sema_;
};

}  // namespace weft
