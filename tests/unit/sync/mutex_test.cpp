// mutex_test.cpp: mutual exclusion, and its fairness.
// MUTEX-12 is about a semaphore that weft does not show to the outside: what a user sees of it, that a starving waiter gets
// the mutex by hand-over, is tested here.
#include <atomic>
#include <mutex>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

// MUTEX-01
WEFT_TEST(mutex, lets_one_in_at_a_time) {
  weft::mutex m;
  std::int64_t plain = 0;
  const int each = scale(100'000, 1'000);
  weft::wait_group done;
  for (int i = 0; i < 10; ++i) {
    done.go([&] {
      for (int k = 0; k < each; ++k) {
        m.lock();
        ++plain;
        m.unlock();
      }
    });
  }
  done.wait();
  EXPECT_EQ(plain, std::int64_t{10} * each);
}

// The same with parks inside, so that there are always waiters.
WEFT_TEST(mutex, lets_one_in_at_a_time_though_the_holder_gives_way) {
  weft::mutex m;
  bool inside = false;
  int wrong = 0;
  weft::wait_group done;
  for (int i = 0; i < 50; ++i) {
    done.go([&] {
      for (int k = 0; k < scale(200, 20); ++k) {
        const std::lock_guard hold(m);
        if (inside) ++wrong;
        inside = true;
        weft::this_goroutine::yield();
        inside = false;
      }
    });
  }
  done.wait();
  EXPECT_EQ(wrong, 0);
}

// MUTEX-02
WEFT_TEST(mutex, try_lock_tells_whether_it_is_free) {
  weft::mutex m;
  ASSERT_TRUE(m.try_lock());
  EXPECT_FALSE(m.try_lock());
  weft::wait_group done;
  for (int i = 0; i < 5; ++i) {
    done.go([&] {
      m.lock();
      m.unlock();
    });
  }
  for (int i = 0; i < 20; ++i) weft::this_goroutine::yield();
  EXPECT_FALSE(m.try_lock()) << "while others wait";
  m.unlock();
  done.wait();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// MUTEX-02
WEFT_TEST(mutex, mixed_lock_and_try_lock_leave_it_free) {
  weft::mutex m;
  std::int64_t plain = 0;
  std::atomic<std::int64_t> expected{0};
  weft::wait_group done;
  for (int i = 0; i < 10; ++i) {
    done.go([&, i] {
      for (int k = 0; k < 1'000; ++k) {
        if ((k + i) % 3 == 0) {
          if (!m.try_lock()) continue;
        } else {
          m.lock();
        }
        ++plain, ++expected;
        if (k % 100 == 0) weft::this_goroutine::yield();
        m.unlock();
      }
    });
  }
  done.wait();
  EXPECT_EQ(plain, expected);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// MUTEX-04
WEFT_TEST(mutex, belongs_to_no_goroutine) {
  weft::mutex m;
  m.lock();
  weft::wait_group done;
  done.go([&] { m.unlock(); });
  m.lock();
  done.wait();
  done.go([&] { m.unlock(); });
  done.wait();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// MUTEX-06
WEFT_TEST(mutex, lets_a_second_in_beside_one_that_hogs_it) {
  weft::mutex m;
  std::atomic<bool> stop{false};
  weft::wait_group done;
  done.go([&] {
    while (!stop) {
      m.lock();
      weft::this_goroutine::sleep_for(100us);
      m.unlock();
    }
  });
  const auto start = steady::now();
  for (int i = 0; i < 10; ++i) {
    weft::this_goroutine::sleep_for(100us);
    m.lock();
    m.unlock();
  }
  EXPECT_LT(steady::now() - start, limit(5s));
  stop = true;
  done.wait();
}

// MUTEX-07. Without starvation mode the hogs, always awake, always win.
WEFT_TEST(mutex, hands_itself_over_to_who_has_waited_long) {
  with_procs four(4);
  weft::mutex m;
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int i = 0; i < 3; ++i) {
    done.go([&] {
      for (int k = 0; !stop; ++k) {
        m.lock();
        spin(2us);
        m.unlock();
        if (k % 64 == 0) weft::this_goroutine::yield();
      }
    });
  }
  const auto start = steady::now();
  const int wanted = scale(1'000, 50);
  for (int i = 0; i < wanted; ++i) {
    m.lock();
    m.unlock();
  }
  EXPECT_LT(steady::now() - start, limit(10s));
  stop = true;
  done.wait();
}

// MUTEX-08
WEFT_TEST(mutex, costs_no_processor_time_to_wait_for) {
  weft::mutex m;
  m.lock();
  const int n = scale_alive(1'000);
  std::atomic<int> there{0};
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    done.go([&] {
      ++there;
      m.lock();
      m.unlock();
    });
  }
  ASSERT_TRUE(eventually([&] { return there == n; }));
  weft::this_goroutine::sleep_for(20ms);
  const auto before = cpu_time();
  weft::this_goroutine::sleep_for(500ms);
  EXPECT_LT(cpu_time() - before, limit(50ms));
  m.unlock();
  done.wait();
}

// MUTEX-09. Under ThreadSanitizer: plain data, passed from holder to holder.
WEFT_TEST(mutex, unlock_happens_before_the_next_lock_returns) {
  weft::mutex m;
  std::vector<int> plain(1);
  weft::wait_group done;
  const int each = scale(2'000, 200);
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      for (int k = 0; k < each; ++k) {
        const std::unique_lock hold(m);
        const int last = plain.back();
        if (plain.size() > 100) plain.clear();
        plain.push_back(last + 1);
        if (k % 64 == 0) weft::this_goroutine::yield();
      }
    });
  }
  done.wait();
  EXPECT_EQ(plain.back(), 8 * each);
}

// MUTEX-11
namespace {
constinit weft::mutex global_mutex;
const int used_before_main = [] {
  const std::lock_guard hold(global_mutex);
  return 1;
}();
}  // namespace
WEFT_TEST(mutex, is_free_from_the_start_and_works_with_the_standards_locks) {
  EXPECT_EQ(used_before_main, 1);
  weft::mutex a, b;
  {
    const std::lock_guard one(global_mutex);
    const std::scoped_lock two(a, b);
    EXPECT_FALSE(global_mutex.try_lock() || a.try_lock() || b.try_lock());
  }
  {
    std::unique_lock u(a, std::try_to_lock);
    EXPECT_TRUE(u.owns_lock());
    u.unlock();
    std::unique_lock v(b, std::defer_lock);
    std::lock(v, u);
  }
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&, i] {
      for (int k = 0; k < 200; ++k) {
        if (i % 2 == 0) std::scoped_lock both(a, b);
        else std::scoped_lock both(b, a);
      }
    });
  }
  done.wait();
}

