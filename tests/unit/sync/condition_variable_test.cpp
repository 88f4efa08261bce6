// condition_variable_test.cpp: waiting for a change.
#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

// COND-07
static_assert(!std::is_copy_constructible_v<weft::condition_variable> && !std::is_move_constructible_v<weft::condition_variable>);

namespace {
/// Counts who waits: a waiter has its place in the queue before the mutex is free again.
struct waiters {
  weft::mutex m;
  weft::condition_variable c;
  int waiting = 0;
  [[nodiscard]] bool are(int n) {
    return eventually([&] {
      const std::lock_guard hold(m);
      return waiting == n;
    });
  }
};
}  // namespace

// COND-01, COND-05
WEFT_TEST(condition_variable, one_notification_wakes_one_waiter) {
  waiters w;
  std::atomic<int> awake{0};
  w.c.notify_one();  // not stored
  w.c.notify_all();
  weft::wait_group done;
  for (int i = 0; i < 2; ++i) {
    done.go([&] {
      std::unique_lock hold(w.m);
      ++w.waiting;
      w.c.wait(hold);
      EXPECT_TRUE(hold.owns_lock());
      EXPECT_FALSE(w.m.try_lock());
      ++awake;
    });
  }
  ASSERT_TRUE(w.are(2));
  for (int i = 0; i < 50; ++i) weft::this_goroutine::yield();
  EXPECT_EQ(awake, 0);
  for (int i = 1; i <= 2; ++i) {
    w.c.notify_one();
    EXPECT_TRUE(eventually([&] { return awake == i; }));
    for (int k = 0; k < 50; ++k) weft::this_goroutine::yield();
    EXPECT_EQ(awake, i);
  }
  w.c.notify_one();
  done.wait();
}

// COND-02
WEFT_TEST(condition_variable, wakes_in_the_order_of_the_waits) {
  waiters w;
  constexpr int n = 100;
  std::vector<int> order;
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    done.go([&, i] {
      std::unique_lock hold(w.m);
      ++w.waiting;
      w.c.wait(hold);
      order.push_back(i);
    });
    ASSERT_TRUE(w.are(i + 1));
  }
  for (int i = 0; i < n; ++i) {
    w.c.notify_one();
    ASSERT_TRUE(eventually([&] {
      const std::lock_guard hold(w.m);
      return order.size() == static_cast<std::size_t>(i) + 1;
    }));
    ASSERT_EQ(order.back(), i);
  }
  done.wait();
}

// COND-03
WEFT_TEST(condition_variable, notify_all_wakes_each_once) {
  waiters w;
  const int n = scale_alive(200), rounds = scale(200, 10);
  std::atomic<int> awake{0};
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    done.go([&] {
      std::unique_lock hold(w.m);
      for (int r = 0; r < rounds; ++r) {
        ++w.waiting;
        w.c.wait(hold);
        ++awake;
      }
    });
  }
  for (int r = 0; r < rounds; ++r) {
    ASSERT_TRUE(w.are(n));
    {
      const std::lock_guard hold(w.m);
      EXPECT_EQ(awake, n * r);
      w.waiting = 0;
      w.c.notify_all();
    }
  }
  done.wait();
  EXPECT_EQ(awake, n * rounds);
}

