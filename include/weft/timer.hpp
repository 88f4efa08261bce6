// timer.hpp: things that happen at a time, as in Go 1.23 and later.
// A timer with a channel never delivers a value of an earlier setting: after stop() or reset() nothing of it is left to drain.
// Its channel looks unbuffered. It costs nothing to drop one that is still set: such a timer is no more than a time in its channel,
// at which whoever receives is woken. Source: Go's time/sleep.go and tick.go.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include <weft/chan.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/function_core.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

namespace detail {
/// When d from now is; never INT64_MAX, which means "not set".
template <class Rep, class Period>
std::int64_t due_in(std::chrono::duration<Rep, Period> d) noexcept {
  return std::min(deadline_after_ns(to_ns(d)), INT64_MAX - 1);
}
WEFT_API bool timer_stop(chan_core* c, function_core* f);
WEFT_API bool timer_reset(chan_core* c, function_core* f, std::int64_t when);
WEFT_API void ticker_stop(chan_core* c) noexcept;
WEFT_API void ticker_reset(chan_core* c, std::int64_t period);
WEFT_API chan_core* ticker_make(std::int64_t period);
}  // namespace detail

/// Something that happens once, at a time that can be changed. A handle: copies are the same timer.
class timer {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  timer() noexcept = default;  ///< not a timer: its methods throw panic
  /// Delivers on `c`, d from now, the time at which that was due. Zero or less: now.    Parks: no.    Threads: any.
  template <class Rep, class Period>
  explicit timer(std::chrono::duration<Rep, Period> d)
      : clock_(detail::chan_make_clock(detail::due_in(d), 0)), c(detail::chan_access::receiver_of<time_point>(clock_)) {}

  /// Keeps it from happening. True if it did: with a channel, if its value was not received yet; with a function, if that was not
  /// started yet, and stop() does not wait for it. Throws panic, also reset(): "time: Stop called on uninitialized Timer".
  /// Parks: no.    Threads: any.    Allocates: no.
  bool stop() const { return detail::timer_stop(clock_.get(), function_.get()); }  // NOLINT(modernize-use-nodiscard): as in Go
  /// Sets it to d from now, whatever it was; returns what stop() would have.
  template <class Rep, class Period>
  bool reset(std::chrono::duration<Rep, Period> d) const {
    return detail::timer_reset(clock_.get(), function_.get(), detail::due_in(d));
  }

 private:
  template <class Rep, class Period, class F>
  friend timer after_func(std::chrono::duration<Rep, Period> d, F&& f);
  detail::chan_ref clock_;
  detail::function_ref function_;

 public:
  receiver<time_point> c;  ///< nil for one of after_func()
};

/// The channel of a timer that nobody will stop: on_recv(after(1s), ...).
template <class Rep, class Period>
[[nodiscard]] receiver<timer::time_point> after(std::chrono::duration<Rep, Period> d) {
  return timer(d).c;
}

/// Calls f() in a new goroutine, d from now. With reset() it may be called again, also while it runs. Dropping the handle
/// stops nothing. Example: examples/timers.cpp.    Parks: no.    Threads: any; before run(), it starts when that does.    Allocates: once.
template <class Rep, class Period, class F>
timer after_func(std::chrono::duration<Rep, Period> d, F&& f) {
  timer t;
  t.function_ = detail::function_ref(detail::make_function(std::forward<F>(f)));
  detail::function_set(t.function_.get(), detail::due_in(d));
  return t;
}

/// Something that happens again and again: delivers on `c` the time of each multiple of d from the start. A receiver that is
/// late gets one tick for all it has missed. A handle, like timer.
class ticker {
 public:
  using time_point = timer::time_point;

  ticker() noexcept = default;
  /// d must be above zero: throws panic "non-positive interval for NewTicker".
  template <class Rep, class Period>
  explicit ticker(std::chrono::duration<Rep, Period> d) : clock_(detail::ticker_make(detail::to_ns(d))), c(detail::chan_access::receiver_of<time_point>(clock_)) {}

  /// No more ticks, also none that was due and not received. The channel stays open.    Parks: no.    Threads: any.
  void stop() const noexcept { detail::ticker_stop(clock_.get()); }
  /// Ticks each d from now. Throws panic for a d that is not above zero: "non-positive interval for Ticker.Reset".
  template <class Rep, class Period>
  void reset(std::chrono::duration<Rep, Period> d) const {
    detail::ticker_reset(clock_.get(), detail::to_ns(d));
  }

 private:
  detail::chan_ref clock_;

 public:
  receiver<time_point> c;
};

/// The channel of a ticker that nobody will stop; nil for a d that is not above zero.
template <class Rep, class Period>
[[nodiscard]] receiver<timer::time_point> tick(std::chrono::duration<Rep, Period> d) {
  return d > d.zero() ? ticker(d).c : receiver<timer::time_point>();
}

}  // namespace weft
