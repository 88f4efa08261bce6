#include "respond.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <utility>

namespace httpd {
namespace {

using boost::beast::http::verb;

std::string_view reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
  }
}

int status_of_errno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG: return 404;
    case EACCES:
    case EPERM:
    case EXDEV:  // a link that leads out of the root
    case ELOOP:
    case ENXIO: return 403;  // a socket
    case EMFILE:
    case ENFILE:
    case ENOMEM: return 503;
    default: return 500;
  }
}

constexpr std::size_t etag_bytes = 40;
/// The time of the last change, to the nanosecond, and the size: changes whenever the file does.
std::string_view write_etag(std::span<char, etag_bytes> out, const answer& a) {
  char* p = out.data();
  char* const end = p + out.size();
  *p++ = '"';
  p = std::to_chars(p, end, static_cast<std::uint64_t>(a.modified_ns), 16).ptr;
  *p++ = '-';
  p = std::to_chars(p, end, a.file_size, 16).ptr;
  *p++ = '"';
  return {out.data(), static_cast<std::size_t>(p - out.data())};
}

enum class comparison { strong, weak };
/// Whether `etag` is in the list of an If-Match or If-None-Match field. Our own tags have no comma in them.
bool matches(std::string_view list, std::string_view etag, comparison how) {
  while (!list.empty()) {
    std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(one.size() + 1, list.size()));
    while (!one.empty() && (one.front() == ' ' || one.front() == '\t')) one.remove_prefix(1);
    while (!one.empty() && (one.back() == ' ' || one.back() == '\t')) one.remove_suffix(1);
    if (one == "*") return true;
    if (one.starts_with("W/")) {
      if (how == comparison::strong) continue;
      one.remove_prefix(2);
    }
    if (one == etag) return true;
  }
  return false;
}

