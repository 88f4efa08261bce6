// net/access.hpp: makes handles out of sockets.
#pragma once

#include <memory>
#include <system_error>
#include <utility>

#include <weft/net.hpp>

#include "net/socket.hpp"

namespace weft::net {

struct access {
  static stream make_stream(std::shared_ptr<detail::socket> s) noexcept { return stream(std::move(s)); }
  static listener make_listener(std::shared_ptr<detail::socket> s) noexcept { return listener(std::move(s)); }
};

namespace detail {

/// Takes fd over; null with ec when it cannot be watched.
inline std::shared_ptr<socket> adopt(int fd, std::string_view network, std::error_code& ec) {
  auto s = std::make_shared<socket>(fd, network, ec);
  return ec ? nullptr : s;
}

/// What a throwing form throws: "read tcp A->B: i/o timeout".
[[noreturn, gnu::cold]] inline void fail(const std::error_code& ec, const char* operation, socket* s) {
  throw std::system_error(ec, describe(operation, s));
}

/// A write to a connection that the peer has closed is an error number, not a signal: sendfile(2) has no flag for that.
void ignore_sigpipe() noexcept;

}  // namespace detail
}  // namespace weft::net
