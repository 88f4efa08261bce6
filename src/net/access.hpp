// net/access.hpp: makes handles out of sockets.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>

#include <weft/net.hpp>

#include "net/error.hpp"
#include "net/socket.hpp"
#include "sched/unwind.hpp"

namespace weft::net {

struct access {
  static stream make_stream(std::shared_ptr<detail::socket> s) noexcept { return stream(std::move(s)); }
  static const std::shared_ptr<detail::socket>& socket_of(const stream& s) noexcept { return s.socket_; }
  static const std::shared_ptr<detail::socket>& socket_of(const listener& l) noexcept { return l.socket_; }
  static listener make_listener(std::shared_ptr<detail::socket> s) noexcept { return listener(std::move(s)); }
};

namespace detail {

/// Takes fd over; null with ec when it cannot be watched, or when there is no memory for it. fd is closed then.
inline std::shared_ptr<socket> adopt(int fd, std::string_view network, std::error_code& ec) {
  try {
    auto s = std::make_shared<socket>(fd, network, ec);
    return ec ? nullptr : s;
  } catch (const std::bad_alloc&) {
    ::close(fd);
    ec = {ENOMEM, std::system_category()};
    return nullptr;
  }
}

// The steps of accept(), for the two ways to wait between them (listener.cpp).
/// The system call.
ssize_t accept_call(int listening, ip_address& peer) noexcept;
/// What it gave as a stream; closed, with ec, when it cannot be one.
[[nodiscard]] stream accepted(const socket& from, ssize_t fd, const ip_address& peer, std::error_code& ec);
/// No connection: whether to try again, and whether only after a pause.
enum class accept_next : std::uint8_t { again, pause, fail };
[[nodiscard]] accept_next after_accept(const std::error_code& ec);

/// What a throwing form throws: "read tcp A->B: i/o timeout", "read tcp A->B: read: connection reset by peer".
[[noreturn, gnu::cold]] inline void fail(const std::error_code& ec, const char* operation, socket* s, const char* call) {
  unwind_if_due();
  throw_error(ec, describe(operation, s), call);
}
[[noreturn, gnu::cold]] inline void fail(const std::error_code& ec, const char* operation, socket* s) { fail(ec, operation, s, operation); }

/// As Go does: a probe after 15 s of silence, then one each 15 s, 9 of them (the system's number).
inline void set_keep_alive(int fd) noexcept {
  const int on = 1, seconds = 15;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
}

}  // namespace detail
}  // namespace weft::net
