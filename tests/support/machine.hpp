// support/machine.hpp: the files by which a machine tells how many CPUs a process may use, in a folder of our own.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <unistd.h>

namespace weft::test {

class fake_machine {
 public:
  fake_machine() { std::filesystem::create_directories(root_ / "proc/self"); }
  fake_machine(const fake_machine&) = delete;
  ~fake_machine() { std::filesystem::remove_all(root_); }
  void file(const std::string& path, const std::string& text) const {
    const auto at = root_ / path;
    std::filesystem::create_directories(at.parent_path());
    const auto fresh = at.string() + ".new";  // renamed into its place: a reader sees the old text or the new one
    std::ofstream(fresh) << text;
    std::filesystem::rename(fresh, at);
  }
  /// A machine with cgroup v2 only, its root mounted.
  void v2(const std::string& group) const {
    file("proc/self/cgroup", "0::" + group + "\n");
    file("proc/self/mountinfo", "25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  [[nodiscard]] std::string root() const { return root_.string(); }

 private:
  std::filesystem::path root_ = std::filesystem::temp_directory_path() / ("weft_machine." + std::to_string(::getpid()));
};

}  // namespace weft::test