// COND-04
WEFT_TEST(condition_variable, a_late_waiter_takes_nothing_from_an_early_one) {
  for (int i = 0; i < scale(1'000, 100); ++i) {
    waiters w;
    std::atomic<bool> early{false}, stop{false};
    weft::wait_group done;
    done.go([&] {
      std::unique_lock hold(w.m);
      ++w.waiting;
      w.c.wait(hold);
      early = true;
    });
    ASSERT_TRUE(w.are(1));
    done.go([&] {
      std::unique_lock hold(w.m);
      w.c.wait(hold, [&] { return stop.load(); });
    });
    if (i % 2) w.c.notify_all();
    else w.c.notify_one();
    ASSERT_TRUE(eventually([&] { return early.load(); }));
    {
      const std::lock_guard hold(w.m);
      stop = true;
    }
    w.c.notify_all();
    done.wait();
  }
}

// COND-08
WEFT_TEST(condition_variable, works_with_any_lockable) {
  weft::shared_mutex s;
  weft::condition_variable c;
  std::atomic<int> there{0}, awake{0};
  weft::wait_group done;
  done.go([&] {
    std::shared_lock hold(s);
    ++there;
    c.wait(hold);
    ++awake;
  });
  done.go([&] {
    auto reader = s.rlocker();
    reader.lock();
    ++there;
    c.wait(reader);
    ++awake;
    reader.unlock();
  });
  done.go([&] {
    s.lock();
    ++there;
    c.wait(s);
    ++awake;
    s.unlock();
  });
  ASSERT_TRUE(eventually([&] { return there == 3; }));
  s.lock();  // each has let go of it
  c.notify_one();
  s.unlock();
  ASSERT_TRUE(eventually([&] { return awake == 1; }));
  s.lock_shared();
  s.unlock_shared();
  c.notify_all();
  done.wait();
}

// COND-09
WEFT_TEST(condition_variable, three_take_turns_over_one) {
  weft::mutex m;
  weft::condition_variable c;
  int x = 0;
  weft::wait_group done;
  done.go([&] {
    std::unique_lock hold(m);
    x = 1;
    c.wait(hold);
    EXPECT_EQ(x, 2);
    x = 3;
    c.notify_one();
  });
  ASSERT_TRUE(eventually([&] { return std::lock_guard(m), x == 1; }));
  done.go([&] {
    std::unique_lock hold(m);
    x = 2;
    c.notify_one();
    c.wait(hold);
    EXPECT_EQ(x, 3);
  });
  done.wait();
  EXPECT_EQ(x, 3);
}

WEFT_TEST(condition_variable, a_wait_may_have_a_limit) {
  weft::mutex m;
  weft::condition_variable c;
  std::unique_lock hold(m);
  const auto start = steady::now();
  EXPECT_EQ(c.wait_for(hold, 2ms), weft::cv_status::timeout);
  EXPECT_GE(steady::now() - start, 2ms);
  EXPECT_TRUE(hold.owns_lock());
  EXPECT_EQ(c.wait_until(hold, std::chrono::system_clock::now() + 1ms), weft::cv_status::timeout);
  EXPECT_FALSE(c.wait_for(hold, 1ms, [] { return false; }));
  EXPECT_FALSE(c.wait_until(hold, steady::now() + 1ms, [] { return false; }));
  EXPECT_TRUE(c.wait_for(hold, 0ms, [] { return true; }));
  bool set = false;
  weft::wait_group done;
  done.go([&] {
    const std::lock_guard mine(m);
    set = true;
    c.notify_one();
  });
  EXPECT_TRUE(c.wait_for(hold, 10s, [&] { return set; }));
  hold.unlock();
  done.wait();
}

// One that gives up uses no notification: each is got by one that goes on because of it.
WEFT_TEST(condition_variable, loses_no_notification_to_one_that_gives_up) {
  weft::mutex m;
  weft::condition_variable c;
  std::int64_t items = 0, taken = 0;
  bool closed = false;
  weft::wait_group consumers;
  const auto consume = [&](int who) {
    rng random(static_cast<std::uint64_t>(who));
    std::unique_lock hold(m);
    for (;;) {
      while (items == 0 && !closed) {
        // The wait without a limit relies on getting what a timed one did not use.
        if (who % 2) static_cast<void>(c.wait_for(hold, std::chrono::microseconds(random.below(50))));
        else c.wait(hold);
      }
      if (items == 0) return;
      --items, ++taken;
    }
  };
  for (int i = 0; i < 6; ++i) consumers.go([&, i] { consume(i); });
  plain_thread thread([&] { consume(7); });
  const int n = scale(2'000, 200);
  for (int i = 0; i < n; ++i) {
    {
      const std::lock_guard hold(m);
      ++items;
    }
    c.notify_one();
    if (i % 8 == 0) weft::this_goroutine::sleep_for(20us);
  }
  EXPECT_TRUE(eventually([&] { return std::lock_guard(m), items == 0; }));
  {
    const std::lock_guard hold(m);
    closed = true;
  }
  c.notify_all();
  consumers.wait();
  thread.join();
  EXPECT_EQ(taken, n);
}

namespace {
/// What a user may have: between the mutex that is free and the wait lies code.
struct slow_lock {
  weft::mutex& m;
  std::function<void()> after_unlock;
  void lock() { m.lock(); }
  void unlock() {
    m.unlock();
    after_unlock();
  }
};
}  // namespace

// As with std's: all have been notified, so it may go, though one of them has not come to its wait yet.
WEFT_TEST(condition_variable, may_be_destroyed_once_all_are_notified) {
  for (const bool timed : {false, true}) {
    weft::mutex m;
    alignas(weft::condition_variable) unsigned char room[sizeof(weft::condition_variable)];
    auto* c = ::new (room) weft::condition_variable;
    std::atomic<bool> unlocked{false}, gone{false};
    bool set = false;
    weft::wait_group done;
    done.go([&] {
      slow_lock l{m, [&] {
                    unlocked = true;
                    for (int i = 0; i < 100; ++i) weft::this_goroutine::yield();
                    EXPECT_FALSE(gone) << "it still waits";
                  }};
      l.lock();
      if (timed) static_cast<void>(c->wait_for(l, 10s, [&] { return set; }));
      else c->wait(l, [&] { return set; });
      m.unlock();
    });
    while (!unlocked) weft::this_goroutine::yield();
    {
      const std::lock_guard hold(m);
      set = true;
    }
    c->notify_all();
    c->~condition_variable();
    gone = true;
    std::memset(room, 0xff, sizeof room);
    done.wait();
  }
}

// The same where the time of one of them is just up.
WEFT_TEST(condition_variable, may_be_destroyed_while_somebodys_time_is_up) {
  rng random(3);
  for (int i = 0; i < scale(300, 50); ++i) {
    weft::mutex m;
    alignas(weft::condition_variable) unsigned char room[sizeof(weft::condition_variable)];
    auto* c = ::new (room) weft::condition_variable;
    bool set = false;
    int waiting = 0;
    weft::wait_group done;
    for (int k = 0; k < 3; ++k) {
      done.go([&, d = std::chrono::microseconds(50 + random.below(100))] {
        std::unique_lock hold(m);
        ++waiting;
        if (!set) static_cast<void>(c->wait_for(hold, d));
      });
    }
    weft::this_goroutine::sleep_for(std::chrono::microseconds(50 + random.below(100)));
    while ([&] { return std::lock_guard(m), waiting < 3; }()) weft::this_goroutine::yield();
    {
      const std::lock_guard hold(m);
      set = true;
      c->notify_all();
    }
    c->~condition_variable();
    std::memset(room, 0xff, sizeof room);
    done.wait();
  }
}

// Whose unlock() throws has not waited: the notification that came meanwhile goes to the next in the queue.
WEFT_TEST(condition_variable, passes_a_notification_on_when_unlock_throws) {
  waiters w;
  std::atomic<bool> thrown{false}, woken{false};
  weft::wait_group done;
  done.go([&] {
    slow_lock l{w.m, [&] {
                  done.go([&] {
                    std::unique_lock hold(w.m);
                    ++w.waiting;
                    w.c.wait(hold);
                    woken = true;
                  });
                  EXPECT_TRUE(w.are(1));
                  w.c.notify_one();  // the one that is in unlock() was here first
                  throw std::runtime_error("unlock");
                }};
    l.lock();
    EXPECT_THROW(w.c.wait(l), std::runtime_error);
    thrown = true;
  });
  EXPECT_TRUE(eventually([&] { return thrown.load(); }));
  EXPECT_TRUE(eventually([&] { return woken.load(); }));
  w.c.notify_all();
  done.wait();
}

// `t - now` overflows for the least of all time points.
WEFT_TEST(condition_variable, wait_until_a_time_long_past_ends) {
  weft::mutex m;
  weft::condition_variable cv;
  std::unique_lock hold(m);
  EXPECT_EQ(cv.wait_until(hold, steady::time_point::min()), weft::cv_status::timeout);
  EXPECT_FALSE(cv.wait_until(hold, steady::time_point::min(), [] { return false; }));
  EXPECT_TRUE(hold.owns_lock());
}
