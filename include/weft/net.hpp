// net.hpp: sockets in plain blocking style. A call that has to wait parks its goroutine, never the thread.
// stream, listener are handles: copies refer to the same socket, which is closed by close() or with the last of them. One
// goroutine may read while another writes; two that read (or write) take turns. close() wakes all who wait: errc::closed.
// Deadlines are points on the monotonic clock: an operation that is waiting past one fails with errc::timed_out, and the
// socket stays usable. Source of the design: Go's net and internal/poll.
//
// Each operation has a form that throws std::system_error, whose what() says which operation and which addresses, and one
// with an std::error_code&. Those that wait also take a context: they fail with its error when it is done, and at once when it is
// done already; what else waits on the socket is left alone. (On a plain thread that may take 50 ms.) On a thread that weft did not make, an operation blocks that thread.
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

#include <weft/context.hpp>
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
  [[nodiscard]] std::size_t read_some(std::span<std::byte> buffer) const;
  [[nodiscard]] std::size_t read_some(std::span<std::byte> buffer, std::error_code& ec) const;
  [[nodiscard]] std::size_t read_some(std::span<std::byte> buffer, const context& ctx) const;
  [[nodiscard]] std::size_t read_some(std::span<std::byte> buffer, const context& ctx, std::error_code& ec) const;
  /// Fills the buffer. errc::eof when the stream ends before; returns how many bytes came (the throwing form: all).
  std::size_t read_full(std::span<std::byte> buffer) const;
  std::size_t read_full(std::span<std::byte> buffer, std::error_code& ec) const;
  std::size_t read_full(std::span<std::byte> buffer, const context& ctx) const;
  std::size_t read_full(std::span<std::byte> buffer, const context& ctx, std::error_code& ec) const;
  /// What fits into the socket's buffer, waiting for room for the first byte.
  [[nodiscard]] std::size_t write_some(std::span<const std::byte> data) const;
  [[nodiscard]] std::size_t write_some(std::span<const std::byte> data, std::error_code& ec) const;
  [[nodiscard]] std::size_t write_some(std::span<const std::byte> data, const context& ctx) const;
  [[nodiscard]] std::size_t write_some(std::span<const std::byte> data, const context& ctx, std::error_code& ec) const;
  /// Writes all of it; no other writer's bytes come between. Returns how many were written (less only with an error).
  /// A connection that the peer has closed is an error, never a signal.
  std::size_t write_all(std::span<const std::byte> data) const;
  std::size_t write_all(std::span<const std::byte> data, std::error_code& ec) const;
  std::size_t write_all(std::span<const std::byte> data, const context& ctx) const;
  std::size_t write_all(std::span<const std::byte> data, const context& ctx, std::error_code& ec) const;
  std::size_t write_all(std::string_view text) const { return write_all(std::as_bytes(std::span(text))); }
  std::size_t write_all(std::string_view text, std::error_code& ec) const { return write_all(std::as_bytes(std::span(text)), ec); }
  std::size_t write_all(std::string_view text, const context& ctx) const { return write_all(std::as_bytes(std::span(text)), ctx); }
  std::size_t write_all(std::string_view text, const context& ctx, std::error_code& ec) const { return write_all(std::as_bytes(std::span(text)), ctx, ec); }
  /// Sends `count` bytes of the open file from `offset` on, by sendfile(2). Returns how many were sent: fewer, without an
  /// error, when the file ends before.
  std::uint64_t send_file(int file, std::uint64_t offset, std::uint64_t count) const;
  std::uint64_t send_file(int file, std::uint64_t offset, std::uint64_t count, std::error_code& ec) const;
  std::uint64_t send_file(int file, std::uint64_t offset, std::uint64_t count, const context& ctx) const;
  std::uint64_t send_file(int file, std::uint64_t offset, std::uint64_t count, const context& ctx, std::error_code& ec) const;

  /// For reads and writes, those that wait already too. no_deadline clears. A time that is past fails at once.
  void set_deadline(time_point t) const noexcept;
  void set_read_deadline(time_point t) const noexcept;
  void set_write_deadline(time_point t) const noexcept;

  /// Says that nothing more will be written: the peer reads the end.
  void close_write() const;
  void close_write(std::error_code& ec) const noexcept;
  /// Closes the socket, wakes who waits on it, and returns when they have let go of it: the address is free then, and the
  /// kernel may give the descriptor's number away. A second close gives errc::closed in the form with ec, nothing else; it
  /// does not wait.    Parks: yes, shortly, when somebody is in an operation. (The end of the last handle finds nobody.)
  void close() const noexcept;
  void close(std::error_code& ec) const noexcept;

  /// "127.0.0.1:8080", "[::1]:8080", or a path; after close() too.
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
  [[nodiscard]] stream accept() const;
  [[nodiscard]] stream accept(std::error_code& ec) const;
  [[nodiscard]] stream accept(const context& ctx) const;
  [[nodiscard]] stream accept(const context& ctx, std::error_code& ec) const;
  void set_deadline(time_point t) const noexcept;
  /// As stream's: returns when nobody is in accept() any more. Removes the path of a Unix socket, as the last handle's end does.
  void close() const noexcept;
  void close(std::error_code& ec) const noexcept;
  /// Where it listens; with the port that was chosen when 0 was asked for.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::uint16_t port() const noexcept;  ///< 0 for a Unix socket, and when closed
  [[nodiscard]] int native_handle() const noexcept;
  explicit operator bool() const noexcept { return socket_ != nullptr; }

 private:
  friend struct access;
  stream accept(const context* ctx) const;
  stream accept(const context* ctx, std::error_code& ec) const;
  explicit listener(std::shared_ptr<detail::socket> s) noexcept : socket_(std::move(s)) {}
  std::shared_ptr<detail::socket> socket_;
};

/// Listens on "host:port". network: "tcp", "tcp4", "tcp6" or "unix" (address is then a path). An empty host is all of the
/// machine's addresses: for "tcp" of both versions, where it has them; port 0 lets the system choose. Connections have
/// TCP_NODELAY and a keep-alive probe after each 15 s of silence, as in Go.
/// Parks: no (a name is looked up: use numbers).    Threads: any.
[[nodiscard]] WEFT_API listener listen(std::string_view network, std::string_view address, const listen_options& options = {});
[[nodiscard]] WEFT_API listener listen(std::string_view network, std::string_view address, const listen_options& options, std::error_code& ec);

struct dial_options {
  std::chrono::nanoseconds timeout{0};  ///< for the lookup of a name and all its addresses, of which each gets its share; 0: the system's
  bool no_delay = true;                 ///< TCP_NODELAY, as Go does
};

/// Connects to "host:port", trying each address of the name in turn; when none answers, the first one's error. A name is looked up by
/// getaddrinfo, beside: the timeout and the context end the wait for it, and it goes on for nobody.
/// Parks: yes.    Threads: any; a plain one is blocked by the lookup, whatever the limit.
[[nodiscard]] WEFT_API stream dial(std::string_view network, std::string_view address, const dial_options& options = {});
[[nodiscard]] WEFT_API stream dial(std::string_view network, std::string_view address, const dial_options& options, std::error_code& ec);
[[nodiscard]] WEFT_API stream dial(std::string_view network, std::string_view address, const context& ctx, const dial_options& options = {});
[[nodiscard]] WEFT_API stream dial(std::string_view network, std::string_view address, const context& ctx, const dial_options& options, std::error_code& ec);

}  // namespace weft::net
