// rate_limiter.hpp: how often something may happen: a token bucket. Source of the idea: Go's golang.org/x/time/rate.
// It holds at most `burst` tokens and gets `rate` a second; an event takes one. An event may also take tokens that are still to come,
// and is then to happen when they have.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include <weft/context.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/error.hpp>
#include <weft/mutex.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

class rate_limiter;

/// Leave for n events at a time to come. The limiter must outlive it.
class reservation {
 public:
  /// How long to wait from now before the events may happen; 0: they may now.
  [[nodiscard]] WEFT_API std::chrono::nanoseconds delay() const noexcept;
  /// The events will not happen: gives back what those reserved later have not counted on.    Parks: no.    Threads: any.
  WEFT_API void cancel();

 private:
  friend rate_limiter;
  reservation(rate_limiter* l, std::int64_t at, double r, int n) noexcept : limiter_(l), at_(at), rate_(r), n_(n) {}
  rate_limiter* limiter_;
  std::int64_t at_;  // ns on the monotonic clock
  double rate_;      // as it was then
  int n_;
};

class rate_limiter {
 public:
  /// A rate at which everything may happen at once.
  static constexpr double unlimited = std::numeric_limits<double>::infinity();
  /// A rate that lets one event happen in each d.
  template <class Rep, class Period>
  [[nodiscard]] static constexpr double every(std::chrono::duration<Rep, Period> d) noexcept {
    return d <= d.zero() ? unlimited : 1 / std::chrono::duration<double>(d).count();
  }

  /// Full at first. A rate of 0 never gives another token; a burst of 0 lets nothing happen, unless the rate is unlimited.
  /// Throws std::invalid_argument for a rate or a burst below 0, and for a NaN.
  WEFT_API rate_limiter(double tokens_per_second, int burst);
  rate_limiter(const rate_limiter&) = delete;
  rate_limiter& operator=(const rate_limiter&) = delete;

  /// Whether n events may happen now; takes their tokens if so: for events that are dropped otherwise.
  /// Parks: no, but for an instant beside others.    Threads: any.    Allocates: no.
  [[nodiscard]] WEFT_API bool allow(int n = 1);
  /// Takes the tokens in any case; nullopt when n is more than the burst, or they will never come.
  [[nodiscard]] WEFT_API std::optional<reservation> reserve(int n = 1);
  /// Waits until n events may happen. errc::would_block when that will never be: n is more than the burst, or the rate is 0.
  /// Parks: yes.    Threads: any.    Allocates: no.
  result<void> wait(int n = 1) { return wait_until(n, {}); }
  /// The same, but errc::timed_out, at once and without taking tokens, when it would take longer than d.
  template <class Rep, class Period>
  result<void> wait_for(std::chrono::duration<Rep, Period> d, int n = 1) {
    return wait_until(n, {.deadline = detail::deadline_after_ns(detail::to_ns(d))});
  }
  /// The same, until ctx is done: errc::canceled, errc::deadline_exceeded; the latter at once when its deadline would come first.
  result<void> wait(const context& ctx, int n = 1) {
    detail::wait_limit limit = detail::limit_of(ctx);
    if (detail::is_over(limit)) return detail::err_of(ctx);
    if (const auto t = ctx.deadline()) limit.deadline = detail::context_time(*t);
    const result<void> r = wait_until(n, limit);
    if (r.error() == errc::canceled) return detail::err_of(ctx);
    return r || r.error() != errc::timed_out ? r : errc::deadline_exceeded;
  }

  /// The new rate counts from now on; reservations stay as they are.
  WEFT_API void set_limit(double tokens_per_second);
  WEFT_API void set_burst(int burst);
  [[nodiscard]] WEFT_API double limit() const;
  [[nodiscard]] WEFT_API int burst() const;
  /// What is there now; below 0 when it is reserved ahead.
  [[nodiscard]] WEFT_API double tokens() const;

 private:
  friend reservation;
  struct taken {
    std::int64_t at;
    double rate;
  };
  std::optional<taken> take(std::int64_t now, int n, std::int64_t latest);
  void advance(std::int64_t now) const;
  WEFT_API result<void> wait_until(int n, const detail::wait_limit& limit);

  mutable mutex mutex_;
  // Guarded by mutex_. Times in ns on the monotonic clock.
  double rate_;
  int burst_;
  mutable double tokens_;
  mutable std::int64_t counted_at_;  // when tokens_ was right
  std::int64_t last_event_ = 0;      // the latest time that was given away
};

}  // namespace weft
