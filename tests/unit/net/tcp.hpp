// tcp.hpp: what the tests of streams and listeners share: two ends of a connection, and what they say to each other.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <sys/socket.h>
#include <system_error>

#include <weft/weft.hpp>

namespace {

struct connection {
  weft::net::stream a, b;
};
inline connection connect_pair(weft::net::listener& l) {
  connection c;
  weft::wait_group done;
  done.go([&] { c.b = l.accept(); });
  c.a = weft::net::dial("tcp", l.address());
  done.wait();
  return c;
}
inline connection connect_pair() {
  auto l = weft::net::listen("tcp", "127.0.0.1:0");
  return connect_pair(l);
}

inline std::span<std::byte> bytes(std::string& s) { return std::as_writable_bytes(std::span(s)); }
inline std::string read_text(weft::net::stream& s, std::size_t at_most) {
  std::string text(at_most, '\0');
  text.resize(s.read_some(bytes(text)));
  return text;
}
/// Closes with a reset, so that thousands of connections leave no TIME_WAIT behind.
inline void reset(weft::net::stream& s) {
  const linger now{1, 0};
  setsockopt(s.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  s.close();
}
inline bool is(const std::error_code& ec, weft::errc e) { return ec == weft::make_error_code(e); }

}  // namespace
