// shared_mutex_test.cpp: one writer or many readers, and fair to both.
#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"
#include "sync/thread_counts.hpp"

using namespace weft::test;

namespace {
// As often as makes a lock count its readers by thread.
void make_hot(weft::shared_mutex& m) {
  for (int i = 0; i < 10'000; ++i) std::shared_lock hold(m);
}
}  // namespace

static_assert(sizeof(weft::shared_mutex) == 24);

// RWMUTEX-01, RWMUTEX-10: all readers are inside at once, also through the lockable of the reading side.
WEFT_TEST(shared_mutex, lets_readers_in_together) {
  for (const bool hot : {false, true}) {
    for (const int n : {1, 3, 4}) {
      weft::shared_mutex m;
      if (hot) make_hot(m);
      auto reader = m.rlocker();
      std::atomic<int> inside{0};
      auto leave = weft::make_chan<void>();
      weft::wait_group done;
      for (int i = 0; i < n; ++i) {
        done.go([&, i] {
          if (i % 2) m.lock_shared();
          else reader.lock();
          ++inside;
          static_cast<void>(leave.recv());
          if (i % 2) m.unlock_shared();
          else reader.unlock();
        });
      }
      ASSERT_TRUE(eventually([&] { return inside == n; }));
      leave.close();
      done.wait();
      EXPECT_TRUE(m.try_lock());
      m.unlock();
    }
  }
}

// RWMUTEX-02, RWMUTEX-11: plain data, so that ThreadSanitizer looks on as well.
WEFT_TEST(shared_mutex, excludes_writers_from_all_others) {
  for (const int procs : {1, 4, 10}) {
    with_procs set(procs);
    for (const int readers : {1, 3, 5, 10}) {
      weft::shared_mutex m;
      if (readers == 5) make_hot(m);
      std::atomic<int> activity{0};
      std::int64_t plain = 0;
      std::atomic<int> wrong{0};
      const int rounds = scale(1'000, 50);
      weft::wait_group done;
      for (int w = 0; w < 2; ++w) {
        done.go([&] {
          for (int i = 0; i < rounds; ++i) {
            m.lock();
            if ((activity += 10'000) != 10'000) ++wrong;
            ++plain;
            if (i % 16 == 0) weft::this_goroutine::yield();
            activity -= 10'000;
            m.unlock();
          }
        });
      }
      for (int r = 0; r < readers; ++r) {
        done.go([&, r] {
          for (int i = 0; i < rounds; ++i) {
            m.lock_shared();
            const std::int64_t before = plain;
            const int n = ++activity;
            if (n < 1 || n >= 10'000) ++wrong;
            if ((i + r) % 16 == 0) weft::this_goroutine::yield();  // may come back on another thread
            --activity;
            if (plain != before) ++wrong;
            m.unlock_shared();
          }
        });
      }
      done.wait();
      ASSERT_EQ(wrong, 0);
      ASSERT_EQ(plain, 2 * rounds);
    }
  }
}

// Writers come so seldom that the lock changes over to counting by thread again and again, and back.
WEFT_TEST(shared_mutex, stays_exclusive_while_it_turns_hot_and_cold) {
  with_procs set(4);
  weft::shared_mutex m;
  std::int64_t a = 0, b = 0;
  std::atomic<int> wrong{0};
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&, i] {
      rng random(static_cast<std::uint64_t>(i));
      while (!stop) {
        for (int k = 0; k < 20'000; ++k) {
          std::shared_lock hold(m);
          if (a != b) ++wrong;
          if (random.one_in(500)) weft::this_goroutine::yield();
          if (a != b) ++wrong;
        }
        weft::this_goroutine::yield();
      }
    });
  }
  const int writes = scale(40, 10);
  for (int i = 0; i < writes; ++i) {
    weft::this_goroutine::sleep_for(500us);
    if (i % 4 == 3) {
      if (!m.try_lock_for(1us) && !m.try_lock()) m.lock();
    } else {
      m.lock();
    }
    ++a;
    weft::this_goroutine::yield();
    ++b;
    m.unlock();
  }
  stop = true;
  done.wait();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(a, writes);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// RWMUTEX-03
WEFT_TEST(shared_mutex, tries_tell_whether_it_is_to_be_had) {
  weft::shared_mutex m;
  for (int hot = 0; hot < 2; ++hot) {
    ASSERT_TRUE(m.try_lock());
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    m.unlock();
    ASSERT_TRUE(m.try_lock_shared());
    ASSERT_TRUE(m.try_lock_shared());
    EXPECT_FALSE(m.try_lock());
    m.unlock_shared();
    EXPECT_FALSE(m.try_lock());
    m.unlock_shared();
    make_hot(m);
  }
}

// RWMUTEX-04
WEFT_TEST(shared_mutex, keeps_new_readers_out_while_a_writer_waits) {
  for (const bool hot : {false, true}) {
    weft::shared_mutex m;
    if (hot) make_hot(m);
    m.lock_shared();
    std::atomic<bool> written{false}, read{false};
    weft::wait_group done;
    done.go([&] {
      m.lock();
      written = true;
      m.unlock();
    });
    ASSERT_TRUE(eventually([&] {
      if (!m.try_lock_shared()) return true;
      m.unlock_shared();
      return false;
    }));
    done.go([&] {
      m.lock_shared();
      read = true;
      EXPECT_TRUE(written);
      m.unlock_shared();
    });
    for (int i = 0; i < 50; ++i) weft::this_goroutine::yield();
    EXPECT_FALSE(written || read);
    m.unlock_shared();
    done.wait();
    EXPECT_TRUE(written && read);
  }
}

// RWMUTEX-06
WEFT_TEST(shared_mutex, lets_a_writer_in_among_endless_readers) {
  with_procs set(4);
  weft::shared_mutex m;
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      while (!stop) {
        std::shared_lock hold(m);
        weft::this_goroutine::sleep_for(1ms);
      }
    });
  }
  weft::this_goroutine::sleep_for(2ms);
  const auto start = steady::now();
  m.lock();
  EXPECT_LT(steady::now() - start, limit(1s));
  m.unlock();
  stop = true;
  done.wait();
}

