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
#include "net/operation.hpp"
#include "net/socket.hpp"

namespace weft::net {

using detail::fail;

namespace {

// No descriptors or memory for a connection that is there: it stays in the kernel's queue. Wait for somebody to close one.
bool is_shortage(const std::error_code& ec) noexcept {
  return ec.category() == std::system_category() && (ec.value() == EMFILE || ec.value() == ENFILE || ec.value() == ENOBUFS ||
                                                     ec.value() == ENOMEM || ec.value() == ENOSPC);  // ENOSPC: epoll's max_user_watches
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

// The options of a listening socket that its connections inherit cost nothing for each of them (Linux).
void set_tcp_options(int fd, int family, std::string_view network, const listen_options& options) noexcept {
  const int on = 1, only_v6 = network == "tcp6";
  if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
  if (options.reuse_address) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options.reuse_port) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  detail::set_keep_alive(fd);
}

// -1 with ec, and `call`, which failed.
int open_listening(const detail::socket_address& a, std::string_view network, const listen_options& options, std::error_code& ec, const char*& call) noexcept {
  call = "socket";
  const int fd = ::socket(a.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && a.family() != AF_UNIX) set_tcp_options(fd, a.family(), network, options);
  const int backlog = options.backlog > 0 ? options.backlog : 65535;  // the kernel lowers it to net.core.somaxconn
  if (fd >= 0 && (call = "bind", ::bind(fd, a.get(), a.size) == 0) && (call = "listen", ::listen(fd, backlog) == 0)) return fd;
  ec = {errno, std::system_category()};
  if (fd >= 0) ::close(fd);
  return -1;
}

// This machine lacks that version of the protocol, or that address: the next one may do.
bool is_not_here(const std::error_code& ec) noexcept {
  return ec.category() == std::system_category() && (ec.value() == EAFNOSUPPORT || ec.value() == EPROTONOSUPPORT || ec.value() == EADDRNOTAVAIL);
}

listener listen(std::string_view network, std::string_view address, const listen_options& options, std::error_code& ec, const char*& call) {
  ec.clear();
  for (const auto& a : detail::resolve(network, address, detail::purpose::listening, {}, ec)) {
    ec.clear();
    const int fd = open_listening(a, network, options, ec, call);
    if (fd >= 0) {
      std::string path = a.family() == AF_UNIX ? std::string(address) : std::string();
      auto s = detail::adopt(fd, network, ec);
      if (s) {
        s->set_path(std::move(path));
        return access::make_listener(std::move(s));
      }
      if (!path.empty()) ::unlink(path.c_str());
    }
    if (!is_not_here(ec)) break;
  }
  return {};
}

}  // namespace

listener listen(std::string_view network, std::string_view address, const listen_options& options, std::error_code& ec) {
  const char* call = nullptr;
  return listen(network, address, options, ec, call);
}

listener listen(std::string_view network, std::string_view address, const listen_options& options) {
  std::error_code ec;
  const char* call = nullptr;
  listener l = listen(network, address, options, ec, call);
  if (ec) detail::throw_error(ec, "listen " + std::string(network) + " " + std::string(address), call);
  return l;
}

namespace detail {

ssize_t accept_call(int listening, ip_address& peer) noexcept {
  socklen_t size = sizeof peer;
  return ::accept4(listening, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

stream accepted(const socket& from, ssize_t fd, const ip_address& peer, std::error_code& ec) {
  if (fd < 0) return {};
  auto s = adopt(static_cast<int>(fd), from.network(), ec);
  if (!s) return {};
  if (peer.any.sa_family == AF_INET || peer.any.sa_family == AF_INET6) s->set_remote(peer);
  return access::make_stream(std::move(s));
}

accept_next after_accept(const std::error_code& ec) {
  if (is_shortage(ec)) {
    say_shortage_once(ec);
    return accept_next::pause;
  }
  return is_lost_connection(ec) ? accept_next::again : accept_next::fail;
}

}  // namespace detail

stream listener::accept(const context* ctx, std::error_code& ec) const {
  using namespace std::chrono_literals;
  ec.clear();
  if (!socket_) return ec = errc::closed, stream();
  for (auto pause = 5ms;;) {
    detail::ip_address peer{};
    ssize_t fd = -1;
    {
      const detail::operation op(*socket_, direction::read, ctx, ec);
      if (!ec) fd = socket_->attempt_in_turn(direction::read, ec, [&peer](int l) { return detail::accept_call(l, peer); });
    }
    if (stream s = detail::accepted(*socket_, fd, peer, ec)) return s;
    const auto next = detail::after_accept(ec);
    if (next == detail::accept_next::fail) return {};
    if (next == detail::accept_next::pause) {
      if (!ctx) this_goroutine::sleep_for(pause);
      else if (const auto slept = this_goroutine::sleep_for(pause, *ctx); !slept) return ec = slept.error(), stream();
      pause = pause < 500ms ? pause * 2 : pause;
    }
    ec.clear();
  }
}

stream listener::accept(const context* ctx) const {
  std::error_code ec;
  stream s = accept(ctx, ec);
  if (ec) fail(ec, "accept", socket_.get(), "accept4");
  return s;
}

stream listener::accept() const { return accept(nullptr); }
stream listener::accept(std::error_code& ec) const { return accept(nullptr, ec); }
stream listener::accept(const context& ctx) const { return accept(&ctx); }
stream listener::accept(const context& ctx, std::error_code& ec) const { return accept(&ctx, ec); }

void listener::set_deadline(time_point t) const noexcept {
  if (socket_) socket_->set_deadline(direction::read, t);
}
void listener::close(std::error_code& ec) const noexcept {
  ec.clear();
  if (!socket_ || !socket_->close()) ec = errc::closed;
}
void listener::close() const noexcept {
  if (socket_) socket_->close();
}
std::string listener::address() const { return socket_ ? socket_->local_address() : std::string(); }
std::uint16_t listener::port() const noexcept {
  if (!socket_) return 0;
  const detail::socket::reference open(*socket_);
  detail::socket_address a;
  return open && get_address(open.fd(), detail::end_of_connection::local, a) ? port_of(a) : 0;
}
int listener::native_handle() const noexcept { return socket_ ? socket_->fd() : -1; }

}  // namespace weft::net
