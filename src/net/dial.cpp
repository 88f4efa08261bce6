// net/dial.cpp: see dial() in <weft/net.hpp>.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cerrno>

#include <weft/net.hpp>

#include "net/access.hpp"
#include "net/address.hpp"
#include "net/socket.hpp"

namespace weft::net {

namespace {

// connect() parks, so it may not name errno (design D5): these two do.

// A socket on which connect() has begun; `under_way` when it has not ended yet. -1 with ec.
[[gnu::noinline]] int begin_connect(const detail::socket_address& a, const dial_options& options, bool& under_way, std::error_code& ec) noexcept {
  const int fd = ::socket(a.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return ec = {errno, std::system_category()}, -1;
  const int on = 1;
  if (options.no_delay && a.family() != AF_UNIX) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  under_way = ::connect(fd, a.get(), a.size) != 0;
  if (!under_way || errno == EINPROGRESS || errno == EINTR) return fd;
  ec = {errno, std::system_category()};
  ::close(fd);
  return -1;
}

// The result of a connect() that was under way.
[[gnu::noinline]] void pending_error(int fd, std::error_code& ec) noexcept {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error) ec = {error, std::system_category()};
}

stream connect(const detail::socket_address& a, std::string_view network, const dial_options& options, time_point deadline, std::error_code& ec) {
  bool under_way = false;
  const int fd = begin_connect(a, options, under_way, ec);
  if (fd < 0) return {};
  auto s = detail::adopt(fd, network, ec);
  if (!s) return {};
  if (under_way) {
    s->set_deadline(direction::write, deadline);
    for (;;) {
      if (!s->wait(direction::write, ec)) return {};
      // A first event may come before the connection stands: the peer's address tells.
      pending_error(fd, ec);
      if (ec) return {};
      sockaddr_storage peer;
      socklen_t size = sizeof peer;
      if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0) break;
    }
    s->set_deadline(direction::write, no_deadline);
  }
  return access::make_stream(std::move(s));
}

}  // namespace

stream dial(std::string_view network, std::string_view address, const dial_options& options, std::error_code& ec) {
  ec.clear();
  detail::ignore_sigpipe();
  const time_point deadline = options.timeout.count() > 0 ? std::chrono::steady_clock::now() + options.timeout : no_deadline;
  for (const auto& a : detail::resolve(network, address, detail::purpose::dialing, ec)) {
    ec.clear();
    stream s = connect(a, network, options, deadline, ec);
    if (!ec) return s;
    if (is_timeout(ec)) break;
  }
  return {};
}

stream dial(std::string_view network, std::string_view address, const dial_options& options) {
  std::error_code ec;
  stream s = dial(network, address, options, ec);
  if (ec) throw std::system_error(ec, "dial " + std::string(network) + " " + std::string(address));
  return s;
}

}  // namespace weft::net
