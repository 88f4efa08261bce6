// guide_test.cpp: the examples of docs/guide/testing_with_virtual_time.md, word for word but for where they run.
#include <weft/test/bubble.hpp>
#include <weft/weft.hpp>

#include "support/support.hpp"

using namespace std::chrono_literals;

namespace {
// Gives the answer, or -1 after a minute.
int ask(weft::receiver<int> answer) {
  int got = -1;
  weft::select(weft::on_recv(answer, [&](std::optional<int> v) { got = v.value_or(-1); }), weft::on_timeout(1min));
  return got;
}
}  // namespace

WEFT_TEST(ask, gives_up_after_a_minute) {
  weft::test::bubble([] {
    const auto start = weft::test::now();
    EXPECT_EQ(ask(weft::make_chan<int>()), -1);
    EXPECT_EQ(weft::test::now() - start, 1min);  // exactly, and at once
  });
}

WEFT_TEST(context, calls_a_function_when_it_ends) {
  weft::test::bubble([] {
    bool called = false;
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::after_func(ctx, [&] { called = true; });
    weft::test::wait();
    EXPECT_FALSE(called);
    cancel();
    weft::test::wait();
    EXPECT_TRUE(called);
  });
}