// RWMUTEX-07
WEFT_TEST(shared_mutex, lets_readers_in_among_endless_writers) {
  weft::shared_mutex m;
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int i = 0; i < 2; ++i) {
    done.go([&] {
      while (!stop) {
        const std::lock_guard hold(m);
        weft::this_goroutine::yield();
      }
    });
  }
  const auto start = steady::now();
  for (int i = 0; i < scale(1'000, 50); ++i) {
    m.lock_shared();
    m.unlock_shared();
  }
  EXPECT_LT(steady::now() - start, limit(5s));
  stop = true;
  done.wait();
}

// RWMUTEX-10
WEFT_TEST(shared_mutex, rlocker_is_a_lockable_of_the_reading_side) {
  weft::shared_mutex m;
  auto r = m.rlocker();
  auto wlocked = weft::make_chan<bool>(1), rlocked = weft::make_chan<bool>(1);
  constexpr int n = 10;
  weft::wait_group done;
  done.go([&] {
    for (int i = 0; i < n; ++i) {
      r.lock();
      r.lock();
      rlocked.send(true);
      m.lock();
      wlocked.send(true);
    }
  });
  for (int i = 0; i < n; ++i) {
    static_cast<void>(rlocked.recv());
    r.unlock();
    EXPECT_FALSE(wlocked.try_recv()) << "the writer must wait for both";
    r.unlock();
    static_cast<void>(wlocked.recv());
    EXPECT_FALSE(r.try_lock()) << "it waits for the writer";
    m.unlock();
  }
  done.wait();
}

WEFT_TEST(shared_mutex, a_wait_may_have_a_limit) {
  for (const bool hot : {false, true}) {
    weft::shared_mutex m;
    if (hot) make_hot(m);
    m.lock();
    EXPECT_FALSE(m.try_lock_for(1ms));
    EXPECT_FALSE(m.try_lock_shared_for(1ms));
    EXPECT_FALSE(m.try_lock_shared_until(steady::now() + 1ms));
    m.unlock();
    if (hot) make_hot(m);
    m.lock_shared();
    EXPECT_FALSE(m.try_lock_until(steady::now() + 1ms));
    ASSERT_TRUE(m.try_lock_shared()) << "the writer that gave up keeps nobody out";
    m.unlock_shared();
    m.unlock_shared();
    EXPECT_TRUE(m.try_lock_for(1ms));
    m.unlock();
  }
}

