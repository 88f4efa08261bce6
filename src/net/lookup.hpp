// net/lookup.hpp: names become addresses: getaddrinfo, which blocks, for who must not.
#pragma once

#include <netdb.h>

#include <memory>
#include <string>
#include <system_error>

#include <weft/detail/wait_limit.hpp>

namespace weft::net::detail {

struct addrinfo_free {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};
using addrinfo_list = std::unique_ptr<addrinfo, addrinfo_free>;

/// getaddrinfo(). A name is looked up by a goroutine of its own, on which the caller waits; numbers are at hand. Null with ec: what getaddrinfo
/// says; errc::timed_out and errc::canceled as the limit says, and then the lookup goes on for nobody.
/// Parks: yes.    Threads: any; a plain one is blocked, and has no limit.
[[nodiscard]] addrinfo_list look_up(const std::string& host, const std::string& port, const addrinfo& hints, const weft::detail::wait_limit& limit,
                                    std::error_code& ec);

/// The failures of getaddrinfo.
const std::error_category& resolver_category() noexcept;

}  // namespace weft::net::detail
