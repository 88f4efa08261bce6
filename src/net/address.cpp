// net/address.cpp: see address.hpp.
#include "net/address.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "net/lookup.hpp"

namespace weft::net::detail {

namespace {

// "[::1]:80", "127.0.0.1:80", "name:http", ":80"
bool split(std::string_view address, std::string& host, std::string& port) {
  const auto colon = address.rfind(':');
  if (colon == address.npos) return false;
  port = address.substr(colon + 1);
  std::string_view h = address.substr(0, colon);
  if (h.size() >= 2 && h.front() == '[' && h.back() == ']') h = h.substr(1, h.size() - 2);
  else if (h.find(':') != h.npos) return false;  // an IPv6 address needs its brackets
  host = h;
  return !port.empty();
}

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// 0 to 65535, or what may be a service's name. getaddrinfo takes "70000" for 4464, and " 80" or "-1" for a number.
bool is_port(std::string_view port) noexcept {
  if (!std::all_of(port.begin(), port.end(), is_digit)) return is_digit(port[0]) || is_letter(port[0]);
  unsigned n = 0;
  for (const char c : port) n = std::min(n * 10 + static_cast<unsigned>(c - '0'), 65'536u);
  return n <= 65'535;
}

std::vector<socket_address> unix_path(std::string_view path, std::error_code& ec) {
  socket_address a;
  auto* u = reinterpret_cast<sockaddr_un*>(&a.storage);
  if (path.empty() || path.size() >= sizeof u->sun_path) {
    ec = std::make_error_code(path.empty() ? std::errc::invalid_argument : std::errc::filename_too_long);
    return {};
  }
  u->sun_family = AF_UNIX;
  std::memcpy(u->sun_path, path.data(), path.size());
  a.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return {a};
}

}  // namespace

bool known_network(std::string_view n) noexcept { return n == "tcp" || n == "tcp4" || n == "tcp6" || n == "unix"; }

std::vector<socket_address> resolve(std::string_view network, std::string_view address, purpose why, const weft::detail::wait_limit& limit,
                                    std::error_code& ec) {
  if (!known_network(network)) {
    ec = std::make_error_code(std::errc::protocol_not_supported);
    return {};
  }
  std::string host, port;
  const bool is_unix = network == "unix";
  // The C library would take what stands before a NUL.
  if (address.find('\0') != address.npos || (!is_unix && (!split(address, host, port) || !is_port(port)))) {
    ec = std::make_error_code(std::errc::invalid_argument);
    return {};
  }
  if (is_unix) return unix_path(address, ec);
  addrinfo hints{};
  hints.ai_family = network == "tcp4" ? AF_INET : network == "tcp6" ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = why == purpose::listening ? AI_PASSIVE : 0;
  const addrinfo_list list = look_up(host, port, hints, limit, ec);
  std::vector<socket_address> out;
  for (const addrinfo* a = list.get(); a; a = a->ai_next) {
    socket_address s;
    std::memcpy(&s.storage, a->ai_addr, a->ai_addrlen);
    s.size = a->ai_addrlen;
    out.push_back(s);
  }
  if (why == purpose::listening && host.empty())
    std::sort(out.begin(), out.end(), [](const socket_address& a, const socket_address& b) { return (a.family() == AF_INET6) > (b.family() == AF_INET6); });
  return out;
}

namespace {

std::string to_string(const sockaddr_in& a) {
  char text[INET_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET, &a.sin_addr, text, sizeof text);
  return text + (":" + std::to_string(ntohs(a.sin_port)));
}

// A link-local address means nothing without its interface: "%eth0".
std::string zone(std::uint32_t index) {
  if (index == 0) return {};
  char name[IF_NAMESIZE];
  return "%" + (::if_indextoname(index, name) ? std::string(name) : std::to_string(index));
}

std::string to_string(const sockaddr_in6& a) {
  if (IN6_IS_ADDR_V4MAPPED(&a.sin6_addr)) {  // a client of version 4 at a socket for both
    sockaddr_in v4{};
    std::memcpy(&v4.sin_addr, a.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
    v4.sin_port = a.sin6_port;
    return to_string(v4);
  }
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET6, &a.sin6_addr, text, sizeof text);
  return "[" + (text + zone(a.sin6_scope_id)) + "]:" + std::to_string(ntohs(a.sin6_port));
}

}  // namespace

std::string to_string(const ip_address& a) { return a.any.sa_family == AF_INET ? to_string(a.v4) : to_string(a.v6); }

std::string to_string(const socket_address& a) {
  switch (a.family()) {
    case AF_INET: return to_string(*reinterpret_cast<const sockaddr_in*>(&a.storage));
    case AF_INET6: return to_string(*reinterpret_cast<const sockaddr_in6*>(&a.storage));
    case AF_UNIX: {
      const auto* u = reinterpret_cast<const sockaddr_un*>(&a.storage);
      return a.size > offsetof(sockaddr_un, sun_path) ? std::string(u->sun_path) : std::string();
    }
    default: return {};
  }
}

bool get_address(int fd, end_of_connection which, socket_address& out) noexcept {
  out.size = sizeof out.storage;
  auto* at = reinterpret_cast<sockaddr*>(&out.storage);
  return (which == end_of_connection::local ? ::getsockname(fd, at, &out.size) : ::getpeername(fd, at, &out.size)) == 0;
}

std::uint16_t port_of(const socket_address& a) noexcept {
  if (a.family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&a.storage)->sin_port);
  if (a.family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&a.storage)->sin6_port);
  return 0;
}

}  // namespace weft::net::detail
