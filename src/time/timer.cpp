// time/timer.cpp: see <weft/timer.hpp>. A timer with a channel lives in that (sync/chan_clock.cpp), one with a function in
// time/function.cpp.
#include <weft/timer.hpp>

#include <weft/error.hpp>

namespace weft::detail {

bool timer_stop(chan_core* c, function_core* f) {
  if (c) return chan_clock_set(c, never_due, 0);
  if (f) return function_set(f, never_due);
  throw panic("time: Stop called on uninitialized Timer");
}

bool timer_reset(chan_core* c, function_core* f, std::int64_t when) {
  if (c) return chan_clock_set(c, when, 0);
  if (f) return function_set(f, when);
  throw panic("time: Reset called on uninitialized Timer");
}

chan_core* ticker_make(std::int64_t period) {
  if (period <= 0) throw panic("non-positive interval for NewTicker");
  return chan_make_clock(due_in(std::chrono::nanoseconds(period)), period);
}

void ticker_stop(chan_core* c) noexcept {
  if (c) chan_clock_set(c, never_due, 0);
}

void ticker_reset(chan_core* c, std::int64_t period) {
  if (period <= 0) throw panic("non-positive interval for Ticker.Reset");
  if (!c) throw panic("time: Reset called on uninitialized Ticker");
  chan_clock_set(c, due_in(std::chrono::nanoseconds(period)), period);
}

}  // namespace weft::detail
