// base/throw.hpp: the two ways in which the runtime ends the process itself (design D8).
//   rt_throw  weft is broken: an invariant does not hold.          fatal  the program is wrong beyond repair.
// Both print "fatal error: TEXT" and every goroutine to stderr and exit with status 2: no unwinding, no destructors.
// Who dumps the goroutines lies far above this layer and is reached through `upcalls`.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/atomic.hpp"

namespace weft {

/// stderr in pieces, without stdio, memory or locks: for reports of a broken process. Or whatever else takes text in pieces.
class error_text {
 public:
  using sink = void (*)(void* arg, std::string_view text);
  error_text() noexcept = default;
  error_text(sink to, void* arg) noexcept : to_(to), arg_(arg) {}
  error_text(const error_text&) = delete;
  error_text& operator<<(std::string_view s) noexcept;
  error_text& operator<<(std::uint64_t n) noexcept;
  error_text& operator<<(std::int64_t n) noexcept;
  error_text& operator<<(int n) noexcept { return *this << static_cast<std::int64_t>(n); }
  error_text& operator<<(unsigned n) noexcept { return *this << static_cast<std::uint64_t>(n); }
  error_text& operator<<(const char* s) noexcept { return *this << std::string_view(s); }
  error_text& operator<<(const void* p) noexcept;
  ~error_text() { flush(); }
  void flush() noexcept;

 private:
  [[maybe_unused]] sink to_ = nullptr;  // a model has flush() replaced
  [[maybe_unused]] void* arg_ = nullptr;
  char buffer_[512];
  std::size_t used_ = 0;
};

[[noreturn]] void rt_throw(std::string_view what) noexcept;
[[noreturn]] void fatal(std::string_view what) noexcept;
/// After the caller has printed a message of its own: the goroutines, then exit.
[[noreturn]] void die(int status) noexcept;
/// After the caller has printed everything. With WEFT_TRACEBACK=crash by abort().
[[noreturn]] void end_report(int status) noexcept;
/// One thread at a time reports; a second one waits here for ever. A report inside a report ends the process at once.
void begin_report() noexcept;
/// Whether a report or the end of the process is under way.
bool dying() noexcept;
/// Before the process ends otherwise: if somebody reports, that is how it ends.
void let_reporter_finish() noexcept;

/// In a process that fork() made none of weft's threads exists. Set by the child's fork handler.
extern atomic<bool> forked_child;
[[noreturn]] void end_forked_child() noexcept;
/// On ways that are seldom gone, before one on which the child would hang.
inline void refuse_in_forked_child() noexcept {
  if (__builtin_expect(forked_child.load(std::memory_order_relaxed), 0)) end_forked_child();
}

/// WEFT_TRACEBACK: how much a report shows. Each is more than the one before.
enum class traceback : std::uint8_t {
  none,    // the message
  single,  // the goroutine that failed; all of them when no one of them did, or the program as a whole
  all,     // every goroutine
  system,  // weft's own frames too
  crash,   // and then the process aborts
};
/// False when there is no such word.
bool parse_traceback(std::string_view text, traceback& level) noexcept;
/// What the environment asks for; single when it does not say, or says nonsense.
traceback traceback_level() noexcept;

struct upcalls {
  void (*dump_goroutines)(error_text& out) noexcept = nullptr;
};
extern upcalls up;

namespace detail {
template <class... V>
[[noreturn, gnu::cold, gnu::noinline]] void invariant_failed(std::string_view what, V... values) noexcept {
  begin_report();
  {
    error_text out;
    if constexpr (sizeof...(V) > 0) {
      out << "weft: values:";
      ((out << " " << values), ...);
      out << "\n";
    }
  }
  rt_throw(what);
}
}  // namespace detail

// Stays on in release: a compare and a branch never taken.
#define WEFT_INVARIANT(cond, what, ...)                                                                        \
  do {                                                                                                         \
    if (__builtin_expect(!(cond), 0)) ::weft::detail::invariant_failed(what __VA_OPT__(, ) __VA_ARGS__);        \
  } while (false)

}  // namespace weft
