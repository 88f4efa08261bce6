// sync_test.cpp: Go's sync/{mutex,waitgroup}_test.go. Misuse that ends the process is in tests/death. See README.md.
#include <atomic>
#include <memory>

#include "support/support.hpp"

using namespace weft::test;

// TestMutex
WEFT_TEST(sync_port, TestMutex) {
  weft::mutex m;
  m.lock();
  ASSERT_FALSE(m.try_lock());
  m.unlock();
  ASSERT_TRUE(m.try_lock());
  m.unlock();
  auto done = weft::make_chan<bool>();
  for (int i = 0; i < 10; ++i) {
    weft::go([&, done] {
      for (int k = 0; k < 1'000; ++k) {
        if (k % 3 == 0) {
          if (m.try_lock()) m.unlock();
          continue;
        }
        m.lock();
        m.unlock();
      }
      done.send(true);
    });
  }
  for (int i = 0; i < 10; ++i) static_cast<void>(done.recv());
}

// TestMutexFairness
WEFT_TEST(sync_port, TestMutexFairness) {
  weft::mutex m;
  auto stop = weft::make_chan<bool>();
  weft::go([&, stop] {
    for (;;) {
      m.lock();
      weft::this_goroutine::sleep_for(100us);
      m.unlock();
      if (stop.try_recv().error() == weft::errc::channel_closed) return;
    }
  });
  auto done = weft::make_chan<bool>(1);
  weft::go([&, done] {
    for (int i = 0; i < 10; ++i) {
      weft::this_goroutine::sleep_for(100us);
      m.lock();
      m.unlock();
    }
    done.send(true);
  });
  EXPECT_TRUE(done.recv_for(limit(10s))) << "cannot acquire the mutex in 10 seconds";
  stop.close();
  EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; }));
}

// TestWaitGroup
WEFT_TEST(sync_port, TestWaitGroup) {
  for (int repetition = 0; repetition < 8; ++repetition) {
    constexpr int n = 16;
    weft::wait_group first, second;
    first.add(n);
    second.add(n);
    auto exited = weft::make_chan<bool>(n);
    for (int i = 0; i < n; ++i) {
      weft::go([&, exited] {
        first.done();
        second.wait();
        exited.send(true);
      });
    }
    first.wait();
    for (int i = 0; i < n; ++i) {
      ASSERT_FALSE(exited.try_recv()) << "released too soon";
      second.done();
    }
    for (int i = 0; i < n; ++i) static_cast<void>(exited.recv());
    ASSERT_TRUE(eventually([] { return weft::goroutines() == 1; }));
  }
}

// TestWaitGroupMisuse
WEFT_TEST(sync_port, TestWaitGroupMisuse) {
  weft::wait_group g;
  g.add(1);
  g.done();
  try {
    g.done();
    ADD_FAILURE() << "should panic";
  } catch (const weft::panic& e) {
    EXPECT_STREQ(e.what(), "sync: negative WaitGroup counter");
  }
}

// TestWaitGroupRace: no wait returns before what it waits for.
WEFT_TEST(sync_port, TestWaitGroupRace) {
  for (int i = 0; i < scale(1'000, 100); ++i) {
    weft::wait_group g;
    std::atomic<int> n{0};
    for (int k = 0; k < 2; ++k) {
      g.add(1);
      weft::go([&] {
        ++n;
        g.done();
      });
    }
    g.wait();
    ASSERT_EQ(n, 2);
  }
}

// TestWaitGroupGo
WEFT_TEST(sync_port, TestWaitGroupGo) {
  weft::wait_group g;
  int i = 0;
  g.go([&] { ++i; });
  g.wait();
  EXPECT_EQ(i, 1);
}
