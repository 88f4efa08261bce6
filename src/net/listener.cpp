// net/listener.cpp: see listen() and listener in <weft/net.hpp>.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cerrno>

#include <weft/net.hpp>
#include <weft/this_goroutine.hpp>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "net/access.hpp"
#include "net/address.hpp"
#include "net/socket.hpp"

namespace weft::net {

using detail::fail;

namespace {

// No descriptors or memory for a connection that is there: it stays in the kernel's queue. Wait for somebody to close one.
bool is_shortage(const std::error_code& ec) noexcept {
  return ec.category() == std::system_category() && (ec.value() == EMFILE || ec.value() == ENFILE || ec.value() == ENOBUFS || ec.value() == ENOMEM);
}

void say_shortage_once(const std::error_code& ec) {
  static atomic<bool> said{false};
  if (said.exchange(true, std::memory_order_relaxed)) return;
  error_text() << "weft: accept: " << ec.message() << "; waiting and trying again (raise ulimit -n?)\n";
}

// Gone before we took it, or a network error that was pending on it: the next one may be fine (accept(2)).
bool is_lost_connection(const std::error_code& ec) noexcept {
  if (ec.category() != std::system_category()) return false;
  switch (ec.value()) {
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH: return true;
    default: return false;
  }
}

int open_listening(const detail::socket_address& a, const listen_options& options, std::error_code& ec) noexcept {
  const int fd = ::socket(a.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0 && a.family() != AF_UNIX && options.reuse_address) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd >= 0 && a.family() != AF_UNIX && options.reuse_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const int backlog = options.backlog > 0 ? options.backlog : 65535;  // the kernel lowers it to net.core.somaxconn
  if (fd >= 0 && ::bind(fd, a.get(), a.size) == 0 && ::listen(fd, backlog) == 0) return fd;
  ec = {errno, std::system_category()};
  if (fd >= 0) ::close(fd);
  return -1;
}

}  // namespace

listener listen(std::string_view network, std::string_view address, const listen_options& options, std::error_code& ec) {
  ec.clear();
  detail::ignore_sigpipe();
  for (const auto& a : detail::resolve(network, address, detail::purpose::listening, ec)) {
    ec.clear();
    const int fd = open_listening(a, options, ec);
    if (fd < 0) continue;
    auto s = detail::adopt(fd, network, ec);
    if (s) return access::make_listener(std::move(s));
  }
  return {};
}

listener listen(std::string_view network, std::string_view address, const listen_options& options) {
  std::error_code ec;
  listener l = listen(network, address, options, ec);
  if (ec) throw std::system_error(ec, "listen " + std::string(network) + " " + std::string(address));
  return l;
}

stream listener::accept(std::error_code& ec) {
  using namespace std::chrono_literals;
  ec.clear();
  if (!socket_) return ec = errc::closed, stream();
  for (auto pause = 5ms;;) {
    const ssize_t fd = socket_->attempt(direction::read, ec, [](int l) { return static_cast<ssize_t>(::accept4(l, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)); });
    if (fd >= 0) {
      const int on = 1;
      if (socket_->network() != "unix") ::setsockopt(static_cast<int>(fd), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      auto s = detail::adopt(static_cast<int>(fd), socket_->network(), ec);
      if (s) return access::make_stream(std::move(s));
    }
    if (is_shortage(ec)) {
      say_shortage_once(ec);
      this_goroutine::sleep_for(pause);
      pause = pause < 500ms ? pause * 2 : pause;
    } else if (!is_lost_connection(ec)) {
      return {};
    }
    ec.clear();
  }
}

stream listener::accept() {
  std::error_code ec;
  stream s = accept(ec);
  if (ec) fail(ec, "accept", socket_.get());
  return s;
}

void listener::set_deadline(time_point t) noexcept {
  if (socket_) socket_->set_deadline(direction::read, t);
}
void listener::close(std::error_code& ec) noexcept {
  ec.clear();
  if (!socket_ || !socket_->close()) ec = errc::closed;
}
void listener::close() noexcept {
  if (socket_) socket_->close();
}
std::string listener::address() const { return socket_ ? socket_->local_address() : std::string(); }
std::uint16_t listener::port() const noexcept {
  const int fd = native_handle();
  return fd < 0 ? 0 : detail::port_of(fd);
}
int listener::native_handle() const noexcept { return socket_ ? socket_->fd() : -1; }

}  // namespace weft::net
