// semaphore.hpp: a number of permits, taken and given back several at a time. Source of the manner: golang.org/x/sync/semaphore.
// First come, first served: one that waits for many permits is not starved by those that want few, who queue behind it.
#pragma once

#include <chrono>
#include <cstddef>
#include <utility>

#include <weft/detail/context_wait.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/waiters.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

class semaphore {
 public:
  /// With so many permits to begin with; 0 or more.
  constexpr explicit semaphore(std::ptrdiff_t permits) noexcept : permits_(permits) {}
  ~semaphore() {
    if (WEFT_UNLIKELY(core_.list.first != nullptr)) detail::destroyed_in_use("weft::semaphore");
  }
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;

  /// Takes n permits at once, waiting until they are there. More than there will ever be: waits for ever.
  /// Parks: yes.    Threads: any.    Allocates: no.
  void acquire(std::ptrdiff_t n = 1) { static_cast<void>(acquire_until(n, {})); }
  /// Takes them if they are there and nobody waits.    Parks: no.    Threads: any.
  [[nodiscard]] WEFT_API bool try_acquire(std::ptrdiff_t n = 1) noexcept;
  /// False when they did not come in that time.    Parks: yes.    Threads: any.    Allocates: no.
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> d, std::ptrdiff_t n = 1) {
    if (d <= d.zero()) return try_acquire(n);
    return acquire_until(n, {.deadline = detail::deadline_after_ns(detail::to_ns(d))}) == detail::wait_end::woken;
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_acquire_until(std::chrono::time_point<Clock, Duration> t, std::ptrdiff_t n = 1) {
    for (auto now = detail::now_on<Clock>(); now < t; now = detail::now_on<Clock>()) {
      if (try_acquire_for(t - now, n)) return true;
    }
    return try_acquire(n);
  }
  /// Takes n permits at once, unless ctx is done before they are there; then its error, and none is taken. Not at all when ctx is
  /// done already.    Parks: yes.    Threads: any.    Allocates: no.
  result<void> acquire(const context& ctx, std::ptrdiff_t n = 1) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (!detail::is_over(limit) && acquire_until(n, limit) == detail::wait_end::woken) return {};
    return detail::err_of(ctx);
  }
  /// Gives n permits: to those that wait, in order, as far as they go.
  /// Parks: no.    Threads: any.    Allocates: no.
  WEFT_API void release(std::ptrdiff_t n = 1) noexcept;

 private:
  struct waiter;
  [[nodiscard]] WEFT_API detail::wait_end acquire_until(std::ptrdiff_t n, const detail::wait_limit& limit);
  void grant(void* woken) noexcept;

  detail::waiters_core core_;
  std::ptrdiff_t permits_;  // guarded by core_.lock
};

}  // namespace weft
