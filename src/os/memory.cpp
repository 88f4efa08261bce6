// os/memory.cpp: see memory.hpp.
#include "os/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>

#include "base/atomic.hpp"

namespace weft::os {

namespace {
// Newer than the distribution's headers: Linux 5.14 and 6.13.
constexpr int madv_populate_write = 23;
constexpr int madv_guard_install = 102;

// process_madvise() with MADV_POPULATE_WRITE and MADV_GUARD_INSTALL, for the caller's own process: Linux 6.15, which has a name for it.
// How many of the first ranges it did: none on an older kernel, or where a sandbox has no such call.
std::size_t advise_together(void* const* at, std::size_t n, std::size_t size, int advice) noexcept {
  constexpr int pidfd_self = -10000;  // PIDFD_SELF_THREAD
  static atomic<bool> missing{false};  // a hint
  if (missing.load(std::memory_order_relaxed)) return 0;
  iovec ranges[ranges_at_once];
  for (std::size_t i = 0; i < n; i++) ranges[i] = {at[i], size};
  const long bytes = ::syscall(SYS_process_madvise, pidfd_self, ranges, n, advice, 0);
  if (bytes >= 0) return static_cast<std::size_t>(bytes) / size;
  if (errno == ENOSYS || errno == EBADF || errno == EPERM) missing.store(true, std::memory_order_relaxed);
  return 0;
}

}  // namespace

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

void* reserve(std::size_t size, std::size_t align) noexcept {
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* raw = ::mmap(nullptr, size + align, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const auto from = reinterpret_cast<std::uintptr_t>(raw);
  const std::uintptr_t to = (from + align - 1) & ~(align - 1);
  if (to > from) ::munmap(raw, to - from);
  if (from + align > to) ::munmap(reinterpret_cast<void*>(to + size), from + align - to);
  // Without huge pages: the first touch of a stack must cost 4 KiB and not 2 MiB. An old kernel without them says EINVAL.
  ::madvise(reinterpret_cast<void*>(to), size, MADV_NOHUGEPAGE);
  return reinterpret_cast<void*>(to);
}

void unmap(void* at, std::size_t size) noexcept { ::munmap(at, size); }

bool commit(void* at, std::size_t size) noexcept { return ::madvise(at, size, madv_populate_write) == 0; }

void commit_each(void* const* at, std::size_t n, std::size_t size) noexcept {
  for (std::size_t i = advise_together(at, n, size, madv_populate_write); i < n && commit(at[i], size);) i++;
}

bool release_pages(void* at, std::size_t size) noexcept { return ::madvise(at, size, MADV_DONTNEED) == 0; }

bool guard(void* at, std::size_t size, guard_kind kind) noexcept {
  switch (kind) {
    case guard_kind::pages: return ::madvise(at, size, madv_guard_install) == 0;
    case guard_kind::mapping: return ::mprotect(at, size, PROT_NONE) == 0;
    case guard_kind::none: return true;
  }
  return false;
}

std::size_t guard_each(void* const* at, std::size_t n, std::size_t size, guard_kind kind) noexcept {
  std::size_t done = kind == guard_kind::pages ? advise_together(at, n, size, madv_guard_install) : 0;
  while (done < n && guard(at[done], size, kind)) done++;
  return done;
}

guard_kind probe_guards() noexcept {
  void* at = reserve(2 * page_size(), page_size());
  if (!at) return guard_kind::mapping;
  guard_kind kind = guard_kind::mapping;
  if (guard(at, page_size(), guard_kind::pages)) {
    // An emulator may accept the call and do nothing. The kernel reports a bad address for a buffer behind a guard, so a
    // pipe tells without a signal: reading from the page must fail with EFAULT.
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) {
      if (::write(ends[1], at, 1) < 0 && errno == EFAULT) kind = guard_kind::pages;
      ::close(ends[0]);
      ::close(ends[1]);
    }
  }
  ::munmap(at, 2 * page_size());
  return kind;
}

std::size_t max_map_count() noexcept {
  char text[32] = {};
  const int fd = ::open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 65530;
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  const long value = n > 0 ? std::atol(text) : 0;
  return value > 0 ? static_cast<std::size_t>(value) : 65530;
}

}  // namespace weft::os
