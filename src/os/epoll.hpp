// os/epoll.hpp: the kernel's readiness queue. Error numbers are returned, negative.
#pragma once

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "os/futex.hpp"

namespace weft::os {

inline int epoll_create() noexcept {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? -errno : fd;
}
inline int epoll_control(int epfd, int op, int fd, std::uint32_t events, std::uint64_t data) noexcept {
  epoll_event e{};
  e.events = events;
  e.data.u64 = data;
  return ::epoll_ctl(epfd, op, fd, &e) < 0 ? -errno : 0;
}
/// Up to n events; waits at most `ns` to the nanosecond where the kernel can (5.11), else to the next millisecond.
inline int epoll_wait(int epfd, epoll_event* events, int n, std::int64_t ns) noexcept {
#if defined(SYS_epoll_pwait2)
  static atomic<bool> has_pwait2{true};
  if (ns != 0 && ns != forever_ns && has_pwait2.load(std::memory_order_relaxed)) {
    const timespec limit = to_timespec(ns);
    const long r = ::syscall(SYS_epoll_pwait2, epfd, events, n, &limit, nullptr, 0);
    if (r >= 0) return static_cast<int>(r);
    if (errno != ENOSYS && errno != EPERM) return -errno;  // EPERM: a sandbox that is older than the call
    has_pwait2.store(false, std::memory_order_relaxed);
  }
#endif
  const std::int64_t ms = ns == forever_ns ? -1 : (ns + 999'999) / 1'000'000;
  const int r = ::epoll_wait(epfd, events, n, static_cast<int>(ms > 1'000'000'000 ? 1'000'000'000 : ms));
  return r < 0 ? -errno : r;
}
inline int event_fd() noexcept {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd < 0 ? -errno : fd;
}
inline void event_signal(int fd) noexcept {
  const std::uint64_t one = 1;
  while (::write(fd, &one, sizeof one) < 0 && errno == EINTR) {}
}
inline void event_clear(int fd) noexcept {
  std::uint64_t n;
  while (::read(fd, &n, sizeof n) < 0 && errno == EINTR) {}
}

}  // namespace weft::os
