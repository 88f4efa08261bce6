// respond.hpp: what the answer to a request is: its status, its header fields, and which bytes of which file.
// Decides and formats only; connection.cpp sends.
#pragma once

#include "files.hpp"
#include "request.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace httpd {

/// An answer. Its body is `text`, or `length` bytes of `file` from `offset` on when there is a file.
struct answer {
  int status = 200;
  std::string_view type = "text/html; charset=utf-8";
  std::string text;
  std::string location;  // for a redirection
  file_descriptor file;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // of the body, whether it is sent (GET) or not (HEAD)
  std::uint64_t file_size = 0;
  std::int64_t modified_ns = 0;
  bool has_validators = false;  // ETag and Last-Modified, of the file
  bool no_body = false;         // HEAD, 304
};

/// What to answer to r. `path` is scratch space. Opens and looks at files; never parks.
answer answer_to(const request& r, const root_directory& root, std::string& path);

/// A page that says what is wrong.
answer error_answer(int status);

/// Writes an answer's header into `out` and gives its length; max_head_bytes always suffice.
std::size_t write_head(std::span<char> out, const answer& a, std::string_view date, bool keep_alive, int version);
inline constexpr std::size_t max_location_bytes = 8 * 1024;
inline constexpr std::size_t max_head_bytes = max_location_bytes + 1024;

}  // namespace httpd
