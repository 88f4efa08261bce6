// net.hpp: sockets in plain blocking style. A call that has to wait parks its goroutine, never the thread.
// stream, listener are handles: copies refer to the same socket, which is closed by close() or with the last of them. One
// goroutine may read while another writes; two that read (or write) take turns. close() wakes all who wait: errc::closed.
// Deadlines are points on the monotonic clock: an operation that is waiting past one fails with errc::timed_out, and the
// socket stays usable. Source of the design: Go's net and internal/poll.
//
// Each operation has a form that throws std::system_error, whose what() says which operation and which addresses, and one
// with an std::error_code&. On a thread that weft did not make, an operation blocks that thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <weft/detail/config.hpp>
#include <weft/error.hpp>

namespace weft::net {

namespace detail {
class socket;  // src/net/socket.hpp
}

using time_point = std::chrono::steady_clock::time_point;
/// As a deadline: none.
inline constexpr time_point no_deadline{};

/// One end of a connection: TCP or a Unix stream socket.
class WEFT_API stream {
 public:
  stream() noexcept = default;  ///< closed: every operation fails with errc::closed

  /// What is there, 1 to buffer.size() bytes, waiting for the first; 0 at the end of the stream (or for an empty buffer).
  /// Parks: yes.    Allocates: no.
  std::size_t read_some(std::span<std::byte> buffer);
  std::size_t read_some(std::span<std::byte> buffer, std::error_code& ec);
  /// Fills the buffer. errc::eof when the stream ends before; returns how many bytes came (the throwing form: all).
  std::size_t read_full(std::span<std::byte> buffer);
  std::size_t read_full(std::span<std::byte> buffer, std::error_code& ec);
  /// What fits into the socket's buffer, waiting for room for the first byte.
  std::size_t write_some(std::span<const std::byte> data);
  std::size_t write_some(std::span<const std::byte> data, std::error_code& ec);
  /// Writes all of it; no other writer's bytes come between. Returns how many were written (less only with an error).
  /// SIGPIPE never reaches the program.
  std::size_t write_all(std::span<const std::byte> data);
  std::size_t write_all(std::span<const std::byte> data, std::error_code& ec);
  std::size_t write_all(std::string_view text) { return write_all(std::as_bytes(std::span(text))); }
  std::size_t write_all(std::string_view text, std::error_code& ec) { return write_all(std::as_bytes(std::span(text)), ec); }
  /// Sends `count` bytes of the open file from `offset` on, by sendfile(2). Returns how many were sent: fewer, without an
  /// error, when the file ends before.
  std::uint64_t send_file(int file, std::uint64_t offset, std::uint64_t count);
  std::uint64_t send_file(int file, std::uint64_t offset, std::uint64_t count, std::error_code& ec);

  /// For reads and writes, those that wait already too. no_deadline clears. A time that is past fails at once.
  void set_deadline(time_point t) noexcept;
  void set_read_deadline(time_point t) noexcept;
  void set_write_deadline(time_point t) noexcept;

  /// Says that nothing more will be written: the peer reads the end.
  void close_write();
  void close_write(std::error_code& ec) noexcept;
  /// Closes the socket and wakes who waits on it. A second close gives errc::closed in the form with ec, nothing else.
  void close() noexcept;
  void close(std::error_code& ec) noexcept;

  /// "127.0.0.1:8080", "[::1]:8080", or a path; empty when closed.
  [[nodiscard]] std::string local_address() const;
  [[nodiscard]] std::string remote_address() const;
  /// The descriptor, for options that weft does not know; -1 when closed. It is non-blocking and stays the stream's.
  [[nodiscard]] int native_handle() const noexcept;
  /// Whether this handle refers to a socket, closed or not.
  explicit operator bool() const noexcept { return socket_ != nullptr; }

 private:
  friend class listener;
  friend struct access;
  explicit stream(std::shared_ptr<detail::socket> s) noexcept : socket_(std::move(s)) {}
  std::shared_ptr<detail::socket> socket_;
};

struct listen_options {
  bool reuse_address = true;
  bool reuse_port = false;
  int backlog = 0;  ///< 0: the system's limit (net.core.somaxconn)
};

/// Waits for connections.
class WEFT_API listener {
 public:
  listener() noexcept = default;

  /// The next connection. Running out of descriptors or memory is survived: it waits and tries again (and says so once
  /// on stderr), rather than spin or fail.    Parks: yes.
  stream accept();
  stream accept(std::error_code& ec);
  void set_deadline(time_point t) noexcept;
  void close() noexcept;
  void close(std::error_code& ec) noexcept;
  /// Where it listens; with the port that was chosen when 0 was asked for.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::uint16_t port() const noexcept;  ///< 0 for a Unix socket
  [[nodiscard]] int native_handle() const noexcept;
  explicit operator bool() const noexcept { return socket_ != nullptr; }

 private:
  friend struct access;
  explicit listener(std::shared_ptr<detail::socket> s) noexcept : socket_(std::move(s)) {}
  std::shared_ptr<detail::socket> socket_;
};

/// Listens on "host:port". network: "tcp", "tcp4", "tcp6" or "unix" (address is then a path). An empty host is all of the
/// machine's addresses; port 0 lets the system choose.    Parks: no (a name is looked up: use numbers).    Threads: any.
WEFT_API listener listen(std::string_view network, std::string_view address, const listen_options& options = {});
WEFT_API listener listen(std::string_view network, std::string_view address, const listen_options& options, std::error_code& ec);

struct dial_options {
  std::chrono::nanoseconds timeout{0};  ///< for the whole attempt; 0: the system's
  bool no_delay = true;                 ///< TCP_NODELAY, as Go does
};

/// Connects to "host:port", trying each address of the name in turn.    Parks: yes.    Threads: any.
WEFT_API stream dial(std::string_view network, std::string_view address, const dial_options& options = {});
WEFT_API stream dial(std::string_view network, std::string_view address, const dial_options& options, std::error_code& ec);

}  // namespace weft::net
