// defer_test.cpp: actions at the end of a scope.
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "support/support.hpp"

using namespace weft::test;

// PANIC-07
WEFT_TEST(defer, actions_run_at_the_end_of_the_scope_in_reverse_order) {
  std::string order;
  {
    const weft::defer a([&] { order += 'a'; });
    const weft::defer b([&] { order += 'b'; });
    {
      const weft::defer inner([&] { order += 'i'; });
      order += '1';
    }
    order += '2';
  }
  EXPECT_EQ(order, "1i2ba");
}

// PANIC-07: also on the way out by an exception; who catches it goes on.
WEFT_TEST(defer, actions_run_when_an_exception_passes_and_the_goroutine_goes_on) {
  std::string order;
  try {
    const weft::defer a([&] { order += 'a'; });
    const weft::defer b([&] {
      weft::this_goroutine::yield();  // it may park
      order += 'b';
    });
    throw std::runtime_error("x");
  } catch (const std::runtime_error&) {
    order += 'c';
  }
  EXPECT_EQ(order, "bac");
}

// As a destructor: one that throws while nothing else does reaches the caller, and the other actions run.
WEFT_TEST(defer, exception_of_an_action_reaches_the_caller) {
  std::string order;
  const auto scope = [&] {
    const weft::defer a([&] { order += 'a'; });
    const weft::defer b([&] { throw std::logic_error("b"); });
  };
  EXPECT_THROW(scope(), std::logic_error);
  EXPECT_EQ(order, "a");
  const auto quiet = []() noexcept {};
  const auto loud = [] {};
  static_assert(std::is_nothrow_destructible_v<weft::defer<decltype(quiet)>>);
  static_assert(!std::is_nothrow_destructible_v<weft::defer<decltype(loud)>>);
  static_assert(!std::is_copy_constructible_v<weft::defer<decltype(loud)>> && !std::is_move_constructible_v<weft::defer<decltype(loud)>>);
}

WEFT_TEST(defer, action_may_own_things) {
  int got = 0;
  {
    const weft::defer d([p = std::make_unique<int>(5), &got] { got = *p; });
  }
  EXPECT_EQ(got, 5);
}

WEFT_CHILD(throw_in_defer_while_unwinding) {
  return weft::run([] {
    const weft::defer d([] { throw std::logic_error("second"); });
    throw std::runtime_error("first");
  });
}
WEFT_CHILD(throw_in_defer_while_unwinding_to_a_handler) {
  return weft::run([] {
    try {
      const weft::defer d([] { throw std::logic_error("second"); });
      throw std::runtime_error("first");
    } catch (const std::exception&) {
    }
  });
}
// C++'s rule for destructors: two exceptions at once end the program, with a message.
TEST(defer, exception_of_an_action_beside_another_one_ends_the_process) {
  const auto uncaught = child("throw_in_defer_while_unwinding");
  EXPECT_TRUE(ended_with(uncaught, 2));
  EXPECT_TRUE(starts_with(uncaught.err, "panic: first\n"));  // nothing is unwound for it
  const auto second = child("throw_in_defer_while_unwinding_to_a_handler");
  EXPECT_TRUE(ended_with(second, 2));
  EXPECT_TRUE(starts_with(second.err, "panic: "));  // of which of the two depends on the compiler
}
