// context/name.cpp: contexts as text, in Go's form.
#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <chrono>
#include <cstdint>
#include <string>

#include "context/node.hpp"
#include "sched/bubble.hpp"

namespace weft {

namespace {

// "1h2m3.5s"
std::string duration_text(std::int64_t ns) {
  std::string text = ns < 0 ? "-" : "";
  const std::uint64_t left = ns < 0 ? -static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  const std::uint64_t hours = left / 3'600'000'000'000, minutes = left / 60'000'000'000 % 60, rest = left % 60'000'000'000;
  if (hours) text += std::to_string(hours) + "h";
  if (hours || minutes) text += std::to_string(minutes) + "m";
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.9g", static_cast<double>(rest) / 1e9);
  return text + seconds + "s";
}

// Deadlines may be as far away as there are nanoseconds.
std::int64_t difference(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t d;
  return __builtin_sub_overflow(a, b, &d) ? (a < b ? INT64_MIN : INT64_MAX) : d;
}

// The time of day at which the monotonic clock will show `when`.
std::string time_text(std::int64_t when, std::int64_t now) {
  const auto today = bubble_here() ? std::chrono::system_clock::time_point(std::chrono::nanoseconds(now)) : std::chrono::system_clock::now();
  using std::chrono::microseconds;
  const auto micros = std::chrono::floor<microseconds>(today.time_since_epoch()).count() + std::chrono::floor<microseconds>(std::chrono::nanoseconds(difference(when, now))).count();
  const auto seconds = static_cast<std::time_t>(micros / 1'000'000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[64], whole[96];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc);
  std::snprintf(whole, sizeof whole, "%s.%06d +0000 UTC", text, static_cast<int>(micros % 1'000'000));
  return whole;
}

std::string suffix(const detail::context_node* n) {
  using kind = detail::context_node::kind;
  switch (n->what) {
    case kind::background: return "context.Background";
    case kind::todo: return "context.TODO";
    case kind::value: return ".WithValue(" + n->entry->text() + ")";
    case kind::without_cancel: return ".WithoutCancel";
    case kind::custom: return static_cast<const detail::custom_node*>(n)->user->name();
    case kind::cancel: break;
  }
  if (!static_cast<const detail::cancel_node*>(n)->timed) return ".WithCancel";
  const std::int64_t now = time_here();
  return ".WithDeadline(" + time_text(n->deadline, now) + " [" + duration_text(difference(n->deadline, now)) + "])";
}

}  // namespace

namespace detail {

std::string type_text(const std::type_info& type) {
  int status = 0;
  char* name = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string text = status == 0 ? name : type.name();
  std::free(name);
  return text;
}

}  // namespace detail

std::string to_string(const context& ctx) {
  std::string text;
  for (const detail::context_node* n = detail::context_access::node(ctx); n; n = n->parent) text.insert(0, suffix(n));
  return text.empty() ? "<nil>" : text;
}

}  // namespace weft
