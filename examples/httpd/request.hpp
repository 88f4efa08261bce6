// request.hpp: one request, as Boost.Beast's parser finds it in the stream.
// The parser checks the syntax and the limits and calls the functions below for each piece; we keep the few that a file
// server looks at, instead of a container of all fields.
#pragma once

#include <boost/beast/http/basic_parser.hpp>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>

namespace httpd {

/// What a request asks for. Kept for the life of a connection, so that its strings are allocated once.
struct request {
  boost::beast::http::verb method;
  std::string target;
  int version;  // 10 or 11
  int hosts;    // how many Host fields it has
  bool expects_continue;
  std::string range;
  std::string if_range;
  std::string if_match;
  std::string if_none_match;
  std::optional<std::time_t> if_modified_since;
  std::optional<std::time_t> if_unmodified_since;

  void clear();
};

class request_parser final : public boost::beast::http::basic_parser<true> {
 public:
  static constexpr std::uint32_t max_header_bytes = 8 * 1024;
  static constexpr std::uint64_t max_body_bytes = 1024 * 1024;

  explicit request_parser(request& into) : request_(into) {
    request_.clear();
    header_limit(max_header_bytes);
    body_limit(max_body_bytes);
  }
  [[nodiscard]] bool has_request_line() const noexcept { return has_request_line_; }

 private:
  using error_code = boost::beast::error_code;
  using string_view = boost::beast::string_view;

  void on_request_impl(boost::beast::http::verb method, string_view method_text, string_view target, int version,
                       error_code& ec) override;
  void on_field_impl(boost::beast::http::field name, string_view name_text, string_view value, error_code& ec) override;
  void on_header_impl(error_code&) override {}
  // Bodies are read to get to the next request, and thrown away.
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view body, error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override { return body.size(); }
  void on_finish_impl(error_code&) override {}
  void on_response_impl(int, string_view, int, error_code&) override {}  // the base class has it for both directions

  request& request_;
  bool has_request_line_ = false;
  std::size_t header_bytes_ = 0;  // Beast's limit is for what it sees at once; a header that comes line by line is counted here
};

/// "Sun, 06 Nov 1994 08:49:37 GMT", and the two older forms that HTTP still allows.
std::optional<std::time_t> parse_http_date(const std::string& text);

/// Writes a date in HTTP's form: 29 characters, no zero at the end.
void write_http_date(std::time_t when, char* to);
inline constexpr std::size_t http_date_bytes = 29;

}  // namespace httpd
