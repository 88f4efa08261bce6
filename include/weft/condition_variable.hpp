// condition_variable.hpp: waiting until somebody says that something has changed. Go's sync.Cond in std::condition_variable_any's
// words: it works with whatever has lock() and unlock(), mutex, shared_mutex's reader side, std::unique_lock and std::shared_lock of them.
// Who waits is woken in the order in which they came, and only by a notification: there are no spurious wake-ups. A
// notification that finds nobody waiting is gone; so change what is waited for under the lock, and look at it again after a wait.
#pragma once

#include <chrono>
#include <utility>

#include <weft/detail/context_wait.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/waiters.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

enum class cv_status { no_timeout, timeout };

class condition_variable {
 public:
  constexpr condition_variable() noexcept = default;
  /// When all who wait have been notified; they need not have come back.
  WEFT_API ~condition_variable();
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;

  /// Unlocks `lock`, waits for a notification, and locks it again. Nothing that is notified once `lock` is free is missed.
  /// Parks: yes.    Threads: any.    Allocates: no.
  template <class Lock>
  void wait(Lock& lock) {
    static_cast<void>(wait_until_limit(lock, {}));
  }
  /// Waits until pred(), which is called with the lock held.
  template <class Lock, class Pred>
  void wait(Lock& lock, Pred pred) {
    while (!pred()) wait(lock);
  }
  /// At most d, on the monotonic clock.    Parks: yes.    Threads: any.    Allocates: no.
  template <class Lock, class Rep, class Period>
  cv_status wait_for(Lock& lock, std::chrono::duration<Rep, Period> d) {
    const detail::wait_limit limit{.deadline = detail::deadline_after_ns(detail::to_ns(d))};
    return wait_until_limit(lock, limit) == detail::wait_end::woken ? cv_status::no_timeout : cv_status::timeout;
  }
  /// What pred() says at the end.
  template <class Lock, class Rep, class Period, class Pred>
  bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> d, Pred pred) {
    const detail::wait_limit limit{.deadline = detail::deadline_after_ns(detail::to_ns(d))};
    while (!pred()) {
      if (wait_until_limit(lock, limit) != detail::wait_end::woken) return pred();
    }
    return true;
  }
  /// Until t, on t's own clock.
  template <class Lock, class Clock, class Duration>
  cv_status wait_until(Lock& lock, std::chrono::time_point<Clock, Duration> t) {
    while (wait_for(lock, detail::time_until(t)) == cv_status::timeout) {
      if (detail::now_on<Clock>() >= t) return cv_status::timeout;
    }
    return cv_status::no_timeout;
  }
  template <class Lock, class Clock, class Duration, class Pred>
  bool wait_until(Lock& lock, std::chrono::time_point<Clock, Duration> t, Pred pred) {
    while (!pred()) {
      if (wait_until(lock, t) == cv_status::timeout) return pred();
    }
    return true;
  }
  /// Until ctx is done; then its error, and no notification was used up. When it is done already `lock` stays locked throughout.
  /// Parks: yes.    Threads: any.    Allocates: no.
  template <class Lock>
  result<void> wait(Lock& lock, const context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (!detail::is_over(limit) && wait_until_limit(lock, limit) == detail::wait_end::woken) return {};
    return detail::err_of(ctx);
  }
  /// Until pred(), or until ctx is done. The last word is pred()'s: ctx's error only when it still says no.
  template <class Lock, class Pred>
  result<void> wait(Lock& lock, const context& ctx, Pred pred) {
    while (!pred()) {
      if (result<void> r = wait(lock, ctx); !r) return pred() ? result<void>() : r;
    }
    return {};
  }

  /// Wakes the one that has waited longest, if there is one. With or without the lock.
  /// Parks: no.    Threads: any.    Allocates: no.
  WEFT_API void notify_one() noexcept;
  /// Wakes all that wait now.
  WEFT_API void notify_all() noexcept;

 private:
  template <class Lock>
  detail::wait_end wait_until_limit(Lock& lock, const detail::wait_limit& limit) {
    waiting me(core_);  // before the lock is free, or a notification could be missed
    lock.unlock();
    const detail::wait_end end = me.wait(limit);
    lock.lock();  // as whoever unwinds from here expects it to be
    if (WEFT_UNLIKELY(end != detail::wait_end::woken)) detail::end_of_vain_wait();
    return end;
  }
  // One place in the queue, taken when it is made.
  class WEFT_API waiting {
   public:
    explicit waiting(detail::waiters_core& core) noexcept;
    ~waiting();
    waiting(const waiting&) = delete;
    [[nodiscard]] detail::wait_end wait(const detail::wait_limit& limit) noexcept;

   private:
    detail::waiters_core& core_;
    alignas(8) unsigned char sudog_[64];  // src/sync/condition_variable.cpp
  };

  detail::waiters_core core_;
};

}  // namespace weft
