// latch.hpp: waiting until a count that only goes down is 0: std::latch, for goroutines and threads.
#pragma once

#include <chrono>
#include <cstddef>

#include <weft/detail/context_wait.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/waiters.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

class latch {
 public:
  /// 0 or more.
  constexpr explicit latch(std::ptrdiff_t count) noexcept : count_(count) {}
  ~latch() {
    if (WEFT_UNLIKELY(core_.list.first != nullptr)) detail::destroyed_in_use("weft::latch");
  }
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  /// Takes n off; at 0 all that wait go on. Below 0 throws panic: "sync: negative latch counter".
  /// Parks: no.    Threads: any.    Allocates: no.
  WEFT_API void count_down(std::ptrdiff_t n = 1);
  /// Whether the count is 0.    Parks: no.    Threads: any.
  [[nodiscard]] WEFT_API bool try_wait() const noexcept;
  /// Waits until the count is 0. Then the latch may be destroyed.
  /// Parks: yes.    Threads: any.    Allocates: no.
  void wait() const { static_cast<void>(wait_until_limit({})); }
  /// False when that took longer.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> d) const {
    return wait_until_limit({.deadline = detail::deadline_after_ns(detail::to_ns(d))}) == detail::wait_end::woken;
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool wait_until(std::chrono::time_point<Clock, Duration> t) const {
    for (auto now = detail::now_on<Clock>(); now < t; now = detail::now_on<Clock>()) {
      if (wait_for(t - now)) return true;
    }
    return try_wait();
  }
  /// Waits until the count is 0, unless ctx is done before; then its error. Not at all when ctx is done already.
  /// Parks: yes.    Threads: any.    Allocates: no.
  result<void> wait(const context& ctx) const {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (!detail::is_over(limit) && wait_until_limit(limit) == detail::wait_end::woken) return {};
    return detail::err_of(ctx);
  }
  /// count_down(n) and wait().
  void arrive_and_wait(std::ptrdiff_t n = 1) {
    count_down(n);
    wait();
  }

 private:
  [[nodiscard]] WEFT_API detail::wait_end wait_until_limit(const detail::wait_limit& limit) const;

  mutable detail::waiters_core core_;
  std::ptrdiff_t count_;  // guarded by core_.lock
};

}  // namespace weft
