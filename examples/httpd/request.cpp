#include "request.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>

#include <cstring>

namespace httpd {

void request::clear() {
  method = boost::beast::http::verb::unknown;
  target.clear();
  version = 11;
  hosts = 0;
  expects_continue = false;
  range.clear();
  if_range.clear();
  if_match.clear();
  if_none_match.clear();
  if_modified_since.reset();
  if_unmodified_since.reset();
}

void request_parser::on_request_impl(boost::beast::http::verb method, string_view, string_view target, int version, error_code&) {
  has_request_line_ = true;
  request_.method = method;
  request_.target.assign(target.data(), target.size());
  request_.version = version;
  header_bytes_ = target.size();
}

void request_parser::on_field_impl(boost::beast::http::field name, string_view name_text, string_view value, error_code& ec) {
  using boost::beast::http::field;
  header_bytes_ += name_text.size() + value.size() + 4;  // ": ", and the end of the line
  if (header_bytes_ > max_header_bytes) {
    ec = boost::beast::http::error::header_limit;
    return;
  }
  const auto append = [&](std::string& list) {  // a field that comes twice is one list
    if (!list.empty()) list += ',';
    list.append(value.data(), value.size());
  };
  switch (name) {
    case field::host: ++request_.hosts; break;
    case field::expect: request_.expects_continue = boost::beast::iequals(value, "100-continue"); break;
    case field::range: append(request_.range); break;
    case field::if_range: append(request_.if_range); break;
    case field::if_match: append(request_.if_match); break;
    case field::if_none_match: append(request_.if_none_match); break;
    case field::if_modified_since: request_.if_modified_since = parse_http_date(std::string(value)); break;
    case field::if_unmodified_since: request_.if_unmodified_since = parse_http_date(std::string(value)); break;
    default: break;
  }
}

std::optional<std::time_t> parse_http_date(const std::string& text) {
  for (const char* form : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm t{};
    const char* end = ::strptime(text.c_str(), form, &t);
    if (end && *end == '\0') return ::timegm(&t);
  }
  return std::nullopt;
}

void write_http_date(std::time_t when, char* to) {
  // By hand: strftime is slow, and depends on the locale.
  static constexpr char days[] = "SunMonTueWedThuFriSat";
  static constexpr char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::tm t{};
  ::gmtime_r(&when, &t);
  const auto two = [](char* p, int n) { p[0] = static_cast<char>('0' + n / 10 % 10), p[1] = static_cast<char>('0' + n % 10); };
  std::memcpy(to, "Sun, 00 Jan 0000 00:00:00 GMT", http_date_bytes);
  std::memcpy(to, days + 3 * t.tm_wday, 3);
  two(to + 5, t.tm_mday);
  std::memcpy(to + 8, months + 3 * t.tm_mon, 3);
  two(to + 12, (t.tm_year + 1900) / 100);
  two(to + 14, (t.tm_year + 1900) % 100);
  two(to + 17, t.tm_hour);
  two(to + 20, t.tm_min);
  two(to + 23, t.tm_sec);
}

}  // namespace httpd
