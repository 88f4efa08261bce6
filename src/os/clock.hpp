// os/clock.hpp: the runtime's one door to the monotonic clock.
#pragma once

#include <sys/prctl.h>
#include <time.h>

#include <cstdint>

namespace weft::os {

/// Nanoseconds of CLOCK_MONOTONIC, which is std::chrono::steady_clock's.
inline std::int64_t now_ns() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

/// How late the calling thread's sleeps may end; 50 us is usual, which for one of 20 us is much. A new thread has it from its maker.
inline unsigned long timer_slack_ns() noexcept {
  const int ns = ::prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
  return ns > 0 ? static_cast<unsigned long>(ns) : 50'000;
}
inline void set_timer_slack_ns(unsigned long ns) noexcept { ::prctl(PR_SET_TIMERSLACK, ns, 0UL, 0UL, 0UL); }

/// a + b for b >= 0, saturated.
inline std::int64_t add_ns(std::int64_t a, std::int64_t b) noexcept { return a > INT64_MAX - b ? INT64_MAX : a + b; }

}  // namespace weft::os
