// os/membarrier.hpp: a full memory barrier on every thread of this process, for protocols in which one side runs a million
// times for each time of the other: the frequent side then needs only a compiler barrier. Source: membarrier(2).
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weft::os {

/// Says that this process will use it; false when the kernel (or an emulator, or a sandbox) does not have it.
inline bool register_membarrier() noexcept {
  const long have = ::syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  return have >= 0 && (have & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 && ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
inline bool membarrier() noexcept { return ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0; }

}  // namespace weft::os
