// rate_limiter_test.cpp: how often something may happen.
// weft-test: serial=1
#include <atomic>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "support/support.hpp"

using namespace weft::test;
using weft::rate_limiter;

WEFT_TEST(rate_limiter, burst_may_happen_at_once_and_no_more) {
  rate_limiter l(0.001, 5);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(l.allow());
  EXPECT_FALSE(l.allow());
  EXPECT_FALSE(l.allow(6));
  EXPECT_TRUE(l.allow(0));
  EXPECT_NEAR(l.tokens(), 0, 0.1);
}

WEFT_TEST(rate_limiter, tokens_come_back_at_the_rate_up_to_the_burst) {
  rate_limiter l(1'000, 3);
  EXPECT_TRUE(l.allow(3));
  weft::this_goroutine::sleep_for(2ms);
  EXPECT_GE(l.tokens(), 2.0);
  weft::this_goroutine::sleep_for(5ms);
  EXPECT_EQ(l.tokens(), 3);
}

WEFT_TEST(rate_limiter, wait_keeps_to_the_rate) {
  rate_limiter l(2'000, 1);
  const auto begin = steady::now();
  for (int i = 0; i < 21; ++i) EXPECT_TRUE(l.wait());
  EXPECT_GE(steady::now() - begin, 20 * 500us);
  weft::wait_group done;
  const auto again = steady::now();
  static_cast<void>(l.allow());
  for (int i = 0; i < 10; ++i) done.go([&] { EXPECT_TRUE(l.wait(1)); });
  done.wait();
  EXPECT_GE(steady::now() - again, 9 * 500us);
}

WEFT_TEST(rate_limiter, wait_that_would_be_too_long_is_refused_at_once) {
  rate_limiter l(1, 2);
  EXPECT_TRUE(l.wait(2));
  const auto begin = steady::now();
  EXPECT_EQ(l.wait_for(1ms).error(), weft::errc::timed_out);
  EXPECT_LT(steady::now() - begin, limit(900ms)) << "it waited all the same";
  EXPECT_GE(l.tokens(), 0) << "and nothing was taken";
  EXPECT_EQ(l.wait(3).error(), weft::errc::would_block);
  EXPECT_EQ(l.wait_for(60s, 3).error(), weft::errc::would_block);
}

WEFT_TEST(rate_limiter, reservation_tells_when_and_cancel_gives_back) {
  rate_limiter l(1, 10);
  auto now = l.reserve(10);
  ASSERT_TRUE(now);
  EXPECT_EQ(now->delay(), 0ns);
  auto later = l.reserve(5);
  ASSERT_TRUE(later);
  EXPECT_GT(later->delay(), 3s);
  EXPECT_LE(later->delay(), 5s);
  EXPECT_LT(l.tokens(), -3);
  later->cancel();
  later->cancel();  // again: nothing
  EXPECT_GE(l.tokens(), 0);
  EXPECT_LT(l.tokens(), 4);
  now->cancel();  // its time has come: too late
  EXPECT_LT(l.tokens(), 4);
  EXPECT_FALSE(l.reserve(11));
}

// Who reserved later counts on the time of who was before: that is not given back.
WEFT_TEST(rate_limiter, cancel_keeps_what_later_ones_count_on) {
  rate_limiter l(1, 10);
  EXPECT_TRUE(l.allow(10));
  auto first = l.reserve(4);
  auto second = l.reserve(3);
  const double before = l.tokens();
  first->cancel();
  EXPECT_NEAR(l.tokens() - before, 1, 0.9);
  static_cast<void>(second);
}

WEFT_TEST(rate_limiter, special_rates) {
  rate_limiter all(rate_limiter::unlimited, 0);
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(all.allow(100));
  EXPECT_TRUE(all.wait(7));
  rate_limiter none(0, 2);
  EXPECT_TRUE(none.allow(2));
  EXPECT_FALSE(none.allow());
  EXPECT_FALSE(none.reserve());
  EXPECT_EQ(none.wait().error(), weft::errc::would_block);
  EXPECT_EQ(none.wait_for(1ms).error(), weft::errc::would_block);
  EXPECT_DOUBLE_EQ(rate_limiter::every(100ms), 10);
  EXPECT_EQ(rate_limiter::every(0s), rate_limiter::unlimited);
}

WEFT_TEST(rate_limiter, limits_can_be_changed) {
  rate_limiter l(0, 4);
  EXPECT_TRUE(l.allow(4));
  l.set_burst(8);
  EXPECT_EQ(l.burst(), 8);
  EXPECT_NEAR(l.tokens(), 0, 0.001);
  l.set_limit(1e6);
  EXPECT_EQ(l.limit(), 1e6);
  EXPECT_TRUE(l.wait(8));
  l.set_burst(2);
  weft::this_goroutine::sleep_for(1ms);
  EXPECT_EQ(l.tokens(), 2);
}

// "1 of my 5 is counted on by who reserved after me": by the rate at which both did.
WEFT_TEST(rate_limiter, gives_back_by_the_rate_that_was_when_it_reserved) {
  rate_limiter l(0.1, 5);  // slow: who waits is there until it is cancelled
  EXPECT_TRUE(l.allow(5));
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::wait_group done;
  done.go([&, &ctx = ctx] { EXPECT_EQ(l.wait(ctx, 5).error(), weft::errc::canceled); });
  EXPECT_TRUE(eventually([&] { return l.tokens() < -3; }));
  EXPECT_TRUE(l.reserve(1));
  l.set_limit(0);
  const double before = l.tokens();
  cancel();
  done.wait();
  EXPECT_NEAR(l.tokens(), before + 4, 0.01);
}

WEFT_TEST(rate_limiter, misuse_is_told) {
  EXPECT_THROW(rate_limiter(-1, 1), std::invalid_argument);
  EXPECT_THROW(rate_limiter(std::nan(""), 1), std::invalid_argument);
  EXPECT_THROW(rate_limiter(1, -1), std::invalid_argument);
  rate_limiter l(1, 1);
  EXPECT_THROW(l.set_limit(-2), std::invalid_argument);
  EXPECT_THROW(l.set_burst(-2), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(l.allow(-1)), std::invalid_argument);
  EXPECT_EQ(l.limit(), 1);
  EXPECT_TRUE(l.allow()) << "it is whole";
}

// All who take tokens at once get what there is, and not one more.
WEFT_TEST(rate_limiter, counts_exactly_under_contention) {
  rate_limiter l(0, 1'000);
  std::atomic<int> allowed{0};
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      for (int k = 0; k < 300; ++k) allowed += l.allow();
    });
  }
  done.wait();
  EXPECT_EQ(allowed, 1'000);
}

WEFT_TEST(rate_limiter, wait_with_a_context_gives_its_tokens_back) {
  rate_limiter l(0.1, 1);
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  EXPECT_TRUE(l.wait(ctx));
  weft::task_group g;
  g.go([&, &until = ctx] { EXPECT_EQ(l.wait(until).error(), weft::errc::canceled); });
  EXPECT_TRUE(eventually([&] { return l.tokens() < -0.5; }));
  cancel();
  g.wait();
  EXPECT_GT(l.tokens(), -0.5);
  EXPECT_EQ(l.wait(ctx).error(), weft::errc::canceled);
  auto [soon, stop] = weft::with_timeout(weft::background(), 2s);
  const auto begin = steady::now();
  EXPECT_EQ(l.wait(soon).error(), weft::errc::deadline_exceeded);
  EXPECT_LT(steady::now() - begin, 2s) << "it knew at once";
}

// Design D7
WEFT_TEST(rate_limiter, works_on_plain_threads) {
  plain_thread t([] {
    rate_limiter l(2'000, 1);
    const auto begin = steady::now();
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(l.wait());
    EXPECT_GE(steady::now() - begin, 4 * 500us);
  });
  t.join();
}
