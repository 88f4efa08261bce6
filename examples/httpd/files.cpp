#include "files.hpp"

#include <fcntl.h>
#include <sys/syscall.h>

#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

namespace httpd {
namespace {

// A FIFO must not make us wait for its writer, a terminal not become ours.
constexpr int open_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

#if defined(SYS_openat2) && defined(RESOLVE_BENEATH)
int open_beneath(int root, const char* path, int& error) {
  open_how how{};
  how.flags = open_flags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed while the kernel looked, and it could not be sure. 8: whoever renames all the time loses.
  for (int i = 0; i < 8; ++i) {
    const long fd = ::syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    error = errno;
    if (error != EAGAIN && error != EINTR) break;
  }
  return -1;
}
#else
int open_beneath(int, const char*, int& error) {
  error = ENOSYS;
  return -1;
}
#endif

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

int path_of_target(std::string_view target, std::string& path) {
  path.clear();
  if (target.starts_with("http://") || target.starts_with("https://")) {  // the absolute form, which proxies send
    target.remove_prefix(target.find("//") + 2);
    const std::size_t slash = target.find_first_of("/?");
    target = slash == target.npos ? std::string_view("/") : target.substr(slash);
    if (target[0] == '?') target = "/";
  }
  if (target.empty() || target[0] != '/') return 400;
  target = target.substr(0, target.find_first_of("?#"));

  // Part by part. A %2F is not a separator (RFC 3986, 2.2), and no file's name has one in it.
  bool ends_with_slash = true;
  while (!target.empty()) {
    target.remove_prefix(1);  // the slash
    const std::string_view part = target.substr(0, target.find('/'));
    target.remove_prefix(part.size());
    const std::size_t begin = path.size();
    for (std::size_t i = 0; i < part.size(); ++i) {
      char c = part[i];
      if (c == '%') {
        const int high = i + 2 < part.size() ? hex_digit(part[i + 1]) : -1;
        const int low = i + 2 < part.size() ? hex_digit(part[i + 2]) : -1;
        if (high < 0 || low < 0) return 400;
        c = static_cast<char>(high * 16 + low);
        if (c == '\0') return 400;
        if (c == '/') return 404;
        i += 2;
      }
      path += c;
    }
    const std::string_view decoded = std::string_view(path).substr(begin);
    ends_with_slash = decoded.empty() || decoded == "." || decoded == "..";
    if (decoded == "..") {
      path.resize(begin);
      if (!path.empty()) path.pop_back();  // the slash after the part before
      path.resize(path.rfind('/') + 1);    // npos + 1 is 0
    } else if (ends_with_slash) {
      path.resize(begin);
    } else {
      path += '/';
    }
  }
  if (!path.empty() && !ends_with_slash) path.pop_back();
  return 200;
}

void append_encoded(std::string& out, std::string_view path) {
  constexpr char digits[] = "0123456789ABCDEF";
  for (const char c : path) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        std::string_view("-._~/").find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
}

root_directory::root_directory(const std::string& directory, bool use_openat2) : use_openat2_(use_openat2) {
  root_ = file_descriptor(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root_) throw std::system_error(errno, std::system_category(), directory);
  int error = 0;
  const file_descriptor seen(open_beneath(root_.get(), ".", error));
  if (!seen && error != EACCES) use_openat2_ = false;  // an old kernel, or a sandbox that does not know the call
}

file_descriptor root_directory::open(const std::string& path, int& error) const {
  error = 0;
  if (!use_openat2_) return open_by_parts(path, error);
  return file_descriptor(open_beneath(root_.get(), path.empty() ? "." : path.c_str(), error));
}

file_descriptor root_directory::open_by_parts(const std::string& path, int& error) const {
  file_descriptor here;
  std::string part;
  for (std::size_t begin = 0;;) {
    const std::size_t slash = path.find('/', begin);
    const std::size_t end = std::min(slash, path.size());
    const bool last = end + 1 >= path.size();
    part.assign(path, begin, end - begin);
    if (part.empty()) part = ".";  // the root
    int flags = O_NOFOLLOW | (last ? open_flags : O_PATH | O_CLOEXEC);
    if (slash != path.npos) flags |= O_DIRECTORY;
    file_descriptor next(::openat(here ? here.get() : root_.get(), part.c_str(), flags));
    if (!next) {
      error = errno;
      // With O_DIRECTORY a link is ENOTDIR; tell the two apart, so that both ways of opening answer the same.
      struct stat s;
      if (error == ENOTDIR && ::fstatat(here ? here.get() : root_.get(), part.c_str(), &s, AT_SYMLINK_NOFOLLOW) == 0 &&
          S_ISLNK(s.st_mode))
        error = ELOOP;
      return {};
    }
    if (last) return next;
    here = std::move(next);
    begin = end + 1;
  }
}

bool status_of(const file_descriptor& file, struct stat& status) { return ::fstat(file.get(), &status) == 0; }

std::size_t read_at(const file_descriptor& file, char* buffer, std::size_t size, std::size_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(file.get(), buffer + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

std::string_view content_type(std::string_view path) {
  struct known {
    std::string_view extension, type;
  };
  static constexpr std::array<known, 36> types{{
      {"avif", "image/avif"},
      {"bmp", "image/bmp"},
      {"cpp", "text/plain; charset=utf-8"},
      {"css", "text/css; charset=utf-8"},
      {"csv", "text/csv; charset=utf-8"},
      {"gif", "image/gif"},
      {"gz", "application/gzip"},
      {"hpp", "text/plain; charset=utf-8"},
      {"htm", "text/html; charset=utf-8"},
      {"html", "text/html; charset=utf-8"},
      {"ico", "image/vnd.microsoft.icon"},
      {"jpeg", "image/jpeg"},
      {"jpg", "image/jpeg"},
      {"js", "text/javascript; charset=utf-8"},
      {"json", "application/json"},
      {"log", "text/plain; charset=utf-8"},
      {"md", "text/markdown; charset=utf-8"},
      {"mjs", "text/javascript; charset=utf-8"},
      {"mp3", "audio/mpeg"},
      {"mp4", "video/mp4"},
      {"ogg", "audio/ogg"},
      {"otf", "font/otf"},
      {"pdf", "application/pdf"},
      {"png", "image/png"},
      {"svg", "image/svg+xml"},
      {"tar", "application/x-tar"},
      {"ttf", "font/ttf"},
      {"txt", "text/plain; charset=utf-8"},
      {"wasm", "application/wasm"},
      {"wav", "audio/wav"},
      {"webm", "video/webm"},
      {"webp", "image/webp"},
      {"woff", "font/woff"},
      {"woff2", "font/woff2"},
      {"xml", "text/xml; charset=utf-8"},
      {"zip", "application/zip"},
  }};
  static_assert(std::ranges::is_sorted(types, {}, &known::extension));

  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  std::array<char, 8> lower{};
  if (dot == name.npos || name.size() - dot - 1 > lower.size()) return "application/octet-stream";
  const std::string_view extension = name.substr(dot + 1);
  std::ranges::transform(extension, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const std::string_view wanted(lower.data(), extension.size());
  const auto found = std::ranges::lower_bound(types, wanted, {}, &known::extension);
  return found != types.end() && found->extension == wanted ? found->type : "application/octet-stream";
}

}  // namespace httpd
