// net/address.hpp: addresses between text and the kernel's form.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <weft/detail/wait_limit.hpp>

namespace weft::net::detail {

struct socket_address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] int family() const noexcept { return storage.ss_family; }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// An Internet address alone, small enough to be kept with each connection.
union ip_address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

enum class purpose { listening, dialing };

/// "host:port" (or a path, for "unix") as addresses to try in turn. An empty host: all of this machine's, version 6 first, whose
/// socket may serve both (to dial: loopback). None, with ec, when there are none, or as look_up() says (lookup.hpp).
/// Parks: for a name.
std::vector<socket_address> resolve(std::string_view network, std::string_view address, purpose why, const weft::detail::wait_limit& limit,
                                    std::error_code& ec);

std::string to_string(const socket_address& a);
std::string to_string(const ip_address& a);
enum class end_of_connection { local, remote };
/// False when the kernel does not know it (any more).
bool get_address(int fd, end_of_connection which, socket_address& out) noexcept;
/// 0 when it has none.
std::uint16_t port_of(const socket_address& a) noexcept;
bool known_network(std::string_view network) noexcept;

}  // namespace weft::net::detail
