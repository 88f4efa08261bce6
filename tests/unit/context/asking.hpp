// asking.hpp: what the tests of contexts share: whether one has ended and why, and a key for values.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include <weft/context.hpp>

namespace {

inline bool is_done(const weft::context& ctx) { return ctx.done() && ctx.done().try_recv().error() == weft::errc::channel_closed; }
inline bool is_live(const weft::context& ctx) { return !ctx.err() && !is_done(ctx) && !ctx.cause(); }

inline std::string text_of(const std::exception_ptr& e) {
  if (!e) return "null";
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  }
}
inline std::exception_ptr reason(const char* text) { return std::make_exception_ptr(std::runtime_error(text)); }

struct user_key {
  int number;
  friend bool operator==(const user_key&, const user_key&) = default;
};

}  // namespace
