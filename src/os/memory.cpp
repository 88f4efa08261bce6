// os/memory.cpp: see memory.hpp.
#include "os/memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>

namespace weft::os {

namespace {
// Newer than the distribution's headers: Linux 5.14 and 6.13.
constexpr int madv_populate_write = 23;
constexpr int madv_guard_install = 102;
}

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

bool release_pages(void* at, std::size_t size) noexcept { return ::madvise(at, size, MADV_DONTNEED) == 0; }

bool guard(void* at, std::size_t size, guard_kind kind) noexcept {
  switch (kind) {
    case guard_kind::pages: return ::madvise(at, size, madv_guard_install) == 0;
    case guard_kind::mapping: return ::mprotect(at, size, PROT_NONE) == 0;
    case guard_kind::none: return true;
  }
  return false;
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
