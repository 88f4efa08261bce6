// coro_test.cpp: coroutines fail as goroutines do: PANIC-02 and the report of a deadlock.
// weft-test: emulated=0 chaos=0
#include <stdexcept>
#include <string>

#include <weft/co.hpp>

#include "support/support.hpp"

using namespace weft::test;
namespace co = weft::co;

namespace {
co::task<int> boom() {
  throw std::runtime_error("boom");
  co_return 0;
}
struct end_with_boom {
  static bool await_ready() { return false; }
  template <class P>
  static void await_suspend(std::coroutine_handle<P> h) {
    h.promise().error = std::make_exception_ptr(std::runtime_error("boom"));
    static_cast<void>(weft::detail::co_finish(&h.promise(), weft::detail::co_frame::dropped));
  }
  static void await_resume() {}
};
}  // namespace

WEFT_CHILD(throw_in_coroutine) {
  return weft::run([] {
    co::go([]() -> co::task<> {
      co_await co::sleep_for(1ms);
      static_cast<void>(co_await boom());
    });
    weft::this_goroutine::sleep_for(1h);
  });
}
TEST(panic, in_a_coroutine_that_nobody_awaits_ends_the_process) {
  const auto r = child("throw_in_coroutine");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: boom\n\ngoroutine ")) << r.err;
}

WEFT_CHILD(throw_in_dropped_fork) {
  return weft::run([] {
    static_cast<void>(co::fork(boom()));
    weft::this_goroutine::sleep_for(1h);
  });
}
TEST(panic, in_a_fork_whose_handle_was_dropped_ends_the_process) {
  const auto r = child("throw_in_dropped_fork");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: boom")) << r.err;
}

// The handle goes after the throw, before the coroutine has come to its end: a moment of some nanoseconds, acted out here.
WEFT_CHILD(drop_of_a_fork_that_throws) {
  return weft::run([] {
    static_cast<void>(co::fork([]() -> co::task<> { co_await end_with_boom(); }()));
    weft::this_goroutine::sleep_for(1h);
  });
}
TEST(panic, in_a_fork_whose_handle_goes_at_that_moment_ends_the_process) {
  const auto r = child("drop_of_a_fork_that_throws");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: boom")) << r.err;
}

WEFT_CHILD(coroutines_asleep) {
  return weft::run([] {
    const auto c = weft::make_chan<int>();
    [](weft::chan<int> in) -> co::task<> { static_cast<void>(co_await co::recv(in)); }(c).join();
  });
}
TEST(deadlock, of_coroutines_is_reported) {
  const auto r = child("coroutines_asleep");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "fatal error: all goroutines are asleep - deadlock!")) << r.err;
}

WEFT_CHILD(coroutine_locked_to_a_thread) {
  return weft::run([] {
    co::go([]() -> co::task<> {
      weft::this_goroutine::lock_thread();
      co_await co::sleep_for(1ms);
    });
    weft::this_goroutine::sleep_for(1h);
  });
}
// A coroutine goes on wherever there is room: what it asked for cannot be given, and must not seem to be.
TEST(fatal, coroutine_that_locks_its_thread_and_waits) {
  const auto r = child("coroutine_locked_to_a_thread");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "fatal error: schedule: coroutine locked to a thread\n")) << r.err;
  EXPECT_TRUE(contains(r.err, "weft: a coroutine has called lock_thread()"));
}
