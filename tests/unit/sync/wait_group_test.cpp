// wait_group_test.cpp: waiting for a number of things.
#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

// WAITGROUP-01
WEFT_TEST(wait_group, returns_at_once_when_there_is_nothing_to_wait_for) {
  weft::wait_group g;
  g.wait();
  g.add(0);
  g.wait();
  g.add(3);
  g.add(-3);
  g.wait();
}

// WAITGROUP-01. One released early works on what is not there yet; one not released waits for ever.
WEFT_TEST(wait_group, releases_all_waiters_and_none_early) {
  for (int repetition = 0; repetition < 8; ++repetition) {
    constexpr int n = 16;
    weft::wait_group first, second;
    first.add(n);
    second.add(n);
    std::atomic<int> released{0};
    for (int i = 0; i < n; ++i) {
      weft::go([&] {
        first.done();
        second.wait();
        ++released;
      });
    }
    first.wait();
    for (int i = 0; i < n; ++i) {
      weft::this_goroutine::yield();
      ASSERT_EQ(released, 0);
      second.done();
    }
    ASSERT_TRUE(eventually([&] { return released == n; }));
    ASSERT_TRUE(eventually([] { return weft::goroutines() == 1; }));
  }
}

// WAITGROUP-02
WEFT_TEST(wait_group, throws_when_the_count_would_be_negative) {
  weft::wait_group g;
  g.add(1);
  g.done();
  try {
    g.done();
    ADD_FAILURE() << "no exception";
  } catch (const weft::panic& e) {
    EXPECT_STREQ(e.what(), "sync: negative WaitGroup counter");
  }
}

