// listing.cpp: the page for a directory without an index.html.
#include "files.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace httpd {
namespace {

struct entry {
  std::string name;  // with a slash for a directory
  std::uint64_t size;
  std::time_t modified;
  bool directory;
};

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
}

std::vector<entry> entries_of(file_descriptor directory) {
  std::vector<entry> entries;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(directory.get()), &::closedir);
  if (!dir) return entries;
  const int fd = directory.release();  // closedir closes it
  while (const dirent* d = ::readdir(dir.get())) {
    const std::string_view name = d->d_name;
    if (name == "." || name == "..") continue;
    struct stat s;
    if (::fstatat(fd, d->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
    entry e{std::string(name), static_cast<std::uint64_t>(s.st_size), s.st_mtime, S_ISDIR(s.st_mode)};
    if (e.directory) e.name += '/';
    entries.push_back(std::move(e));
  }
  std::ranges::sort(entries,
                    [](const entry& a, const entry& b) { return a.directory != b.directory ? a.directory : a.name < b.name; });
  return entries;
}

}  // namespace

std::string list_directory(file_descriptor directory, std::string_view path) {
  std::string page = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>/";
  append_escaped(page, path);
  page += "</title><style>body{font-family:sans-serif}td{padding-right:2em}</style></head>\n<body><h1>/";
  append_escaped(page, path);
  page += "</h1>\n<table>\n";
  if (!path.empty()) page += "<tr><td><a href=\"../\">../</a></td></tr>\n";
  for (const entry& e : entries_of(std::move(directory))) {
    page += "<tr><td><a href=\"./";  // "./": a name may look like a scheme, as "a:b"
    append_encoded(page, e.name);
    page += "\">";
    append_escaped(page, e.name);
    page += "</a></td><td>";
    std::tm t{};
    char date[32];
    ::gmtime_r(&e.modified, &t);
    page.append(date, std::strftime(date, sizeof date, "%Y-%m-%d %H:%M", &t));
    page += "</td><td>";
    if (!e.directory) page += std::to_string(e.size);
    page += "</td></tr>\n";
  }
  page += "</table></body></html>\n";
  return page;
}

}  // namespace httpd
