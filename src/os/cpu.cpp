// os/cpu.cpp: see cpu.hpp. Source of the rule: Go's internal/runtime/cgroup and runtime/cgroup_linux.go; that every ancestor
// counts is our addition (golang/go#81180: a parent's limit throttles just as well), and that a move is noticed.
#include "os/cpu.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cmath>
#include <cstdio>

namespace weft::os {

namespace {

// As much of the file DIR/NAME as fits into the buffer; nothing when it cannot be read. Allocates nothing.
std::string_view read_start(const std::string& dir, const char* name, char* buffer, std::size_t size) noexcept {
  char path[PATH_MAX];
  if (std::snprintf(path, sizeof path, "%s/%s", dir.c_str(), name) >= PATH_MAX) return {};
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::size_t got = 0;
  for (ssize_t n; got < size && (n = ::read(fd, buffer + got, size - got)) > 0;) got += static_cast<std::size_t>(n);
  ::close(fd);
  return {buffer, got};
}

std::string read_all(const std::string& dir, const char* name) {
  std::string all(1 << 14, '\0');
  for (;;) {
    const std::size_t got = read_start(dir, name, all.data(), all.size()).size();
    if (got < all.size()) return all.substr(0, got);
    all.resize(all.size() * 2);  // such a file does not tell its size
  }
}

std::string_view cut_line(std::string_view& text) noexcept {
  const auto end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text = end == text.npos ? std::string_view() : text.substr(end + 1);
  return line;
}

std::string_view field(std::string_view line, int n) noexcept {
  for (; n > 0; n--) {
    const auto space = line.find(' ');
    if (space == line.npos) return {};
    line.remove_prefix(space + 1);
  }
  return line.substr(0, line.find(' '));
}

bool has_option(std::string_view options, std::string_view wanted) noexcept {
  for (;;) {
    const auto comma = options.find(',');
    if (options.substr(0, comma) == wanted) return true;
    if (comma == options.npos) return false;
    options.remove_prefix(comma + 1);
  }
}

// mountinfo writes a space, a tab, a newline and a backslash as \ and three octal digits.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); i++) {
    unsigned c = 0;
    if (text[i] == '\\' && std::sscanf(std::string(text.substr(i + 1, 3)).c_str(), "%3o", &c) == 1) {
      plain += static_cast<char>(c);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// Whether `path` lies in `dir`; then it is made relative to that: "" or "/...".
bool make_relative(std::string& path, std::string_view dir) {
  if (dir == "/") dir = "";
  if (!path.starts_with(dir) || (path.size() > dir.size() && path[dir.size()] != '/')) return false;
  path.erase(0, dir.size());
  if (path == "/") path.clear();
  return path != "/.." && !path.starts_with("/../");  // outside of our namespace of cgroups: not to be reached by this mount
}

// "max" and whatever else is no number: 0.
double number(std::string_view text) noexcept {
  double n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc() ? n : 0;
}

double dir_quota(const std::string& dir, bool v2) noexcept {
  char a[64], b[64];
  std::string_view quota, period;
  if (v2) {
    const std::string_view both = read_start(dir, "cpu.max", a, sizeof a);
    quota = field(both, 0);
    period = field(both, 1);
  } else {
    quota = read_start(dir, "cpu.cfs_quota_us", a, sizeof a);
    period = read_start(dir, "cpu.cfs_period_us", b, sizeof b);
  }
  const double q = number(quota), p = number(period);
  return q > 0 && p > 0 ? q / p : 0;
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

// The hierarchy that has the cpu controller: v1's if /proc/self/cgroup names one, else v2's. Of its mounts the first that shows
// our group; from there upwards to the mount point.
void cpu_limits::find() {
  dirs_.clear();
  std::string path;
  bool v1 = false;
  for (std::string_view text = groups_; !text.empty();) {  // ID:CONTROLLERS:PATH
    const std::string_view line = cut_line(text);
    const auto a = line.find(':'), b = line.find(':', a + 1);
    if (a == line.npos || b == line.npos) continue;
    const auto controllers = line.substr(a + 1, b - a - 1);
    const bool has_cpu = has_option(controllers, "cpu");
    if (has_cpu || (controllers.empty() && !v1)) path = line.substr(b + 1);
    v1 |= has_cpu;
  }
  if (path.empty()) return;
  v2_ = !v1;
  const std::string mounts = read_all(root_, "proc/self/mountinfo");
  for (std::string_view text = mounts; !text.empty();) {  // ID PARENT DEV ROOT MOUNT OPTIONS ... - TYPE SOURCE SUPER
    const std::string_view line = cut_line(text);
    const auto dash = line.find(" - ");
    if (dash == line.npos) continue;
    const auto after = line.substr(dash + 3);
    if (v2_ ? field(after, 0) != "cgroup2" : field(after, 0) != "cgroup" || !has_option(field(after, 2), "cpu")) continue;
    std::string relative = path;
    if (!make_relative(relative, unescaped(field(line, 3)))) continue;
    const std::string mount = root_ + unescaped(field(line, 4));
    for (;; relative.resize(relative.find_last_of('/'))) {
      dirs_.push_back(mount + relative);
      if (relative.empty()) return;
    }
  }
}

double cpu_limits::quota() noexcept {
  char buffer[4096];
  const std::string_view groups = read_start(root_, "proc/self/cgroup", buffer, sizeof buffer);
  if (groups != groups_) {
    groups_ = groups;
    find();
  }
  double least = 0;
  for (const std::string& dir : dirs_) {
    const double q = dir_quota(dir, v2_);
    if (q > 0 && (least == 0 || q < least)) least = q;
  }
  return least;
}

int cpu_limits::default_procs() noexcept {
  const int cpus = cpus_ > 0 ? cpus_ : cpus_allowed();
  const double q = quota();
  if (q <= 0) return cpus;
  return std::min(cpus, std::max(2, static_cast<int>(std::ceil(q))));
}

}  // namespace weft::os
