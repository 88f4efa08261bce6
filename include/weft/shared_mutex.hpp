// shared_mutex.hpp: a lock that either one writer or any number of readers hold: Go's sync.RWMutex in std::shared_timed_mutex's
// words. std::unique_lock and std::shared_lock work on it. Any goroutine may give back what another one took.
// Fair to both sides: a writer that waits keeps new readers out, and when a writer leaves, all readers that have come so far get
// in before the next writer; writers take turns in order. So do not take it for reading twice in one goroutine: a writer
// may come in between.
// Made for reading: a lock that is read again and again without a writer changes over to counting its readers by thread,
// which costs them no locked instruction and no shared cache line; the next writer pays for it, with a barrier on all threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <weft/detail/config.hpp>
#include <weft/detail/context_wait.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/waiters.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

namespace detail {
struct shared_mutex_impl;
}

class shared_mutex {
 public:
  constexpr shared_mutex() noexcept = default;
  WEFT_API ~shared_mutex();
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  /// Locks for writing, waiting while anybody holds it.
  /// Parks: yes.    Threads: any.    Allocates: no.
  void lock() { static_cast<void>(lock_until({})); }
  /// Parks: no.    Threads: any.
  [[nodiscard]] WEFT_API bool try_lock() noexcept;
  /// False when it was not to be had in that time.    Parks: yes.    Threads: any.    Allocates: no.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    return try_lock() || (d > d.zero() && lock_until({.deadline = detail::deadline_after_ns(detail::to_ns(d))}) == detail::wait_end::woken);
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(std::chrono::time_point<Clock, Duration> t) {
    for (auto now = detail::now_on<Clock>(); now < t; now = detail::now_on<Clock>()) {
      if (try_lock_for(t - now)) return true;
    }
    return try_lock();
  }
  /// Locks for writing, unless ctx is done before; then its error. Not at all when ctx is done already.
  /// Parks: yes.    Threads: any.    Allocates: no.
  result<void> lock(const context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (!detail::is_over(limit) && lock_until(limit) == detail::wait_end::woken) return {};
    return detail::err_of(ctx);
  }
  /// Of one that is not locked for writing: fatal ("sync: Unlock of unlocked RWMutex").
  /// Parks: no.    Threads: any.
  WEFT_API void unlock() noexcept;

  /// Locks for reading, waiting while a writer holds it or waits for it.
  /// Parks: yes.    Threads: any.    Allocates: once per thread, 8 KiB that are kept, when a lock is read by it very often.
  WEFT_API void lock_shared();
  /// False also while a writer waits.    Parks: no.    Threads: any.
  [[nodiscard]] WEFT_API bool try_lock_shared() noexcept;
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_shared_for(std::chrono::duration<Rep, Period> d) {
    return try_lock_shared() || (d > d.zero() && lock_shared_until({.deadline = detail::deadline_after_ns(detail::to_ns(d))}) == detail::wait_end::woken);
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> t) {
    for (auto now = detail::now_on<Clock>(); now < t; now = detail::now_on<Clock>()) {
      if (try_lock_shared_for(t - now)) return true;
    }
    return try_lock_shared();
  }
  /// Locks for reading, unless ctx is done before; then its error. Not at all when ctx is done already.
  /// Parks: yes.    Threads: any.    Allocates: as lock_shared().
  result<void> lock_shared(const context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (!detail::is_over(limit) && lock_shared_until(limit) == detail::wait_end::woken) return {};
    return detail::err_of(ctx);
  }
  /// Of one that nobody holds for reading: fatal ("sync: RUnlock of unlocked RWMutex"). Beside a reader that is inside it passes for
  /// that one's, as in Go. Where readers are counted by thread, and some have left on another thread than they came on, it may be
  /// noticed later: by the first writer, or the destructor, that comes when no reader is inside. A weft built with WEFT_SLOW_CHECKS
  /// notices it at once there, too.
  /// Parks: no.    Threads: any.
  WEFT_API void unlock_shared() noexcept;

  /// The reading side as a lockable of its own, for what wants lock() and unlock(): Go's RLocker. Valid as long as the mutex.
  class reader {
   public:
    explicit reader(shared_mutex& m) noexcept : m_(&m) {}
    void lock() { m_->lock_shared(); }
    [[nodiscard]] bool try_lock() noexcept { return m_->try_lock_shared(); }
    void unlock() noexcept { m_->unlock_shared(); }

   private:
    shared_mutex* m_;
  };
  [[nodiscard]] reader rlocker() noexcept { return reader(*this); }

 private:
  friend struct detail::shared_mutex_impl;
  [[nodiscard]] WEFT_API detail::wait_end lock_until(const detail::wait_limit& limit);
  [[nodiscard]] WEFT_API detail::wait_end lock_shared_until(const detail::wait_limit& limit);

  std::atomic<std::uint64_t> state_{0};  // src/sync/shared_mutex.cpp
  detail::wait_list waiters_;
};

}  // namespace weft
