// os/clock.hpp: the runtime's one door to the monotonic clock.
#pragma once

#include <time.h>

#include <cstdint>

namespace weft::os {

/// Nanoseconds of CLOCK_MONOTONIC, which is std::chrono::steady_clock's.
inline std::int64_t now_ns() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

/// a + b for b >= 0, saturated.
inline std::int64_t add_ns(std::int64_t a, std::int64_t b) noexcept { return a > INT64_MAX - b ? INT64_MAX : a + b; }

}  // namespace weft::os
