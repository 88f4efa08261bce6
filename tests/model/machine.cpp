// model/machine.cpp: what weft asks of the operating system, played by the explorer. The linker puts these in the place of libc's
// (--wrap), so that weft's own files are the shipped ones; src/base/throw.cpp alone is left out: an invariant that does not hold is a
// failure of the model.
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <string>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "explorer.hpp"
#include "machine.hpp"

namespace weft {

namespace {
std::string said;

// The kernel's poller: one queue, an eventfd, and descriptors that models make ready.
using model::event_fd;
constexpr int queue_fd = 3, most_fds = 16;
struct descriptor {
  std::uint64_t data;
  std::uint32_t pending;
} descriptors[most_fds];
std::uint32_t happened;  // counts, for who sleeps in epoll_wait

int collect(epoll_event* events, int n) {
  int got = 0;
  for (int fd = 0; fd < most_fds && got < n; fd++) {
    descriptor& d = descriptors[fd];
    if (!d.pending) continue;
    events[got].events = d.pending;
    events[got++].data.u64 = d.data;
    if (fd != event_fd) d.pending = 0;  // edge-triggered, but for the eventfd
  }
  return got;
}

int wait_for_events(epoll_event* events, int n, std::int64_t ns) {
  const std::int64_t now = model::now(), until = ns > INT64_MAX - now ? INT64_MAX : now + ns;
  for (;;) {
    model::system_call();
    const int got = collect(events, n);
    if (got || ns == 0 || !model::wait(&happened, happened, until)) return got;
  }
}
std::int64_t to_ns(const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; }
}  // namespace

namespace model {
void make_ready(int fd, std::uint32_t events) {
  system_call();
  descriptors[fd].pending |= events;
  happened++;
  wake(&happened, 1);
}
void forget_descriptors() {
  for (descriptor& d : descriptors) d.pending = 0;
  happened = 0;
}
}  // namespace model

upcalls up;
error_text& error_text::operator<<(std::string_view s) noexcept { return said += s, *this; }
error_text& error_text::operator<<(std::uint64_t n) noexcept { return said += std::to_string(n), *this; }
error_text& error_text::operator<<(std::int64_t n) noexcept { return said += std::to_string(n), *this; }
error_text& error_text::operator<<(const void*) noexcept { return *this; }
void error_text::flush() noexcept { buffer_[used_ = 0] = 0; }
atomic<bool> forked_child{false};
void end_forked_child() noexcept { model::fail("a forked child"); }
void begin_report() noexcept { said.clear(); }
bool dying() noexcept { return false; }
void rt_throw(std::string_view what) noexcept { model::fail("fatal error: " + std::string(what) + "\n" + said); }
void fatal(std::string_view what) noexcept { rt_throw(what); }
void die(int) noexcept { model::fail("the process ends"); }

extern "C" {

long __wrap_syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  std::uintptr_t a[4];
  for (auto& one : a) one = va_arg(list, std::uintptr_t);
  va_end(list);
  const int second = static_cast<int>(a[1]), third = static_cast<int>(a[2]);
  const auto limit = [&a] { return a[3] ? to_ns(*reinterpret_cast<const timespec*>(a[3])) : INT64_MAX; };
  switch (number) {
    case SYS_membarrier:
      if (a[0] == MEMBARRIER_CMD_PRIVATE_EXPEDITED) model::fence_on_all_threads();
      return a[0] == MEMBARRIER_CMD_QUERY ? MEMBARRIER_CMD_PRIVATE_EXPEDITED : 0;
    case SYS_futex: {
      const auto* word = reinterpret_cast<const void*>(a[0]);
      if (second == FUTEX_WAKE_PRIVATE) return model::wake(word, third), 0;
      const std::int64_t now = model::now(), ns = limit();
      if (model::wait(word, static_cast<std::uint32_t>(third), ns > INT64_MAX - now ? INT64_MAX : now + ns)) return 0;
      errno = ETIMEDOUT;
      return -1;
    }
    case SYS_epoll_pwait2: return wait_for_events(reinterpret_cast<epoll_event*>(a[1]), third, limit());
    default: model::fail("system call " + std::to_string(number));
  }
}
int __wrap_epoll_create1(int) { return queue_fd; }
int __wrap_eventfd(unsigned, int) { return event_fd; }
int __wrap_epoll_ctl(int, int op, int fd, epoll_event* e) {
  model::system_call();
  descriptors[fd] = op == EPOLL_CTL_DEL ? descriptor{} : descriptor{e->data.u64, descriptors[fd].pending};
  return 0;
}
int __wrap_epoll_wait(int, epoll_event* events, int n, int ms) { return wait_for_events(events, n, ms < 0 ? INT64_MAX : ms * 1'000'000LL); }
ssize_t __wrap_write(int, const void*, std::size_t n) { return model::make_ready(event_fd, EPOLLIN), static_cast<ssize_t>(n); }
ssize_t __wrap_read(int, void*, std::size_t n) {
  model::system_call();
  descriptors[event_fd].pending = 0;
  return static_cast<ssize_t>(n);
}

int __wrap_clock_gettime(clockid_t, timespec* t) {
  const std::int64_t ns = model::now();
  *t = {ns / 1'000'000'000, ns % 1'000'000'000};
  return 0;
}
int __wrap_nanosleep(const timespec* t, timespec*) {
  model::sleep_until(model::now() + to_ns(*t));
  return 0;
}
int __wrap_sched_yield() { return model::relax(), 0; }

int __wrap_pthread_create(pthread_t*, const pthread_attr_t*, void* (*f)(void*), void* arg) {
  model::on_thread([f, arg] { f(arg); });
  return 0;
}

}  // extern "C"
}  // namespace weft
