// os/futex.hpp: sleeping and waking of threads by a word of memory.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/atomic.hpp"

namespace weft::os {

inline constexpr std::int64_t forever_ns = INT64_MAX;

inline timespec to_timespec(std::int64_t ns) noexcept { return {ns / 1'000'000'000, ns % 1'000'000'000}; }

/// Sleeps while *word == expected, at most `ns`. False when the time ran out. May return early: look again.
inline bool futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t ns = forever_ns) noexcept {
  const timespec limit = to_timespec(ns < 0 ? 0 : ns);
  const long r = ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, ns == forever_ns ? nullptr : &limit, nullptr, 0);
  return !(r < 0 && errno == ETIMEDOUT);
}

inline void futex_wake(atomic<std::uint32_t>& word, int count = 1) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

}  // namespace weft::os
