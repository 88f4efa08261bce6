// os/cpu.hpp: how many processors this process may use: affinity and the cgroup's CPU quota, v2 and v1.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weft::os {

/// CPUs in the affinity mask of the calling thread; at least 1.
int cpus_allowed() noexcept;

/// The files that hold the CPU quota of this process's cgroup and of all its ancestors that can be seen from here. Found once;
/// asked again, they are read anew, which allocates nothing until the process is moved to another cgroup. One thread at a time.
class cpu_limits {
 public:
  /// `root` goes before every path that is read, and `cpus`, unless 0, stands for the affinity mask: for tests with a machine
  /// of their own.
  explicit cpu_limits(std::string_view root = "", int cpus = 0) : root_(root), cpus_(cpus) {}

  /// The least quota there is, in CPUs (may be a fraction); 0: none.
  double quota() noexcept;
  /// Go's rule: the CPUs allowed, lowered to the quota rounded up, but by a quota never below 2.
  int default_procs() noexcept;

 private:
  void find();

  std::string root_;
  int cpus_;
  std::string groups_;  // /proc/self/cgroup, as it was when `dirs_` was found
  std::vector<std::string> dirs_;  // the own group's first
  bool v2_ = false;
};

}  // namespace weft::os