/// 200, or 304 or 412 when the conditions say so, in the order of RFC 9110, 13.2.2.
int check_conditions(const request& r, const answer& a) {
  char buffer[etag_bytes];
  const std::time_t modified = static_cast<std::time_t>(a.modified_ns / 1'000'000'000);
  if (!r.if_match.empty()) {
    if (!matches(r.if_match, write_etag(buffer, a), comparison::strong)) return 412;
  } else if (r.if_unmodified_since && modified > *r.if_unmodified_since) {
    return 412;
  }
  if (!r.if_none_match.empty()) {
    if (matches(r.if_none_match, write_etag(buffer, a), comparison::weak)) return 304;
  } else if (r.if_modified_since && modified <= *r.if_modified_since) {
    return 304;
  }
  return 200;
}

bool range_applies(const request& r, const answer& a) {
  if (r.range.empty() || r.method != verb::get) return false;
  if (r.if_range.empty()) return true;
  char buffer[etag_bytes];
  if (r.if_range == write_etag(buffer, a)) return true;
  const auto date = parse_http_date(r.if_range);
  return date && *date == static_cast<std::time_t>(a.modified_ns / 1'000'000'000);
}

/// Reads "bytes=FIRST-LAST", "bytes=FIRST-" or "bytes=-COUNT" and sets the status, offset and length to match: 206, or
/// 416 if no byte is in it. Anything else, several ranges too, leaves the whole file as it is, which HTTP allows.
void apply_range(std::string_view range, answer& a) {
  if (!range.starts_with("bytes=")) return;
  range.remove_prefix(6);
  const auto number = [](std::string_view text) -> std::optional<std::uint64_t> {
    std::uint64_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (end != text.data() + text.size() || text.empty()) return std::nullopt;
    if (error == std::errc::result_out_of_range) return UINT64_MAX;
    if (error != std::errc()) return std::nullopt;
    return n;
  };
  const std::size_t dash = range.find('-');
  if (dash == range.npos) return;
  const std::string_view before = range.substr(0, dash), after = range.substr(dash + 1);
  std::uint64_t first = 0, last = a.file_size - 1;  // an empty file has no last byte, and is looked at before `last` is
  if (before.empty()) {
    const auto count = number(after);
    if (!count) return;
    first = *count == 0 ? a.file_size : a.file_size - std::min(*count, a.file_size);
  } else {
    const auto from = number(before);
    if (!from) return;
    first = *from;
    if (!after.empty()) {
      const auto to = number(after);
      if (!to || *to < first) return;
      last = std::min(last, *to);
    }
  }
  if (first >= a.file_size) {
    const std::uint64_t size = a.file_size;
    a = error_answer(416);
    a.file_size = size;
    return;
  }
  a.status = 206;
  a.offset = first;
  a.length = last - first + 1;
}

answer file_answer(const request& r, file_descriptor file, const struct stat& s, std::string_view path) {
  answer a;
  a.type = content_type(path);
  a.file_size = a.length = static_cast<std::uint64_t>(s.st_size);
  a.modified_ns = s.st_mtim.tv_sec * std::int64_t{1'000'000'000} + s.st_mtim.tv_nsec;
  a.has_validators = true;
  switch (check_conditions(r, a)) {
    case 304:
      a.status = 304;
      a.length = 0;
      a.no_body = true;
      return a;
    case 412: return error_answer(412);
    default: break;
  }
  a.file = std::move(file);
  if (range_applies(r, a)) apply_range(r.range, a);
  return a;
}

answer directory_answer(const request& r, const root_directory& root, file_descriptor directory, std::string& path) {
  answer a;
  if (!path.empty() && path.back() != '/') {  // links in a page are relative to the last slash
    a.status = 301;
    a.location = "/";
    append_encoded(a.location, path);
    a.location += '/';
    if (const std::size_t query = r.target.find('?'); query != r.target.npos) a.location.append(r.target, query);
    if (a.location.size() > max_location_bytes) return error_answer(414);
    a.text = "<!DOCTYPE html>\n<title>301 Moved Permanently</title><h1>301 Moved Permanently</h1>\n";
    a.length = a.text.size();
    return a;
  }
  const std::size_t length = path.size();
  path += "index.html";
  int error = 0;
  file_descriptor index = root.open(path, error);
  struct stat s;
  if (index && status_of(index, s) && S_ISREG(s.st_mode)) return file_answer(r, std::move(index), s, path);
  path.resize(length);
  if (!index && error != ENOENT) return error_answer(status_of_errno(error));
  a.text = list_directory(std::move(directory), path);
  a.length = a.text.size();
  return a;
}

answer answer_with_body(const request& r, const root_directory& root, std::string& path) {
  if (r.method == verb::unknown) return error_answer(501);
  if (r.method != verb::get && r.method != verb::head) return error_answer(405);
  if (r.version >= 11 ? r.hosts != 1 : r.hosts > 1) return error_answer(400);
  if (const int status = path_of_target(r.target, path); status != 200) return error_answer(status);
  int error = 0;
  file_descriptor file = root.open(path, error);
  if (!file) return error_answer(status_of_errno(error));
  struct stat s;
  if (!status_of(file, s)) return error_answer(500);
  if (S_ISREG(s.st_mode)) return file_answer(r, std::move(file), s, path);
  if (S_ISDIR(s.st_mode)) return directory_answer(r, root, std::move(file), path);
  return error_answer(403);  // a FIFO, a device
}

}  // namespace

answer answer_to(const request& r, const root_directory& root, std::string& path) {
  answer a = answer_with_body(r, root, path);
  if (r.method == verb::head) a.no_body = true;
  return a;
}

answer error_answer(int status) {
  answer a;
  a.status = status;
  const std::string title = std::to_string(status) + ' ' + std::string(reason(status));
  a.text = "<!DOCTYPE html>\n<title>" + title + "</title><h1>" + title + "</h1>\n";
  a.length = a.text.size();
  return a;
}

std::size_t write_head(std::span<char> out, const answer& a, std::string_view date, bool keep_alive, int version) {
  char* p = out.data();
  char* const end = p + out.size();
  const auto text = [&](std::string_view s) {
    if (s.size() > static_cast<std::size_t>(end - p)) std::abort();  // the caller's buffer is not as large as promised
    std::memcpy(p, s.data(), s.size());
    p += s.size();
  };
  const auto number = [&](auto n) {
    char digits[20];
    text({digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, n).ptr - digits)});
  };

  text("HTTP/1.1 ");
  number(a.status);
  text(" ");
  text(reason(a.status));
  text("\r\nServer: weft\r\nDate: ");
  text(date);
  if (a.status != 304) {
    text("\r\nContent-Type: ");
    text(a.type);
    text("\r\nContent-Length: ");
    number(a.length);
  }
  if (a.has_validators) {
    char modified[http_date_bytes];
    write_http_date(static_cast<std::time_t>(a.modified_ns / 1'000'000'000), modified);
    text("\r\nLast-Modified: ");
    text({modified, sizeof modified});
    char etag[etag_bytes];
    text("\r\nETag: ");
    text(write_etag(etag, a));
    text("\r\nAccept-Ranges: bytes");
  }
  if (a.status == 206) {
    text("\r\nContent-Range: bytes ");
    number(a.offset);
    text("-");
    number(a.offset + a.length - 1);
    text("/");
    number(a.file_size);
  } else if (a.status == 416) {
    text("\r\nContent-Range: bytes */");
    number(a.file_size);
  } else if (a.status == 405) {
    text("\r\nAllow: GET, HEAD");
  }
  if (!a.location.empty()) {
    text("\r\nLocation: ");
    text(a.location);
  }
  if (!keep_alive) text("\r\nConnection: close");
  else if (version < 11) text("\r\nConnection: keep-alive");
  text("\r\n\r\n");
  return static_cast<std::size_t>(p - out.data());
}

}  // namespace httpd
