// semaphore_test.cpp: permits, several at a time, first come, first served.
#include <atomic>
#include <cstddef>

#include "support/support.hpp"

using namespace weft::test;

WEFT_TEST(semaphore, never_has_more_permits_out_than_it_has) {
  constexpr std::ptrdiff_t all = 10;
  weft::semaphore s(all);
  std::atomic<std::ptrdiff_t> out{0};
  const auto work = [&](int who) {
    rng random(static_cast<std::uint64_t>(who));
    for (int i = 0; i < scale(1'000, 100); ++i) {
      const std::ptrdiff_t n = 1 + random.below(5);
      switch (random.below(3)) {
        case 0: s.acquire(n); break;
        case 1:
          if (!s.try_acquire(n)) continue;
          break;
        default:
          if (!s.try_acquire_for(std::chrono::microseconds(random.below(50)), n)) continue;
      }
      EXPECT_LE(out += n, all);
      if (i % 16 == 0) weft::this_goroutine::yield();
      out -= n;
      s.release(n);
    }
  };
  plain_thread t([&] { work(0); });
  weft::wait_group done;
  for (int i = 1; i <= 8; ++i) done.go([&, i] { work(i); });
  done.wait();
  t.join();
  EXPECT_TRUE(s.try_acquire(all)) << "none was lost";
  EXPECT_FALSE(s.try_acquire());
  s.release(all);
}

// With many small ones about there is never enough for a big one at once.
WEFT_TEST(semaphore, who_wants_much_is_not_starved) {
  weft::semaphore s(2);
  std::atomic<bool> stop{false};
  weft::wait_group small;
  for (int i = 0; i < 4; ++i) {
    small.go([&] {
      while (!stop) {
        s.acquire();
        weft::this_goroutine::yield();
        s.release();
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    s.acquire(2);
    s.release(2);
  }
  stop = true;
  small.wait();
}

WEFT_TEST(semaphore, serves_in_order_and_lets_nobody_pass) {
  weft::semaphore s(0);
  std::atomic<int> big{0}, small{0};
  weft::wait_group done;
  done.go([&] {
    s.acquire(3);
    big = 1;
  });
  // Nothing tells that it waits but that it keeps others out.
  ASSERT_TRUE(eventually([&] {
    s.release();
    const bool passed = s.try_acquire();
    return !passed;
  }));
  done.go([&] {
    s.acquire(1);
    small = 1;
  });
  for (int i = 0; i < 50; ++i) weft::this_goroutine::yield();
  EXPECT_FALSE(s.try_acquire());
  EXPECT_EQ(big + small, 0);
  s.release(2);
  ASSERT_TRUE(eventually([&] { return big == 1; }));
  for (int i = 0; i < 50; ++i) weft::this_goroutine::yield();
  EXPECT_EQ(small, 0);
  s.release();
  done.wait();
}

// Who gives up at the head must let in those behind for whom there is enough.
WEFT_TEST(semaphore, who_gives_up_blocks_nobody) {
  weft::semaphore s(1);
  std::atomic<bool> got{false};
  std::atomic<bool> seen{false};
  weft::wait_group done;
  done.go([&] {
    do {
      EXPECT_FALSE(s.try_acquire_for(20ms, 2));
    } while (!seen);
  });
  const bool kept_out = eventually([&] {
    if (!s.try_acquire()) return true;
    s.release();
    return false;
  });
  seen = true;
  ASSERT_TRUE(kept_out);
  done.go([&] {
    s.acquire();
    got = true;
  });
  done.wait();
  EXPECT_TRUE(got);
  EXPECT_FALSE(s.try_acquire_until(steady::now() + 1ms));
}
