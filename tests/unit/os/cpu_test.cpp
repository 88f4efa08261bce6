// cpu_test.cpp: how many processors a container leaves us, over trees of files made here, and over a real cgroup where we may
// make one.
// weft-test: procs=1
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "os/cpu.hpp"
#include "support/machine.hpp"
#include "support/support.hpp"

using weft::os::cpu_limits;
using weft::test::fake_machine;

// SCHED-19
TEST(cpu, quota_is_what_cpu_max_says) {
  const fake_machine t;
  t.v2("/app");
  for (const auto& [text, quota] : {std::pair{"250000 100000\n", 2.5}, {"200001 100000\n", 2.00001}, {"50000 100000\n", 0.5}, {"max 100000\n", 0.0}, {"rubbish\n", 0.0}, {"100000\n", 0.0}}) {
    t.file("sys/fs/cgroup/app/cpu.max", text);
    EXPECT_DOUBLE_EQ(cpu_limits(t.root()).quota(), quota) << text;
  }
}

// A limit on a parent throttles just as well, the mount point's own included: in a container that is the container's.
TEST(cpu, least_quota_of_all_ancestors_counts) {
  const fake_machine t;
  t.v2("/a/b/c");
  t.file("sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
  t.file("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  t.file("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  EXPECT_DOUBLE_EQ(cpu_limits(t.root()).quota(), 3.0);
  t.file("sys/fs/cgroup/cpu.max", "250000 100000\n");
  EXPECT_DOUBLE_EQ(cpu_limits(t.root()).quota(), 2.5);
}

TEST(cpu, old_cgroups_count_too) {
  const fake_machine t;
  t.file("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/app/sub\n0::/\n");
  t.file("proc/self/mountinfo",
         "29 1 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
         "30 1 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
         "31 1 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  t.file("sys/fs/cgroup/unified/cpu.max", "100000 100000\n");  // not this one's controller
  t.file("sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "150000\n");
  t.file("sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(cpu_limits(t.root()).quota(), 1.5);
  t.file("sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n");
  EXPECT_DOUBLE_EQ(cpu_limits(t.root()).quota(), 0.0);
}

// The old hierarchies for some controllers, the new one for cpu.
TEST(cpu, new_cgroups_count_beside_old_ones_that_have_no_cpu) {
  const fake_machine t;
  t.file("proc/self/cgroup", "5:cpuset:/x\n4:memory:/y\n0::/app\n");
  t.file("proc/self/mountinfo",
         "30 1 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
         "31 1 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  t.file("sys/fs/cgroup/unified/app/cpu.max", "350000 100000\n");
  EXPECT_DOUBLE_EQ(cpu_limits(t.root()).quota(), 3.5);
}

// A container often sees only a part of the tree, mounted at the usual place: the path begins with the part's name, or with ".."
// when the process is outside of what its namespace shows.
TEST(cpu, quota_is_found_where_only_a_part_of_the_tree_is_mounted) {
  struct line {
    const char *group, *root, *mount, *file;
    double quota;
  };
  for (const auto& [group, root, mount, file, quota] : {
           line{"/docker/abc", "/docker/abc", "/sys/fs/cgroup", "sys/fs/cgroup/cpu.max", 3.0},
           line{"/docker/abc/job", "/docker/abc", "/sys/fs/cgroup", "sys/fs/cgroup/job/cpu.max", 3.0},
           line{"/docker/abcdef", "/docker/abc", "/sys/fs/cgroup", "sys/fs/cgroup/def/cpu.max", 0.0},  // another's
           line{"/../../init", "/", "/sys/fs/cgroup", "sys/fs/cgroup/cpu.max", 0.0},
           line{"/../../init", "/../../init", "/sys/fs/cgroup", "sys/fs/cgroup/cpu.max", 3.0},
           line{"/app", "/", "/mnt/with\\040space", "mnt/with space/app/cpu.max", 3.0},
       }) {
    const fake_machine t;
    t.file("proc/self/cgroup", std::string("0::") + group + "\n");
    t.file("proc/self/mountinfo", std::string("24 1 0:20 /elsewhere /other rw - cgroup2 cgroup2 rw\n25 1 0:22 ") + root + " " + mount + " rw shared:4 master:1 - cgroup2 cgroup2 rw\n");
    t.file(file, "300000 100000\n");
    EXPECT_DOUBLE_EQ(cpu_limits(t.root()).quota(), quota) << group << " in " << root;
  }
}

// Go's rule: rounded up, never below 2 by quota, never above the CPUs there are.
TEST(cpu, procs_follow_the_quota) {
  const fake_machine t;
  t.v2("/app");
  for (const int cpus : {1, 2, 8}) {
    cpu_limits limits(t.root(), cpus);
    for (const auto& [text, wanted] : {std::pair{"250000 100000\n", 3}, {"200001 100000\n", 3}, {"50000 100000\n", 2}, {"150000 100000\n", 2}, {"900000 100000\n", 9}, {"max 100000\n", 1 << 20}}) {
      t.file("sys/fs/cgroup/app/cpu.max", text);
      EXPECT_EQ(limits.default_procs(), std::min(cpus, wanted)) << text << cpus;
    }
  }
}

TEST(cpu, quota_of_the_group_that_the_process_is_in_now_counts) {
  const fake_machine t;
  t.v2("/a");
  cpu_limits limits(t.root());
  EXPECT_DOUBLE_EQ(limits.quota(), 0.0);  // no file yet
  t.file("sys/fs/cgroup/a/cpu.max", "200000 100000\n");
  EXPECT_DOUBLE_EQ(limits.quota(), 2.0);
  t.file("sys/fs/cgroup/b/cpu.max", "500000 100000\n");
  t.v2("/b");
  EXPECT_DOUBLE_EQ(limits.quota(), 5.0);
}

TEST(cpu, nothing_to_read_is_no_limit) {
  const fake_machine t;
  EXPECT_DOUBLE_EQ(cpu_limits(t.root()).quota(), 0.0);
  EXPECT_DOUBLE_EQ(cpu_limits(t.root() + "/nowhere").quota(), 0.0);
}

// The kernel's own files, whichever version is mounted.
TEST(cpu, quota_of_a_real_cgroup_is_seen) {
  namespace fs = std::filesystem;
  const double outer = cpu_limits().quota();
  const std::string name = "weft_test." + std::to_string(::getpid());
  struct kind {
    fs::path top;
    const char *file, *limit;
  };
  for (const auto& [top, file, limit] : {kind{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "170000"}, kind{"/sys/fs/cgroup", "cpu.max", "170000 100000"}}) {
    std::string own;  // this process's group, to come back to
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);)
      if (line.find(":cpu:") != line.npos || line.find(":cpu,") != line.npos || (own.empty() && line.starts_with("0::"))) own = line.substr(line.rfind(':') + 1);
    const fs::path home = top / fs::path(own).relative_path(), group = home / name;
    std::error_code none;
    if (!fs::create_directory(group, none)) continue;
    const auto write = [](const fs::path& to, const std::string& text) { return static_cast<bool>(std::ofstream(to) << text << std::flush); };
    const bool possible = fs::exists(group / file, none) && write(group / file, limit) && write(group / "cgroup.procs", std::to_string(::getpid()));
    const double seen = cpu_limits().quota();
    if (possible) write(home / "cgroup.procs", std::to_string(::getpid()));
    fs::remove(group, none);
    if (!possible) continue;
    EXPECT_DOUBLE_EQ(seen, outer > 0 ? std::min(outer, 1.7) : 1.7);
    EXPECT_DOUBLE_EQ(cpu_limits().quota(), outer);
    return;
  }
  GTEST_SKIP() << "no cgroup of ours can be made here";
}
