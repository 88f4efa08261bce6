// test/bubble.hpp: tests of concurrent code whose time is virtual: exact, and over at once. Source: Go's testing/synctest.
// The guide: docs/guide/testing_with_virtual_time.md. Not part of <weft/weft.hpp>.
#pragma once

#include <chrono>
#include <memory>
#include <type_traits>

#include <weft/detail/config.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft::test {

/// All goroutines of a bubble wait for each other, and no timer is set. what() is Go's text, "deadlock: all goroutines in bubble are
/// blocked" or "deadlock: main bubble goroutine has exited but blocked goroutines remain", and then the bubble's goroutines with
/// their stacks. They stay as they are, for ever.
class WEFT_API deadlock : public panic {
 public:
  using panic::panic;
  deadlock(const deadlock&) = default;
  ~deadlock() override;
};

namespace detail {
WEFT_API void run_bubble(void (*call)(void* f), void* f);
}

/// Calls f() as a goroutine in a new bubble, and returns when it and all goroutines that were started in the bubble have ended. In there
/// time starts at midnight UTC of 2000-01-01, stands still while anything can run, and leaps to the next timer when all goroutines are
/// durably blocked: on channels and waitable things of the bubble, or asleep; not on a mutex, a socket or a blocking call. When f has
/// returned, time stops. An exception that leaves f is rethrown here.
///
/// Channels, timers and contexts made in a bubble are used only in it: from outside, a fatal error. So is starting or joining a
/// coroutine (<weft/co.hpp>) in it. Throws deadlock; panic
/// ("synctest.Run called from within a synctest bubble").
/// Parks: yes.    Threads: any, while weft::run() runs.    Allocates: yes.
template <class F>
void bubble(F&& f) {
  using callable = std::remove_reference_t<F>;
  detail::run_bubble([](void* p) { static_cast<void>((*static_cast<callable*>(p))()); }, const_cast<void*>(static_cast<const void*>(std::addressof(f))));
}

/// Returns when all other goroutines of the calling one's bubble are durably blocked (or have ended); what they did until then is
/// visible. Throws panic: "goroutine is not in a bubble", "wait already in progress".
/// Parks: yes.    Threads: goroutines of a bubble.    Allocates: no.
WEFT_API void wait();

/// The time on the calling goroutine's clock: in a bubble, that of the bubble.    Parks: no.    Threads: any.    Allocates: no.
/// Of steady_clock it is what timers deliver and deadlines are compared with; of system_clock the time of day, which starts at 2000-01-01.
template <class Clock = std::chrono::steady_clock>
[[nodiscard]] typename Clock::time_point now() {
  return weft::detail::now_on<Clock>();
}

}  // namespace weft::test
