// beast.hpp: a net::stream for Boost.Beast, so that its HTTP parser and serializer work in plain blocking style on goroutines.
// Optional: the only header of weft that needs Boost (1.74 or newer, headers only); <weft/weft.hpp> does not include it.
// The errors are those that Beast and Asio look for; everything else about the stream (deadlines, close) stays with next_layer().
#pragma once

#if !__has_include(<boost/beast/core/error.hpp>)
#error "weft/beast.hpp needs the headers of Boost 1.74 or newer (Debian: libboost1.81-dev)"
#endif

#include <weft/error.hpp>
#include <weft/net.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <boost/throw_exception.hpp>

#include <cstddef>
#include <span>
#include <system_error>
#include <utility>

namespace weft::net {

/// The same failure in Boost's terms: a time-out is boost::beast::error::timeout, a closed stream
/// boost::asio::error::operation_aborted, an end of stream boost::asio::error::eof; the system's errors keep their number.
inline boost::system::error_code to_boost_error(const std::error_code& ec) noexcept {
  if (!ec) return {};
  if (ec.category() == std::system_category()) return {ec.value(), boost::system::system_category()};
  if (ec.category() == std::generic_category()) return {ec.value(), boost::system::generic_category()};
  if (is_timeout(ec)) return boost::beast::error::timeout;
  if (ec == errc::eof) return boost::asio::error::eof;
  if (ec == errc::closed || ec == errc::canceled) return boost::asio::error::operation_aborted;
  if (ec == errc::would_block) return boost::asio::error::would_block;
  return boost::system::errc::make_error_code(boost::system::errc::io_error);
}

/// A stream that models Beast's SyncStream: boost::beast::http::read, write and their kin take it.
///
/// A handle, as net::stream is. Not for boost::beast::websocket, which wants an executor of Asio's.
/// Parks:     where the stream's own read_some and write_some do.    Threads: any.    Allocates: no.
/// Example:   examples/httpd/connection.cpp
class beast_stream {
 public:
  using next_layer_type = stream;

  beast_stream() noexcept = default;
  explicit beast_stream(stream next) noexcept : next_(std::move(next)) {}

  stream& next_layer() noexcept { return next_; }
  const stream& next_layer() const noexcept { return next_; }

  /// Reads into the first buffer that has room. The end of the stream is boost::asio::error::eof, which Beast's own
  /// functions make http::error::end_of_stream between two messages and http::error::partial_message inside one.
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers, boost::system::error_code& ec) {
    ec = {};
    for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers); ++it) {
      const boost::asio::mutable_buffer b(*it);
      if (b.size() == 0) continue;
      std::error_code why;
      const std::size_t n = next_.read_some({static_cast<std::byte*>(b.data()), b.size()}, why);
      if (why) ec = to_boost_error(why);
      else if (n == 0) ec = boost::asio::error::eof;
      return n;
    }
    return 0;
  }
  template <class MutableBufferSequence>
  std::size_t read_some(const MutableBufferSequence& buffers) {
    boost::system::error_code ec;
    const std::size_t n = read_some(buffers, ec);
    if (ec) boost::throw_exception(boost::system::system_error(ec, "read_some"));
    return n;
  }

  /// Writes some of the buffers. Small ones are put together first: Beast gives a header in many pieces, and each would
  /// become a packet.
  template <class ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers, boost::system::error_code& ec) {
    ec = {};
    boost::asio::const_buffer first;
    for (auto it = boost::asio::buffer_sequence_begin(buffers); it != boost::asio::buffer_sequence_end(buffers); ++it) {
      const boost::asio::const_buffer b(*it);
      if (b.size() == 0) continue;
      if (first.size() != 0) return write_together(buffers, ec);
      first = b;
      if (first.size() >= together_bytes) break;
    }
    if (first.size() == 0) return 0;
    return write_one({static_cast<const std::byte*>(first.data()), first.size()}, ec);
  }
  template <class ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers) {
    boost::system::error_code ec;
    const std::size_t n = write_some(buffers, ec);
    if (ec) boost::throw_exception(boost::system::system_error(ec, "write_some"));
    return n;
  }

 private:
  static constexpr std::size_t together_bytes = 4096;  // a packet or three, and one page of a goroutine's stack

  // Its own frame, so that only those who need these bytes of stack touch them.
  template <class ConstBufferSequence>
  __attribute__((noinline)) std::size_t write_together(const ConstBufferSequence& buffers, boost::system::error_code& ec) {
    std::byte bytes[together_bytes];
    const std::size_t n = boost::asio::buffer_copy(boost::asio::buffer(bytes, sizeof bytes), buffers);
    return write_one({bytes, n}, ec);
  }
  std::size_t write_one(std::span<const std::byte> data, boost::system::error_code& ec) {
    std::error_code why;
    const std::size_t n = next_.write_some(data, why);
    if (why) ec = to_boost_error(why);
    return n;
  }

  stream next_;
};

}  // namespace weft::net