// MUTEX-13. The holder may wake on another thread than the one it locked on.
WEFT_TEST(mutex, may_be_held_over_parks) {
  weft::mutex m;
  int plain = 0;
  auto c = weft::make_chan<int>(1);
  weft::wait_group done;
  for (int i = 0; i < 10; ++i) {
    done.go([&] {
      for (int k = 0; k < 20; ++k) {
        const std::lock_guard hold(m);
        const int seen = plain;
        if (k % 2 == 0) weft::this_goroutine::sleep_for(50us);
        else c.send(1), weft::this_goroutine::yield(), static_cast<void>(c.recv());
        plain = seen + 1;
      }
    });
  }
  done.wait();
  EXPECT_EQ(plain, 200);
}

// Design D7
WEFT_TEST(mutex, excludes_plain_threads_and_goroutines_alike) {
  weft::mutex m;
  std::int64_t plain = 0;
  const int each = scale(5'000, 500);
  const auto work = [&, each] {
    for (int k = 0; k < each; ++k) {
      const std::lock_guard hold(m);
      ++plain;
      if (k % 500 == 0) weft::this_goroutine::sleep_for(10us);
    }
  };
  plain_thread a(work), b(work);
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) done.go(work);
  done.wait();
  a.join();
  b.join();
  EXPECT_EQ(plain, std::int64_t{6} * each);
}

// `t - now` overflows for the least of all time points.
WEFT_TEST(mutex, try_lock_until_a_time_long_past_ends) {
  weft::mutex m;
  EXPECT_TRUE(m.try_lock_until(steady::time_point::min()));
  EXPECT_FALSE(m.try_lock_until(steady::time_point::min()));
  EXPECT_FALSE(m.try_lock_until(std::chrono::system_clock::time_point::min()));
  m.unlock();
}
