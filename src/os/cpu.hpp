// os/cpu.hpp: how many processors this process may use: affinity and the cgroup's CPU quota, v2 and v1.
#pragma once

#include <string_view>

namespace weft::os {

/// CPUs in the affinity mask of the calling thread; at least 1.
int cpus_allowed() noexcept;

/// The least CPU quota of this process's cgroup and all its visible ancestors, in CPUs (may be a fraction); 0: none.
/// `root` goes before every path that is read: for tests with a tree of their own.
double cpu_quota(std::string_view root = "") noexcept;

/// Go's rule: the CPUs allowed, lowered to the quota rounded up, but by a quota never below 2.
int default_procs(std::string_view root = "") noexcept;

}  // namespace weft::os
