// this_goroutine.hpp: what a goroutine may do to itself. On a thread that weft did not make, each acts on the thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <weft/detail/config.hpp>
#include <weft/detail/context_wait.hpp>
#include <weft/detail/gogo.hpp>
#include <weft/error.hpp>

namespace weft {

namespace detail {
/// Nanoseconds of a duration, rounded up, saturated: a sleep is never shorter than it says, and the largest never ends.
template <class Rep, class Period>
constexpr std::int64_t to_ns(std::chrono::duration<Rep, Period> d) noexcept {
  using ns = std::chrono::nanoseconds;
  if (d <= d.zero()) return 0;
  if (std::chrono::duration<long double>(d) >= std::chrono::duration<long double>(ns::max())) return INT64_MAX;
  return std::chrono::ceil<ns>(d).count();
}
WEFT_API void sleep_ns(std::int64_t ns);
WEFT_API bool sleep_within(const wait_limit& limit);  // false: cancelled
WEFT_API std::int64_t deadline_after_ns(std::int64_t ns) noexcept;  // now + ns, saturated: INT64_MAX is "never"

/// The time in the calling goroutine's bubble (test/bubble.hpp), ns since 1970; below 0 outside of one.
WEFT_API std::int64_t bubble_ns() noexcept;
/// Clock::now(); in a bubble the system's clocks show its time.
template <class Clock>
typename Clock::time_point now_on() {
  if constexpr (std::is_same_v<Clock, std::chrono::steady_clock> || std::is_same_v<Clock, std::chrono::system_clock>) {
    if (const std::int64_t ns = bubble_ns(); ns >= 0) return typename Clock::time_point(std::chrono::duration_cast<typename Clock::duration>(std::chrono::nanoseconds(ns)));
  }
  return Clock::now();
}

/// How long it is until t; zero when that is past. (`t - now` alone would overflow for time_point::min().)
template <class Clock, class Duration>
auto time_until(std::chrono::time_point<Clock, Duration> t) {
  const auto now = now_on<Clock>();
  return now < t ? t - now : decltype(t - now)::zero();
}

// yield() in three parts, so that the switch itself lies in the caller's code: see detail/gogo.hpp.
struct context_switch {
  g* from;     // its first member is where its context is saved
  void* load;  // null: nothing to do (any more)
};
WEFT_API context_switch yield_begin();
WEFT_API bool yield_commit(g* from) noexcept;
WEFT_API void landed(commit_fn commit, g* from) noexcept;
}  // namespace detail

namespace this_goroutine {

/// Lets the others that are runnable on this processor go first.    Parks: no, but switches.    Allocates: no.
inline void yield() {
  const detail::context_switch s = detail::yield_begin();
  if (s.load == nullptr) return;
  detail::commit_fn commit = &detail::yield_commit;
  g* from = s.from;
  detail::gogo(reinterpret_cast<void**>(s.from), s.load, commit, from);
  if (commit != nullptr) detail::landed(commit, from);
}
/// The goroutine's number: main is 1, never reused. On a thread that weft did not make that of its attachment (attach.hpp), else 0.
WEFT_API std::uint64_t id() noexcept;
/// Bytes of stack between the goroutine's top and here, and what it may use in all.
struct stack_use {
  std::size_t used, limit;
};
WEFT_API stack_use stack_usage() noexcept;

/// Ends the goroutine: the destructors of all its frames run, innermost first, and may park; then it is gone. main's may do it, too:
/// the others go on, and when none is left the program ends with "no goroutines (main called runtime.Goexit) - deadlock!".
///
/// It is no exception: only catch (...) and catch (abi::__forced_unwind&) see it, and both must throw it on. Fatal errors: a catch
/// (...) that does not, a noexcept function or one without unwind tables (C's, mostly) in the way, a second call in a destructor.
/// In a task of async(), join() then throws task_exited. On a thread that weft did not make: pthread_exit(nullptr).
/// Parks: no.    Threads: any.    Allocates: an exception object.
[[noreturn]] WEFT_API void exit();

/// Waits at least d on the monotonic clock; zero or less returns at once, duration::max() never.
/// Parks: yes.    Allocates: no.
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> d) {
  if (d > d.zero()) detail::sleep_ns(detail::to_ns(d));
}
/// Waits at least d, unless ctx is done before; then its error. Not at all when ctx is done already.
template <class Rep, class Period>
result<void> sleep_for(std::chrono::duration<Rep, Period> d, const context& ctx) {
  const detail::wait_limit limit{.deadline = detail::deadline_after_ns(detail::to_ns(d)), .done = detail::done_of(ctx)};
  if (!detail::is_over(limit) && detail::sleep_within(limit)) return {};
  return detail::err_of(ctx);
}
/// Waits until t, on t's own clock (a clock that is set meanwhile is looked at again).
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> t) {
  for (auto now = detail::now_on<Clock>(); now < t; now = detail::now_on<Clock>()) sleep_for(t - now);
}

/// From here on the goroutine stays on this thread, and the thread runs no other; until unlock_thread() has been called as often. If it
/// ends before, the thread ends with it. Goroutines that it starts are not locked.    Parks: no.    On a plain thread: nothing.
WEFT_API void lock_thread();
/// Undoes one lock_thread(); without one it does nothing.
WEFT_API void unlock_thread();

}  // namespace this_goroutine

/// Calls f, and what f reads or writes of the thread's own (errno, a thread_local, std::this_thread::get_id()) is that of the
/// thread it is called on. Without this, in a function that also parks, a compiler may go on with the address of the thread
/// before (docs/guide/goroutines_and_threads.md). f itself must not park.
/// Parks: no.    Threads: any.    Allocates: no.    Throws: what f throws.    Example: tests/hazard/migration_test.cpp
template <class F>
#if defined(__clang__)
[[gnu::noinline]]
#else
[[gnu::noipa]]
#endif
auto on_this_thread(F f) -> decltype(f()) {
  asm volatile("");  // no call of it is like another one
  return f();
}

/// A safe point: lets another goroutine run when the scheduler asked for it: the world is to stop, or the caller has computed for
/// its slice of 10 ms while others wait. A test and a branch when it did not.
WEFT_API void poll();

}  // namespace weft
