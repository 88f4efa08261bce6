// files.hpp: from the target of a request to an open file, never outside of the directory that is served.
// Nothing here parks: errno is read right after the call that set it, on the same thread.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace httpd {

/// A descriptor that is closed with it.
class file_descriptor {
 public:
  file_descriptor() noexcept = default;
  explicit file_descriptor(int fd) noexcept : fd_(fd) {}
  file_descriptor(file_descriptor&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  file_descriptor& operator=(file_descriptor&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~file_descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// The path that a request's target means: decoded, relative to the root, without empty, "." or ".." parts, with the
/// slash at its end if there was one; "" is the root itself. ".." above the root stays at the root (RFC 3986, 5.2.4).
/// Gives 200, or the status to answer with: 400 for a target that makes no sense, 404 for one that can name no file.
int path_of_target(std::string_view target, std::string& path);

/// `path` as it stands in a link: everything but letters, digits and -._~/ as %XX.
void append_encoded(std::string& out, std::string_view path);

/// The directory that is served.
class root_directory {
 public:
  /// Throws std::system_error when it cannot be opened.
  root_directory(const std::string& directory, bool use_openat2);

  /// Opens a path from path_of_target() for reading; `error` gets the errno when there is none to give.
  /// The kernel follows links that stay beneath the root and refuses the others (EXDEV); without openat2(2), all of them (ELOOP).
  [[nodiscard]] file_descriptor open(const std::string& path, int& error) const;

 private:
  [[nodiscard]] file_descriptor open_by_parts(const std::string& path, int& error) const;
  file_descriptor root_;
  bool use_openat2_;
};

/// What fstat says; false when it fails.
[[nodiscard]] bool status_of(const file_descriptor& file, struct stat& status);

/// Reads up to `size` bytes at `offset`; fewer at the file's end or after an error.
[[nodiscard]] std::size_t read_at(const file_descriptor& file, char* buffer, std::size_t size, std::size_t offset);

/// The type that browsers expect for a file of this name.
[[nodiscard]] std::string_view content_type(std::string_view path);

/// A page with links to what is in the directory. Takes the descriptor over.
[[nodiscard]] std::string list_directory(file_descriptor directory, std::string_view path);

}  // namespace httpd
