// net/error.cpp: see error.hpp.
#include "net/error.hpp"

#include <stdexcept>

namespace weft::net::detail {

namespace {

// std::system_error appends the message of its code as it is.
class operation_error final : public std::system_error {
 public:
  operation_error(const std::error_code& ec, const std::string& text) : system_error(ec), text_(text) {}
  const char* what() const noexcept override { return text_.what(); }

 private:
  std::runtime_error text_;  // a string whose copies do not throw
};

bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }

// Go's texts of the system's errors are the C library's, but for the first letter: "RFS specific error" stays.
std::string message_of(const std::error_code& ec) {
  std::string text = ec.message();
  if (text.size() > 1 && is_upper(text[0]) && !is_upper(text[1])) text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

}  // namespace

void throw_error(const std::error_code& ec, const std::string& operation, const char* call) {
  const bool is_systems = ec.category() == std::system_category() || ec.category() == std::generic_category();
  if (!is_systems) throw operation_error(ec, operation + ": " + ec.message());
  throw operation_error(ec, operation + ": " + (call ? std::string(call) + ": " : "") + message_of(ec));
}

}  // namespace weft::net::detail
