// connection.hpp: one client, from its first request to its last. Each has a goroutine of its own, so this is written as
// if there were no other.
#pragma once

#include "files.hpp"
#include "options.hpp"
#include "request.hpp"
#include "respond.hpp"

#include <weft/beast.hpp>
#include <weft/net.hpp>

#include <boost/beast/core/flat_static_buffer.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace httpd {

/// What all connections share.
struct service {
  const options& settings;
  const root_directory& root;
  std::atomic<bool> stopping{false};  // answer what was asked, then close
  // Counted by many processors, read once a second; not on the line that all of them read.
  alignas(64) std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> bytes{0};       // of bodies
  std::atomic<std::int64_t> connections{0};  // open now
  std::atomic<std::int64_t> transfers{0};    // files being sent piece by piece, which may take long
};

/// The stream as the parser reads it. The time for a header starts with its first byte, not when we begin to wait for it.
class request_stream {
 public:
  request_stream(weft::net::stream next, std::chrono::nanoseconds header_timeout)
      : next_(std::move(next)), header_timeout_(header_timeout) {}

  /// Before each request; `begun`: bytes of it came together with the one before.
  void begin_request(bool begun) noexcept { begun_ = begun, slow_ = false; }
  /// Whether the deadline was set for the rest of a header.
  [[nodiscard]] bool slow() const noexcept { return slow_; }
  weft::net::stream& next_layer() noexcept { return next_.next_layer(); }

  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers, boost::beast::error_code& ec) {
    if (begun_ && !slow_) {
      slow_ = true;
      next_layer().set_read_deadline(std::chrono::steady_clock::now() + header_timeout_);
    }
    const std::size_t n = next_.read_some(buffers, ec);
    begun_ = begun_ || n > 0;
    return n;
  }
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers) {  // only because the concept wants it
    boost::beast::error_code ec;
    const std::size_t n = read_some(buffers, ec);
    if (ec) boost::throw_exception(boost::beast::system_error(ec));
    return n;
  }

 private:
  weft::net::beast_stream next_;
  std::chrono::nanoseconds header_timeout_;
  bool begun_ = false;
  bool slow_ = false;
};

/// About 34 KB, of which only what is used gets real memory; so it lives on the heap, not on the goroutine's stack, where
/// the compiler's probes would touch every page.
class connection {
 public:
  connection(service& s, weft::net::stream stream);
  ~connection() { service_.connections.fetch_sub(1, std::memory_order_relaxed); }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Answers requests until the client has no more, or something ends it.
  void serve();

 private:
  static constexpr std::uint64_t small_file_bytes = 16 * 1024;  // sent together with the header
  static constexpr std::uint64_t piece_bytes = 256 * 1024;      // of a larger one: what must be taken within the write time-out

  bool read_request();
  bool read_body();
  int status_of_error(const boost::beast::error_code& ec) const;
  void send(answer a);
  bool send_large(const answer& a);
  void expect_request();
  void extend_write_deadline();
  void linger();
  std::string_view date();

  service& service_;
  request_stream stream_;
  weft::net::time_point now_;            // read once per request
  weft::net::time_point read_deadline_;  // as it is set now
  weft::net::time_point write_deadline_;
  bool keep_alive_ = true;
  bool first_ = true;  // no request has come yet
  request request_{};
  std::optional<request_parser> parser_;  // a new one for each request
  std::string path_;
  std::time_t date_second_ = -1;
  std::array<char, http_date_bytes> date_;
  boost::beast::flat_static_buffer<request_parser::max_header_bytes> in_;
  std::array<char, max_head_bytes + small_file_bytes> out_;
};

}  // namespace httpd
