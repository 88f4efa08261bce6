// net/address.cpp: see address.hpp.
#include "net/address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace weft::net::detail {

namespace {

class gai_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "resolver"; }
  std::string message(int value) const override { return ::gai_strerror(value); }
};

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

const std::error_category& resolver_category() noexcept {
  static const auto* c = new gai_category();
  return *c;
}

bool known_network(std::string_view n) noexcept { return n == "tcp" || n == "tcp4" || n == "tcp6" || n == "unix"; }

std::vector<socket_address> resolve(std::string_view network, std::string_view address, purpose why, std::error_code& ec) {
  if (!known_network(network)) {
    ec = std::make_error_code(std::errc::protocol_not_supported);
    return {};
  }
  if (network == "unix") return unix_path(address, ec);
  std::string host, port;
  if (!split(address, host, port)) {
    ec = std::make_error_code(std::errc::invalid_argument);
    return {};
  }
  addrinfo hints{};
  hints.ai_family = network == "tcp4" ? AF_INET : network == "tcp6" ? AF_INET6 : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = why == purpose::listening ? AI_PASSIVE : 0;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &list);
  if (error) {
    ec = error == EAI_SYSTEM ? std::error_code(errno, std::system_category()) : std::error_code(error, resolver_category());
    return {};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<socket_address> out;
  for (const addrinfo* a = list; a; a = a->ai_next) {
    socket_address s;
    std::memcpy(&s.storage, a->ai_addr, a->ai_addrlen);
    s.size = a->ai_addrlen;
    out.push_back(s);
  }
  return out;
}

std::string to_string(const socket_address& a) {
  char text[INET6_ADDRSTRLEN] = "";
  switch (a.family()) {
    case AF_INET: {
      const auto* in = reinterpret_cast<const sockaddr_in*>(&a.storage);
      ::inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
      return text + (":" + std::to_string(ntohs(in->sin_port)));
    }
    case AF_INET6: {
      const auto* in = reinterpret_cast<const sockaddr_in6*>(&a.storage);
      ::inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
      return "[" + std::string(text) + "]:" + std::to_string(ntohs(in->sin6_port));
    }
    case AF_UNIX: {
      const auto* u = reinterpret_cast<const sockaddr_un*>(&a.storage);
      return a.size > offsetof(sockaddr_un, sun_path) ? std::string(u->sun_path) : std::string();
    }
    default: return {};
  }
}

std::string address_of(int fd, end_of_connection which) {
  socket_address a;
  a.size = sizeof a.storage;
  auto* at = reinterpret_cast<sockaddr*>(&a.storage);
  const int r = which == end_of_connection::local ? ::getsockname(fd, at, &a.size) : ::getpeername(fd, at, &a.size);
  return r == 0 ? to_string(a) : std::string();
}

std::uint16_t port_of(int fd) noexcept {
  sockaddr_storage s{};
  socklen_t size = sizeof s;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&s), &size) != 0) return 0;
  if (s.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&s)->sin_port);
  if (s.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&s)->sin6_port);
  return 0;
}

}  // namespace weft::net::detail
