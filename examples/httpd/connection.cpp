#include "connection.hpp"

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>

#include <algorithm>
#include <span>
#include <system_error>
#include <utility>

namespace httpd {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using namespace std::chrono_literals;

connection::connection(service& s, weft::net::stream stream)
    : service_(s), stream_(std::move(stream), s.settings.header_timeout), now_(std::chrono::steady_clock::now()) {
  service_.connections.fetch_add(1, std::memory_order_relaxed);
}

void connection::serve() {
  do {
    if (!read_request()) break;
    service_.requests.fetch_add(1, std::memory_order_relaxed);
    send(answer_to(request_, service_.root, path_));
  } while (keep_alive_);
  stream_.next_layer().close();
}

/// Reads a request to its end, body included. False: there is none, or it was bad and has its answer.
bool connection::read_request() {
  parser_.emplace(request_);
  stream_.begin_request(in_.size() != 0);
  expect_request();
  beast::error_code ec;
  http::read_header(stream_, in_, *parser_, ec);
  if (stream_.slow()) read_deadline_ = {};  // it was moved
  if (!ec) {
    first_ = false;
    now_ = std::chrono::steady_clock::now();
    keep_alive_ = parser_->keep_alive() && !service_.stopping.load(std::memory_order_relaxed);
    if (parser_->is_done() || read_body()) return true;
    return false;
  }
  const int status = status_of_error(ec);
  if (status != 0) {
    now_ = std::chrono::steady_clock::now();
    keep_alive_ = false;
    service_.requests.fetch_add(1, std::memory_order_relaxed);
    send(error_answer(status));
  }
  return false;
}

/// Reads the body, which nobody wants, to get to the next request. A client that asks whether it may send it gets the
/// answer at once instead.
bool connection::read_body() {
  if (request_.expects_continue) {
    keep_alive_ = false;
    return true;
  }
  stream_.next_layer().set_read_deadline(now_ + service_.settings.header_timeout);
  read_deadline_ = {};
  beast::error_code ec;
  while (!ec && !parser_->is_done()) http::read_some(stream_, in_, *parser_, ec);
  now_ = std::chrono::steady_clock::now();
  if (!ec) return true;
  if (const int status = status_of_error(ec); status != 0) {
    keep_alive_ = false;
    service_.requests.fetch_add(1, std::memory_order_relaxed);
    send(error_answer(status));
  }
  return false;
}

/// What to answer when a request cannot be read; 0: nothing, the client is gone or never asked.
int connection::status_of_error(const beast::error_code& ec) const {
  if (ec == http::error::end_of_stream) return 0;
  if (ec == beast::error::timeout) return parser_->got_some() || in_.size() != 0 ? 408 : 0;
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) return parser_->has_request_line() ? 431 : 414;
  if (ec == http::error::body_limit) return 413;
  if (ec == http::error::bad_version) {  // the request line is still in the buffer: another version, or no HTTP at all?
    const std::string_view line(static_cast<const char*>(in_.data().data()), in_.size());
    const std::size_t name = line.substr(0, line.find('\n')).rfind(" HTTP/");
    return name != line.npos && name + 6 < line.size() && line[name + 6] >= '0' && line[name + 6] <= '9' ? 505 : 400;
  }
  return ec.category() == make_error_code(http::error::bad_method).category() ? 400 : 0;
}

void connection::send(answer a) {
  if (a.status == 501) keep_alive_ = false;  // who knows what else is different
  weft::net::stream& stream = stream_.next_layer();
  extend_write_deadline();
  std::size_t filled = write_head(out_, a, date(), keep_alive_, request_.version);
  std::error_code ec;
  const std::uint64_t length = a.no_body ? 0 : a.length;
  const auto write = [&](std::string_view data) { stream.write_all(data, ec); };
  if (!a.file || length == 0) {
    const std::string_view body = length == 0 ? std::string_view() : std::string_view(a.text);
    if (filled + body.size() <= out_.size()) {
      filled += body.copy(out_.data() + filled, body.size());
      write({out_.data(), filled});
    } else {
      write({out_.data(), filled});
      if (!ec) write(body);
    }
  } else if (length <= small_file_bytes) {
    const std::size_t n = read_at(a.file, out_.data() + filled, length, a.offset);
    if (n < length) keep_alive_ = false;  // it became shorter meanwhile; the client sees that bytes are missing
    write({out_.data(), filled + n});
  } else {
    write({out_.data(), filled});
    if (!ec && !send_large(a)) keep_alive_ = false;
  }
  if (ec) keep_alive_ = false;
  else service_.bytes.fetch_add(length, std::memory_order_relaxed);
  if (!keep_alive_ && !ec && (!parser_->is_done() || in_.size() != 0)) linger();
}

/// A large file goes from the page cache to the socket, and never through here. In pieces, so that a client may be slow,
/// but not stand still.
bool connection::send_large(const answer& a) {
  service_.transfers.fetch_add(1, std::memory_order_relaxed);
  weft::net::stream& stream = stream_.next_layer();
  std::error_code ec;
  std::uint64_t sent = 0;
  while (sent < a.length) {
    const std::uint64_t piece = std::min(a.length - sent, piece_bytes);
    const std::uint64_t n = stream.send_file(a.file.get(), a.offset + sent, piece, ec);
    sent += n;
    if (ec || n < piece) break;
    now_ = std::chrono::steady_clock::now();
    extend_write_deadline();
  }
  service_.transfers.fetch_sub(1, std::memory_order_relaxed);
  return sent == a.length;
}

/// Sets the time until which a request must begin. Moving a deadline costs more than looking at it, so one that is nearly
/// right stays.
void connection::expect_request() {
  const std::chrono::nanoseconds limit = first_ ? service_.settings.header_timeout : service_.settings.idle_timeout;
  const auto wanted = now_ + limit;
  if (read_deadline_ <= wanted && read_deadline_ >= wanted - limit / 8) return;
  read_deadline_ = wanted;
  stream_.next_layer().set_read_deadline(wanted);
}

void connection::extend_write_deadline() {
  const std::chrono::nanoseconds limit = service_.settings.write_timeout;
  if (write_deadline_ >= now_ + limit / 2) return;
  write_deadline_ = now_ + limit;
  stream_.next_layer().set_write_deadline(write_deadline_);
}

/// Closing a socket that has unread bytes resets the connection, and the answer may be lost on its way. So say that this
/// was all, and wait a moment for the client to go.
void connection::linger() {
  weft::net::stream& stream = stream_.next_layer();
  std::error_code ec;
  stream.close_write(ec);
  stream.set_read_deadline(std::chrono::steady_clock::now() + 500ms);
  std::size_t seen = 0;
  while (!ec && seen < 2 * request_parser::max_body_bytes) {
    const std::size_t n = stream.read_some(std::as_writable_bytes(std::span(out_)), ec);
    if (n == 0) break;
    seen += n;
  }
}

std::string_view connection::date() {
  const std::time_t now = std::time(nullptr);
  if (now != date_second_) {
    date_second_ = now;
    write_http_date(now, date_.data());
  }
  return {date_.data(), date_.size()};
}

}  // namespace httpd
