// net/stream.cpp: see stream in <weft/net.hpp>.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include <weft/net.hpp>

#include "net/access.hpp"
#include "net/operation.hpp"
#include "net/socket.hpp"

namespace weft::net {

using detail::fail;
using detail::socket;

namespace detail {

namespace {

// sendfile(2) has no MSG_NOSIGNAL. So the thread is closed to the signal meanwhile, and one that the call has caused is taken away: it
// is the thread's own. What the program has SIGPIPE do is its affair, and may change at any time.
ssize_t sendfile_without_sigpipe(int to, int from, off_t* at, std::size_t n) noexcept {
  sigset_t sigpipe, before, waiting;
  ::sigemptyset(&sigpipe);
  ::sigaddset(&sigpipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  const bool was_blocked = ::sigismember(&before, SIGPIPE) == 1;
  const bool one_waits = was_blocked && ::sigpending(&waiting) == 0 && ::sigismember(&waiting, SIGPIPE) == 1;
  const ssize_t sent = ::sendfile(to, from, at, n);
  const int error = errno;
  if (sent != static_cast<ssize_t>(n) && !one_waits) {  // also after a part of it, which hides the error
    constexpr timespec not_at_all{};
    while (::sigtimedwait(&sigpipe, nullptr, &not_at_all) < 0 && errno == EINTR) {
    }
  }
  if (!was_blocked) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return sent;
}

// In the writer's turn. All of it, or an error; how much was written.
std::size_t write_in_turn(socket& s, std::span<const std::byte> data, std::error_code& ec) {
  std::size_t written = 0;
  while (written < data.size()) {
    const auto rest = data.subspan(written);
    const ssize_t n = s.attempt_in_turn(direction::write, ec, [&](int fd) { return ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL); });
    if (n < 0) break;
    written += static_cast<std::size_t>(n);
  }
  return written;
}

// The throwing form of an operation with an error_code.
template <class Operation>
auto or_throw(const char* name, const std::shared_ptr<socket>& s, Operation operation) {
  std::error_code ec;
  auto r = operation(ec);
  if (__builtin_expect(static_cast<bool>(ec), 0)) fail(ec, name, s.get());
  return r;
}

}  // namespace
}  // namespace detail

using detail::operation;
using detail::or_throw;

namespace {

// Each operation once, with a context or without (null).

std::size_t read_some(const std::shared_ptr<socket>& s, std::span<std::byte> buffer, const context* ctx, std::error_code& ec) {
  if (!s) return ec = errc::closed, 0;
  const operation op(*s, direction::read, ctx, ec);
  if (ec || buffer.empty()) return 0;
  const ssize_t n = s->attempt_in_turn(direction::read, ec, [&](int fd) { return ::recv(fd, buffer.data(), buffer.size(), 0); });
  if (n < 0) return 0;
  if (n > 0 && static_cast<std::size_t>(n) < buffer.size()) s->set_drained();
  return static_cast<std::size_t>(n);
}

std::size_t read_full(const std::shared_ptr<socket>& s, std::span<std::byte> buffer, const context* ctx, std::error_code& ec) {
  std::size_t got = 0;
  ec.clear();
  while (got < buffer.size()) {
    const std::size_t n = read_some(s, buffer.subspan(got), ctx, ec);
    if (ec) break;
    if (n == 0) {
      ec = errc::eof;
      break;
    }
    got += n;
  }
  return got;
}

std::size_t write_some(const std::shared_ptr<socket>& s, std::span<const std::byte> data, const context* ctx, std::error_code& ec) {
  ec.clear();
  if (!s) return ec = errc::closed, 0;
  if (data.empty()) return 0;
  const operation op(*s, direction::write, ctx, ec);
  if (ec) return 0;
  const ssize_t n = s->attempt_in_turn(direction::write, ec, [&](int fd) { return ::send(fd, data.data(), data.size(), MSG_NOSIGNAL); });
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

std::size_t write_all(const std::shared_ptr<socket>& s, std::span<const std::byte> data, const context* ctx, std::error_code& ec) {
  if (!s) return ec = errc::closed, 0;
  const operation op(*s, direction::write, ctx, ec);
  return ec ? 0 : detail::write_in_turn(*s, data, ec);
}

std::uint64_t send_file(const std::shared_ptr<socket>& s, int file, std::uint64_t offset, std::uint64_t count, const context* ctx, std::error_code& ec) {
  if (!s) return ec = errc::closed, 0;
  const operation op(*s, direction::write, ctx, ec);
  if (ec) return 0;
  auto at = static_cast<off_t>(offset);
  std::uint64_t sent = 0;
  while (sent < count) {
    const std::size_t chunk = static_cast<std::size_t>(std::min<std::uint64_t>(count - sent, 1 << 30));
    const ssize_t n = s->attempt_in_turn(direction::write, ec, [&](int fd) { return detail::sendfile_without_sigpipe(fd, file, &at, chunk); });
    if (n <= 0) break;
    sent += static_cast<std::uint64_t>(n);
  }
  return sent;
}

}  // namespace

std::size_t stream::read_some(std::span<std::byte> buffer, std::error_code& ec) const { return net::read_some(socket_, buffer, nullptr, ec); }
std::size_t stream::read_some(std::span<std::byte> buffer) const {
  return or_throw("read", socket_, [&](std::error_code& ec) { return net::read_some(socket_, buffer, nullptr, ec); });
}
std::size_t stream::read_some(std::span<std::byte> buffer, const context& ctx, std::error_code& ec) const { return net::read_some(socket_, buffer, &ctx, ec); }
std::size_t stream::read_some(std::span<std::byte> buffer, const context& ctx) const {
  return or_throw("read", socket_, [&](std::error_code& ec) { return net::read_some(socket_, buffer, &ctx, ec); });
}

std::size_t stream::read_full(std::span<std::byte> buffer, std::error_code& ec) const { return net::read_full(socket_, buffer, nullptr, ec); }
std::size_t stream::read_full(std::span<std::byte> buffer) const {
  return or_throw("read", socket_, [&](std::error_code& ec) { return net::read_full(socket_, buffer, nullptr, ec); });
}
std::size_t stream::read_full(std::span<std::byte> buffer, const context& ctx, std::error_code& ec) const { return net::read_full(socket_, buffer, &ctx, ec); }
std::size_t stream::read_full(std::span<std::byte> buffer, const context& ctx) const {
  return or_throw("read", socket_, [&](std::error_code& ec) { return net::read_full(socket_, buffer, &ctx, ec); });
}

std::size_t stream::write_some(std::span<const std::byte> data, std::error_code& ec) const { return net::write_some(socket_, data, nullptr, ec); }
std::size_t stream::write_some(std::span<const std::byte> data) const {
  return or_throw("write", socket_, [&](std::error_code& ec) { return net::write_some(socket_, data, nullptr, ec); });
}
std::size_t stream::write_some(std::span<const std::byte> data, const context& ctx, std::error_code& ec) const { return net::write_some(socket_, data, &ctx, ec); }
std::size_t stream::write_some(std::span<const std::byte> data, const context& ctx) const {
  return or_throw("write", socket_, [&](std::error_code& ec) { return net::write_some(socket_, data, &ctx, ec); });
}

std::size_t stream::write_all(std::span<const std::byte> data, std::error_code& ec) const { return net::write_all(socket_, data, nullptr, ec); }
std::size_t stream::write_all(std::span<const std::byte> data) const {
  return or_throw("write", socket_, [&](std::error_code& ec) { return net::write_all(socket_, data, nullptr, ec); });
}
std::size_t stream::write_all(std::span<const std::byte> data, const context& ctx, std::error_code& ec) const { return net::write_all(socket_, data, &ctx, ec); }
std::size_t stream::write_all(std::span<const std::byte> data, const context& ctx) const {
  return or_throw("write", socket_, [&](std::error_code& ec) { return net::write_all(socket_, data, &ctx, ec); });
}

std::uint64_t stream::send_file(int file, std::uint64_t offset, std::uint64_t count, std::error_code& ec) const { return net::send_file(socket_, file, offset, count, nullptr, ec); }
std::uint64_t stream::send_file(int file, std::uint64_t offset, std::uint64_t count) const {
  return or_throw("sendfile", socket_, [&](std::error_code& ec) { return net::send_file(socket_, file, offset, count, nullptr, ec); });
}
std::uint64_t stream::send_file(int file, std::uint64_t offset, std::uint64_t count, const context& ctx, std::error_code& ec) const { return net::send_file(socket_, file, offset, count, &ctx, ec); }
std::uint64_t stream::send_file(int file, std::uint64_t offset, std::uint64_t count, const context& ctx) const {
  return or_throw("sendfile", socket_, [&](std::error_code& ec) { return net::send_file(socket_, file, offset, count, &ctx, ec); });
}

void stream::set_deadline(time_point t) const noexcept {
  set_read_deadline(t);
  set_write_deadline(t);
}
void stream::set_read_deadline(time_point t) const noexcept {
  if (socket_) socket_->set_deadline(direction::read, t);
}
void stream::set_write_deadline(time_point t) const noexcept {
  if (socket_) socket_->set_deadline(direction::write, t);
}

void stream::close_write(std::error_code& ec) const noexcept {
  ec.clear();
  if (!socket_) return void(ec = errc::closed);
  const socket::reference open(*socket_);
  if (!open) ec = errc::closed;
  else if (::shutdown(open.fd(), SHUT_WR) != 0) ec = {errno, std::system_category()};
}
void stream::close_write() const {
  std::error_code ec;
  close_write(ec);
  if (ec) fail(ec, "close", socket_.get(), "shutdown");
}
void stream::close(std::error_code& ec) const noexcept {
  ec.clear();
  if (!socket_ || !socket_->close()) ec = errc::closed;
}
void stream::close() const noexcept {
  if (socket_) socket_->close();
}

std::string stream::local_address() const { return socket_ ? socket_->local_address() : std::string(); }
std::string stream::remote_address() const { return socket_ ? socket_->remote_address() : std::string(); }
int stream::native_handle() const noexcept { return socket_ ? socket_->fd() : -1; }

}  // namespace weft::net