// A writer that gives up must let in whom it kept waiting.
WEFT_TEST(shared_mutex, who_gives_up_passes_it_on) {
  weft::shared_mutex m;
  m.lock_shared();
  std::atomic<int> in{0};
  std::atomic<bool> seen{false};
  weft::wait_group done;
  done.go([&] {
    do {
      EXPECT_FALSE(m.try_lock_for(20ms));
    } while (!seen);
  });
  const bool kept_out = eventually([&] {
    if (!m.try_lock_shared()) return true;
    m.unlock_shared();
    return false;
  });
  seen = true;
  ASSERT_TRUE(kept_out);
  for (int i = 0; i < 3; ++i) {
    done.go([&] {
      std::shared_lock hold(m);
      ++in;
    });
  }
  EXPECT_TRUE(eventually([&] { return in == 3; })) << "the first reader is still inside";
  done.wait();
  m.unlock_shared();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// Everything at once, with limits that come and go; sums prove that no two writers and no writer and reader met.
WEFT_TEST(shared_mutex, limits_lose_neither_turns_nor_wake_ups) {
  weft::shared_mutex m;
  std::int64_t a = 0, b = 0;
  std::atomic<std::int64_t> writes{0}, wrong{0};
  const auto work = [&](int who) {
    rng random(static_cast<std::uint64_t>(who) + 100);
    for (int i = 0; i < scale(600, 60); ++i) {
      const auto d = std::chrono::microseconds(random.below(60));
      if (random.one_in(3)) {
        if (random.one_in(2) ? m.try_lock_for(d) : (m.lock(), true)) {
          ++a;
          if (random.one_in(2)) weft::this_goroutine::yield();
          ++b, ++writes;
          m.unlock();
        }
      } else if (random.one_in(2) ? m.try_lock_shared_for(d) : (m.lock_shared(), true)) {
        if (a != b) ++wrong;
        if (random.one_in(2)) weft::this_goroutine::yield();
        if (a != b) ++wrong;
        m.unlock_shared();
      }
    }
  };
  plain_thread t([&] { work(0); });
  weft::wait_group done;
  for (int i = 1; i <= 6; ++i) done.go([&, i] { work(i); });
  done.wait();
  t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(a, writes);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// Many more hot locks than there are slots, and threads that end with counts on them.
WEFT_TEST(shared_mutex, there_may_be_any_number_of_hot_ones) {
  std::vector<std::unique_ptr<weft::shared_mutex>> locks;
  for (int i = 0; i < 1'100; ++i) {
    auto& m = *locks.emplace_back(std::make_unique<weft::shared_mutex>());
    for (int k = 0; k < 4'200; ++k) std::shared_lock hold(m);
  }
  for (const int i : {0, 500, 1'099}) {
    auto& m = *locks[static_cast<std::size_t>(i)];
    for (int k = 0; k < 3; ++k) {
      plain_thread t([&] { m.lock_shared(); });
      t.join();
    }
    EXPECT_FALSE(m.try_lock());
    for (int k = 0; k < 3; ++k) m.unlock_shared();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  }
}

// The last to leave may still be looking at the lock when the next one in destroys it.
WEFT_TEST(shared_mutex, may_be_destroyed_by_who_locks_it_next) {
  with_procs set(4);
  for (int i = 0; i < scale(300, 30); ++i) {
    auto m = std::make_unique<weft::shared_mutex>();
    make_hot(*m);
    m->lock_shared();
    m->lock_shared();
    std::atomic<bool> started{false};
    weft::wait_group done;
    for (int k = 0; k < 2; ++k) {
      done.go([&started, p = m.get()] {
        started = true;
        p->unlock_shared();
      });
    }
    ASSERT_TRUE(eventually([&] { return started.load(); }));
    m->lock();
    m->unlock();
    m.reset();
    done.wait();
  }
}

namespace {
constinit weft::shared_mutex global_shared_mutex;
const int used_before_main = [] {
  const std::shared_lock hold(global_shared_mutex);
  return 1;
}();
}  // namespace
WEFT_TEST(shared_mutex, works_before_main_and_with_the_standards_locks) {
  EXPECT_EQ(used_before_main, 1);
  std::shared_lock a(global_shared_mutex, std::try_to_lock);
  EXPECT_TRUE(a.owns_lock());
  a.unlock();
  std::unique_lock b(global_shared_mutex, std::defer_lock);
  EXPECT_TRUE(b.try_lock_for(1s));
  EXPECT_FALSE(a.try_lock());
}

// A thread that only ever locks, for others to unlock, counts without end: each count may wrap, and their sum stays right.
WEFT_TEST(shared_mutex, counts_of_threads_may_wrap) {
  weft::shared_mutex m;
  for (int i = 0; i < 20'000; ++i) std::shared_lock hold(m);  // it counts by thread now, where it can
  const auto shift = [](std::uint32_t n) {
    for (auto& count : weft::this_thread_counts()->readers)
      count.n.store(count.n.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  };
  std::atomic<int> step{0};
  const auto reaches = [&](int n) {
    while (step < n) std::this_thread::yield();
  };
  constexpr std::uint32_t nearly = (1u << 31) - 3;
  plain_thread locks([&] {
    shift(nearly);
    step = 1;
    reaches(2);
    for (int i = 0; i < 6; ++i) m.lock_shared();
    step = 3;
    reaches(5);
    shift(-nearly - 6u);
  });
  plain_thread unlocks([&] {
    reaches(1);
    shift(-nearly);
    step = 2;
    reaches(3);
    for (int i = 0; i < 6; ++i) m.unlock_shared();
    step = 4;
    reaches(5);
    shift(nearly + 6u);
  });
  reaches(4);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
  step = 5;
}
