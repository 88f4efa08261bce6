// latch_barrier_test.cpp: std::latch's and std::barrier's shapes, with waits that park.
#include <atomic>
#include <memory>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

WEFT_TEST(latch, opens_at_zero) {
  weft::latch l(3);
  std::atomic<int> through{0};
  weft::wait_group done;
  for (int i = 0; i < 5; ++i) {
    done.go([&] {
      l.wait();
      ++through;
    });
  }
  plain_thread t([&] {
    l.wait();
    ++through;
  });
  EXPECT_FALSE(l.wait_for(1ms));
  l.count_down(2);
  for (int i = 0; i < 20; ++i) weft::this_goroutine::yield();
  EXPECT_EQ(through, 0);
  EXPECT_FALSE(l.try_wait());
  l.count_down();
  done.wait();
  t.join();
  EXPECT_EQ(through, 6);
  EXPECT_TRUE(l.try_wait() && l.wait_for(0ms) && l.wait_until(steady::now()));
  EXPECT_THROW(l.count_down(), weft::panic);
}

// It usually lies on the stack of the one who waits, and is gone when the last count_down() is barely over.
WEFT_TEST(latch, may_be_destroyed_when_wait_returns) {
  for (int i = 0; i < scale(2'000, 200); ++i) {
    auto l = std::make_unique<weft::latch>(2);
    for (int k = 0; k < 2; ++k) weft::go([p = l.get()] { p->count_down(); });
    if (i % 2) l->wait();
    else while (!l->try_wait()) weft::this_goroutine::yield();
    l.reset();
  }
}

WEFT_TEST(barrier, keeps_all_in_step_and_runs_its_completion_alone) {
  constexpr int n = 6;
  const int phases = scale(300, 30);
  std::vector<int> at(n, 0);
  int completed = 0;
  weft::barrier b(n, [&]() noexcept {
    weft::this_goroutine::yield();  // it may park
    for (const int a : at) EXPECT_EQ(a, completed + 1);
    ++completed;
  });
  const auto step = [&](int who) {
    for (int i = 0; i < phases; ++i) {
      ++at[static_cast<std::size_t>(who)];
      if (who % 2) {
        b.arrive_and_wait();
      } else {
        auto token = b.arrive();
        if (who == 2) static_cast<void>(b.wait_for(token, 1us));
        b.wait(std::move(token));
      }
    }
  };
  plain_thread t([&] { step(0); });
  weft::wait_group done;
  for (int i = 1; i < n; ++i) done.go([&, i] { step(i); });
  done.wait();
  t.join();
  EXPECT_EQ(completed, phases);
}

WEFT_TEST(barrier, one_may_drop_out) {
  weft::barrier b(2);
  weft::wait_group done;
  done.go([&] { b.arrive_and_drop(); });
  b.arrive_and_wait();
  b.arrive_and_wait();  // alone now
  done.wait();
  auto token = b.arrive();
  EXPECT_TRUE(b.wait_until(token, steady::now()));
}

WEFT_TEST(barrier, a_wait_may_have_a_limit) {
  weft::barrier b(2);
  auto token = b.arrive();
  EXPECT_FALSE(b.wait_for(token, 1ms));
  EXPECT_THROW(static_cast<void>(b.arrive(2)), weft::panic);
  static_cast<void>(b.arrive());
  EXPECT_TRUE(b.wait_for(token, 10s));
}
