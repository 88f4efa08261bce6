// blocking.hpp: running what blocks the thread (a file, a database's client library, a lock of somebody else's) without holding up
// the other goroutines. Source: Go's entersyscall (proc.go).
#pragma once

#include <functional>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>

namespace weft {

struct g;  // src/goroutine/g.hpp

namespace detail {
enum class call_kind : unsigned char { brief, known_to_block };
/// Who is in a call, and on which thread: so that nothing need be looked up afterwards, when a system call has emptied the TLB.
struct call_mark {
  void* on;  // its M: src/sched/sched.hpp
  g* by;  // null: the call is none of weft's business
};
WEFT_API call_mark enter_call(call_kind kind) noexcept;
WEFT_API void leave_call(call_mark mark) noexcept;  // keeps errno, though it may change threads

class call_scope {
 public:
  explicit call_scope(call_kind kind) noexcept : mark_(enter_call(kind)) {}
  ~call_scope() {
    if (mark_.by) leave_call(mark_);
  }
  call_scope(const call_scope&) = delete;
  call_scope& operator=(const call_scope&) = delete;

 private:
  const call_mark mark_;
};
}  // namespace detail

/// Calls f(args...), which is going to block the thread, and returns what it returns; meanwhile another thread runs the other
/// goroutines. Afterwards the goroutine may be on another thread; errno is what f left. An exception passes through.
/// f must not use what parks (channels, weft::mutex): it may, but then it is no longer counted as blocking. Threads come and go as
/// they are needed: set_max_threads().
/// Costs a wake-up of a thread (some microseconds) when others can run, else 0.1 us; for calls that are mostly short see system_call().
/// Parks: when no processor is free afterwards.    Threads: any; on a plain thread it just calls f.    Allocates: no.
template <class F, class... Args>
decltype(auto) blocking(F&& f, Args&&... args) {
  const detail::call_scope scope(detail::call_kind::known_to_block);
  return std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
}

/// As blocking(), for a call that is mostly short: it costs some nanoseconds, and only when it lasts longer than 20 us are the
/// others given another thread, by the monitor, which looks each 20 us to 10 ms. Who makes such calls in a loop while others wait gives
/// way to them at the end of one, each 10 ms or so.
/// Parks: when no processor is free afterwards, or others are to have their turn.    Threads: any; on a plain thread it just calls f.    Allocates: no.
template <class F, class... Args>
decltype(auto) system_call(F&& f, Args&&... args) {
  const detail::call_scope scope(detail::call_kind::brief);
  return std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
}

/// The most threads that the program may have for goroutines (10,000 unless changed); one more is a fatal error: "thread exhaustion".
/// Returns the number before.    Threads: any.
WEFT_API int set_max_threads(int n);

}  // namespace weft