// WAITGROUP-03
WEFT_TEST(wait_group, may_be_used_again_once_wait_has_returned) {
  weft::wait_group g;
  for (int i = 0; i < scale(1'000, 100); ++i) {
    int a = 0, b = 0;
    g.add(2);
    weft::go([&] { a = i, g.done(); });
    weft::go([&] { b = i + 1, g.done(); });
    g.wait();
    ASSERT_EQ(a, i);
    ASSERT_EQ(b, i + 1);
  }
}

// WAITGROUP-04. Adding from zero beside a wait is a mistake. It may go unseen, but if what was added is also taken off again,
// nobody hangs, and wait does not return while the first one is still at work.
WEFT_TEST(wait_group, add_from_zero_beside_wait_is_told_or_harmless) {
  std::atomic<int> told{0};
  const auto telling = [&told](auto f) {
    try {
      f();
    } catch (const weft::panic& e) {
      const std::string text = e.what();
      EXPECT_TRUE(text == "sync: WaitGroup misuse: Add called concurrently with Wait" || text == "sync: WaitGroup is reused before previous Wait has returned") << text;
      ++told;
    }
  };
  for (int i = 0; i < scale(5'000, 200); ++i) {
    weft::wait_group g;
    g.add(1);
    std::atomic<bool> worked{false};
    weft::wait_group others;
    others.go([&] {
      worked = true;
      telling([&] { g.done(); });
    });
    others.go([&] {
      telling([&] { g.wait(); });
      EXPECT_TRUE(worked) << "an early return";
    });
    others.go([&] {
      telling([&] { g.add(1); });
      telling([&] { g.done(); });
    });
    others.wait();
  }
  SUCCEED() << told << " times noticed";
}

// WAITGROUP-04. done() takes two steps; a waiter that gives up between them is no misuse, and the other waiter is not left behind.
WEFT_TEST(wait_group, done_may_come_at_the_moment_at_which_a_wait_gives_up) {
  for (int round = 0; round < scale(40'000, 4'000); ++round) {
    weft::wait_group g, others;
    g.add();
    std::atomic<int> ready{0};
    std::atomic<bool> start{false};
    const auto at_the_start = [&] {
      ++ready;
      while (!start) weft::this_goroutine::yield();
    };
    others.go([&] { g.wait(); });
    others.go([&, round] {
      at_the_start();
      spin(std::chrono::nanoseconds(round % 512));
      EXPECT_NO_THROW(g.done());
    });
    while (ready != 1) weft::this_goroutine::yield();
    start = true;
    static_cast<void>(g.wait_for(std::chrono::nanoseconds(1 + round % 4'000)));
    others.wait();
  }
}

// `t - now` overflows for the least of all time points: a wait that has no time left would never end.
WEFT_TEST(wait_group, wait_until_a_time_long_past_ends) {
  weft::wait_group g;
  g.add();
  EXPECT_FALSE(g.wait_until(steady::time_point::min()));
  EXPECT_FALSE(g.wait_until(std::chrono::system_clock::time_point::min()));
  g.done();
  EXPECT_TRUE(g.wait_until(steady::time_point::min()));
}

// WAITGROUP-05
WEFT_TEST(wait_group, go_counts_runs_and_is_done) {
  weft::wait_group g;
  std::vector<int> effect(100);
  for (std::size_t i = 0; i < effect.size(); ++i) g.go([&, i] { effect[i] = 1; });
  g.wait();
  for (const int e : effect) EXPECT_EQ(e, 1);
}

WEFT_TEST(wait_group, go_takes_arguments_as_go_does) {
  weft::wait_group g;
  std::atomic<int> sum{0};
  g.go([&](int a, std::unique_ptr<int> b) { sum += a + *b; }, 1, std::make_unique<int>(2));
  g.wait();
  EXPECT_EQ(sum, 3);
}

// A start that fails must not leave a count behind for which nobody is ever done.
WEFT_TEST(wait_group, go_takes_its_count_back_when_a_copy_throws) {
  struct throws {
    throws() = default;
    throws(const throws&) { throw std::runtime_error("copy"); }
    void operator()() const {}
  } f;
  weft::wait_group g;
  EXPECT_THROW(g.go(f), std::runtime_error);
  g.wait();
}

WEFT_TEST(wait_group, go_may_be_called_from_what_it_runs) {
  weft::wait_group g;
  std::atomic<int> ran{0};
  struct tree {
    static void grow(weft::wait_group& g, std::atomic<int>& ran, int depth) {
      ++ran;
      if (depth > 0)
        for (int i = 0; i < 2; ++i) g.go([&g, &ran, depth] { grow(g, ran, depth - 1); });
    }
  };
  g.go([&] { tree::grow(g, ran, 8); });
  g.wait();
  EXPECT_EQ(ran, 511);
}

// WAITGROUP-08, its second half.
WEFT_TEST(wait_group, counts_to_2_to_the_31_less_1) {
  weft::wait_group g;
  g.add(2'147'483'647);
  std::atomic<bool> ended{false};
  weft::go([&] { g.wait(), ended = true; });
  for (int i = 0; i < 10; ++i) weft::this_goroutine::yield();
  g.add(-2'147'483'646);
  weft::this_goroutine::yield();
  EXPECT_FALSE(ended);
  g.done();
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
}

// WAITGROUP-10. Under ThreadSanitizer: plain data written before done() is read after wait().
WEFT_TEST(wait_group, done_happens_before_wait_returns) {
  for (int round = 0; round < scale(1'000, 100); ++round) {
    std::array<int, 4> plain{};
    weft::wait_group g;
    for (auto& p : plain) g.go([&] { p = round; });
    weft::wait_group readers;
    for (int k = 0; k < 2; ++k) {
      readers.go([&] {
        g.wait();
        for (const int p : plain) EXPECT_EQ(p, round);
      });
    }
    readers.wait();
  }
}

// Design D7
WEFT_TEST(wait_group, may_be_waited_for_and_done_by_plain_threads) {
  for (int round = 0; round < scale(200, 20); ++round) {
    weft::wait_group g;
    std::atomic<int> effects{0};
    g.add(2);
    plain_thread worker([&] { ++effects, g.done(); });
    plain_thread waiter([&] {
      g.wait();
      EXPECT_EQ(effects, 2);
    });
    weft::go([&] { ++effects, g.done(); });
    g.wait();
    EXPECT_EQ(effects, 2);
    worker.join();
    waiter.join();
  }
}

static constinit weft::wait_group global_group;
WEFT_TEST(wait_group, may_be_a_constant_initialised_global) {
  global_group.go([] {});
  global_group.wait();
}
