// os/cpu.cpp: see cpu.hpp. Source of the rule: Go's runtime/cgroup_linux.go; that every ancestor counts is our addition
// (golang/go#81180: a parent's limit throttles just as well).
#include "os/cpu.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace weft::os {

namespace {

bool read_file(const std::string& path, std::string& out) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  out.clear();
  char buffer[4096];
  ssize_t n;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0) out.append(buffer, static_cast<std::size_t>(n));
  ::close(fd);
  return n == 0;
}

// Walks the lines of a text.
template <class F>
void for_each_line(std::string_view text, F f) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    f(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
}

std::string_view field(std::string_view line, int n) {
  for (; n > 0; n--) {
    const auto space = line.find(' ');
    if (space == line.npos) return {};
    line.remove_prefix(space + 1);
  }
  return line.substr(0, line.find(' '));
}

struct hierarchy {
  std::string mount;  // where it is mounted
  std::string path;   // this process's group in it, relative to the mount
  bool v2 = false;
};

bool has_option(std::string_view options, std::string_view wanted) {
  for (;;) {
    const auto comma = options.find(',');
    if (options.substr(0, comma) == wanted) return true;
    if (comma == options.npos) return false;
    options.remove_prefix(comma + 1);
  }
}

// The hierarchy that has the cpu controller: v1's if it is mounted and names it, else v2's.
bool find_hierarchy(const std::string& root, hierarchy& out) {
  std::string groups, mounts;
  if (!read_file(root + "/proc/self/cgroup", groups) || !read_file(root + "/proc/self/mountinfo", mounts)) return false;
  std::string_view v1_path, v2_path;
  bool v1 = false, v2 = false;
  for_each_line(groups, [&](std::string_view line) {  // ID:CONTROLLERS:PATH
    const auto a = line.find(':'), b = line.find(':', a + 1);
    if (a == line.npos || b == line.npos) return;
    const auto controllers = line.substr(a + 1, b - a - 1);
    if (controllers.empty()) v2 = true, v2_path = line.substr(b + 1);
    else if (has_option(controllers, "cpu")) v1 = true, v1_path = line.substr(b + 1);
  });
  bool found = false;
  for_each_line(mounts, [&](std::string_view line) {  // ID PARENT DEV ROOT MOUNT OPTIONS ... - TYPE SOURCE SUPER
    const auto dash = line.find(" - ");
    if (dash == line.npos) return;
    const auto after = line.substr(dash + 3);
    const auto type = field(after, 0);
    const bool is_v1 = v1 && type == "cgroup" && has_option(field(after, 2), "cpu");
    const bool is_v2 = !v1 && v2 && type == "cgroup2";
    if (!is_v1 && !is_v2) return;
    std::string_view path = is_v1 ? v1_path : v2_path, mount_root = field(line, 3);
    if (mount_root != "/" && path.starts_with(mount_root)) path.remove_prefix(mount_root.size());
    out = {root + std::string(field(line, 4)), std::string(path), is_v2};
    found = true;
  });
  return found;
}

double group_quota(const std::string& dir, bool v2) {
  std::string text;
  double quota = -1, period = 0;
  if (v2) {
    if (!read_file(dir + "/cpu.max", text) || text.starts_with("max")) return 0;
    if (std::sscanf(text.c_str(), "%lf %lf", &quota, &period) != 2) return 0;
  } else {
    if (!read_file(dir + "/cpu.cfs_quota_us", text)) return 0;
    quota = std::atof(text.c_str());
    if (!read_file(dir + "/cpu.cfs_period_us", text)) return 0;
    period = std::atof(text.c_str());
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

int cpus_allowed() noexcept {
  for (int n = 1024; n <= 1 << 18; n *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(n));
    if (!set) break;
    const bool ok = ::sched_getaffinity(0, CPU_ALLOC_SIZE(static_cast<std::size_t>(n)), set) == 0;
    const int count = ok ? CPU_COUNT_S(CPU_ALLOC_SIZE(static_cast<std::size_t>(n)), set) : 0;
    CPU_FREE(set);
    if (ok) return std::max(count, 1);
  }
  return static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

double cpu_quota(std::string_view root) noexcept {
  hierarchy h;
  if (!find_hierarchy(std::string(root), h)) return 0;
  double least = 0;
  for (std::string path = h.path;; path.resize(path.find_last_of('/'))) {
    const double q = group_quota(h.mount + (path == "/" ? "" : path), h.v2);
    if (q > 0 && (least == 0 || q < least)) least = q;
    if (path.find('/') == path.npos) break;
  }
  return least;
}

int default_procs(std::string_view root) noexcept {
  const int cpus = cpus_allowed();
  const double quota = cpu_quota(root);
  if (quota <= 0) return cpus;
  return std::min(cpus, std::max(2, static_cast<int>(std::ceil(quota))));
}

}  // namespace weft::os
