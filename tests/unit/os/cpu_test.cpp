// cpu_test.cpp: how many processors a container leaves us, over trees of files made here.
// weft-test: procs=1
#include <filesystem>
#include <fstream>
#include <string>

#include <unistd.h>

#include "os/cpu.hpp"
#include "support/support.hpp"

namespace {

class tree {
 public:
  tree() { std::filesystem::create_directories(root_ / "proc/self"); }
  ~tree() { std::filesystem::remove_all(root_); }
  void file(const std::string& path, const std::string& text) const {
    const auto p = root_ / path;
    std::filesystem::create_directories(p.parent_path());
    std::ofstream(p) << text;
  }
  void v2(const std::string& group) const {
    file("proc/self/cgroup", "0::" + group + "\n");
    file("proc/self/mountinfo", "25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  [[nodiscard]] std::string root() const { return root_.string(); }

 private:
  std::filesystem::path root_ = std::filesystem::temp_directory_path() / ("weft_cpu_test." + std::to_string(::getpid()));
};

}  // namespace

// SCHED-19
TEST(cpu, quota_is_what_cpu_max_says) {
  const tree t;
  t.v2("/app");
  for (const auto& [text, quota] : {std::pair{"250000 100000\n", 2.5}, {"200001 100000\n", 2.00001}, {"50000 100000\n", 0.5}, {"max 100000\n", 0.0}, {"rubbish\n", 0.0}}) {
    t.file("sys/fs/cgroup/app/cpu.max", text);
    EXPECT_DOUBLE_EQ(weft::os::cpu_quota(t.root()), quota) << text;
  }
}

// A limit on a parent throttles just as well.
TEST(cpu, least_quota_of_all_ancestors_counts) {
  const tree t;
  t.v2("/a/b/c");
  t.file("sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
  t.file("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  t.file("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  EXPECT_DOUBLE_EQ(weft::os::cpu_quota(t.root()), 3.0);
}

TEST(cpu, old_cgroups_count_too) {
  const tree t;
  t.file("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/app\n0::/\n");
  t.file("proc/self/mountinfo", "30 1 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  t.file("sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "150000\n");
  t.file("sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
  EXPECT_DOUBLE_EQ(weft::os::cpu_quota(t.root()), 1.5);
  t.file("sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n");
  EXPECT_DOUBLE_EQ(weft::os::cpu_quota(t.root()), 0.0);
}

// Go's rule: rounded up, never below 2 by quota, never above the CPUs there are.
TEST(cpu, procs_follow_the_quota) {
  const tree t;
  t.v2("/app");
  const int cpus = weft::os::cpus_allowed();
  for (const auto& [text, wanted] : {std::pair{"250000 100000\n", 3}, {"200001 100000\n", 3}, {"50000 100000\n", 2}, {"150000 100000\n", 2}, {"max 100000\n", 1 << 20}}) {
    t.file("sys/fs/cgroup/app/cpu.max", text);
    EXPECT_EQ(weft::os::default_procs(t.root()), std::min(cpus, wanted)) << text;
  }
}

TEST(cpu, nothing_to_read_is_no_limit) {
  const tree t;
  EXPECT_DOUBLE_EQ(weft::os::cpu_quota(t.root() + "/nowhere"), 0.0);
}
