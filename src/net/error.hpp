// net/error.hpp: what the throwing forms throw, with Go's text.
#pragma once

#include <string>
#include <system_error>

namespace weft::net::detail {

/// Throws a std::system_error with this code: "dial tcp A: connect: connection refused". `call` is the system call that failed, as
/// Go names it; null, or a code that is not the system's: the text does without.
[[noreturn]] void throw_error(const std::error_code& ec, const std::string& operation, const char* call);

}  // namespace weft::net::detail
