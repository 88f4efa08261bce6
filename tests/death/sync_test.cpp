// sync_test.cpp: misuse of shared_mutex and others, and deadlocks in them: the text, the states, status 2.
// weft-test: emulated=0
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "support/support.hpp"

using namespace weft::test;

namespace {
void expect_fatal(const char* scenario, const std::string& text) {
  const auto r = child(scenario);
  EXPECT_TRUE(ended_with(r, 2)) << scenario;
  EXPECT_TRUE(contains("\n" + r.err, "\nfatal error: " + text + "\n")) << scenario;
  EXPECT_EQ(r.out, "") << scenario;
}
}  // namespace

WEFT_CHILD(runlock_of_a_free_one) {
  return weft::run([] {
    weft::shared_mutex m;
    try {
      m.unlock_shared();
    } catch (...) {
      std::puts("caught");
    }
  });
}
WEFT_CHILD(runlock_of_a_locked_one) {
  return weft::run([] {
    weft::shared_mutex m;
    m.lock();
    m.unlock_shared();
  });
}
WEFT_CHILD(runlock_of_a_hot_one) {
  return weft::run([] {
    weft::shared_mutex m;
    for (int i = 0; i < 10'000; ++i) std::shared_lock hold(m);
    m.unlock_shared();
    std::puts("too late");
  });
}
namespace {
/// Hot, and with one unlock too many on a thread that has come to be one lock ahead.
void unlock_too_often(weft::shared_mutex& m) {
  weft::this_goroutine::lock_thread();
  for (int i = 0; i < 10'000; ++i) std::shared_lock hold(m);
  m.lock_shared();
  std::thread([&] { m.unlock_shared(); }).join();
  m.unlock_shared();
#if WEFT_SLOW_CHECKS
  std::puts("too late");
#endif
}
}  // namespace
WEFT_CHILD(runlock_of_a_hot_one_among_threads) {
  return weft::run([] {
    weft::shared_mutex m;
    unlock_too_often(m);
    m.lock();
  });
}
WEFT_CHILD(runlock_of_a_hot_one_that_is_destroyed) {
  return weft::run([] {
    weft::shared_mutex m;
    unlock_too_often(m);
    const std::shared_lock hold(m);  // who would hide it from a writer
  });
}
WEFT_CHILD(unlock_of_a_free_one) {
  return weft::run([] {
    weft::shared_mutex m;
    m.unlock();
  });
}
WEFT_CHILD(unlock_of_a_read_locked_one) {
  return weft::run([] {
    weft::shared_mutex m;
    m.lock_shared();
    m.unlock();
  });
}
// RWMUTEX-08
TEST(shared_mutex, misuse_ends_the_process) {
  expect_fatal("runlock_of_a_free_one", "sync: RUnlock of unlocked RWMutex");
  expect_fatal("runlock_of_a_locked_one", "sync: RUnlock of unlocked RWMutex");
  expect_fatal("runlock_of_a_hot_one", "sync: RUnlock of unlocked RWMutex");
  expect_fatal("runlock_of_a_hot_one_among_threads", "sync: RUnlock of unlocked RWMutex");
  expect_fatal("runlock_of_a_hot_one_that_is_destroyed", "sync: RUnlock of unlocked RWMutex");
  expect_fatal("unlock_of_a_free_one", "sync: Unlock of unlocked RWMutex");
  expect_fatal("unlock_of_a_read_locked_one", "sync: Unlock of unlocked RWMutex");
}

WEFT_CHILD(recursive_read_lock) {
  return weft::run([] {
    weft::shared_mutex m;
    m.lock_shared();
    weft::go([&] { m.lock(); });
    while (m.try_lock_shared()) {
      m.unlock_shared();
      weft::this_goroutine::yield();
    }
    m.lock_shared();
  });
}
// RWMUTEX-09
TEST(shared_mutex, a_recursive_read_lock_with_a_writer_between_is_a_deadlock) {
  const auto r = child("recursive_read_lock");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "fatal error: all goroutines are asleep - deadlock!"));
  EXPECT_TRUE(contains(r.err, "[sync.RWMutex.RLock]"));
  EXPECT_TRUE(contains(r.err, "[sync.RWMutex.Lock]"));
}

WEFT_CHILD(recursive_once) {
  return weft::run([] {
    weft::once o;
    o.call([&] { o.call([] {}); });
  });
}
WEFT_CHILD(wait_for_ever) {
  return weft::run([] {
    weft::mutex m;
    weft::condition_variable c;
    std::unique_lock hold(m);
    c.wait(hold);
  });
}
// ONCE-03
TEST(once, called_within_itself_is_a_deadlock) {
  const auto r = child("recursive_once");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [sync.Mutex.Lock]:\n"));
}
TEST(condition_variable, a_wait_that_nobody_ends_is_a_deadlock) {
  const auto r = child("wait_for_ever");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [sync.Cond.Wait]:\n"));
}

namespace {
void until_one_waits() {
  while (weft::stats().parks == 0) weft::this_goroutine::yield();
}
}  // namespace
WEFT_CHILD(destroy_in_use) {
  return weft::run([&] {
    auto l = std::make_unique<weft::latch>(1);
    weft::go([p = l.get()] { p->wait(); });
    until_one_waits();
    l.reset();
  });
}
WEFT_CHILD(destroy_a_mutex_in_use) {
  return weft::run([&] {
    auto m = std::make_unique<weft::mutex>();
    m->lock();
    weft::go([p = m.get()] { p->lock(); });
    until_one_waits();
    m.reset();
  });
}
WEFT_CHILD(destroy_a_wait_group_in_use) {
  return weft::run([&] {
    auto g = std::make_unique<weft::wait_group>();
    g->add();
    weft::go([p = g.get()] { p->wait(); });
    until_one_waits();
    g.reset();
  });
}
namespace {
weft::latch left_behind(1);
weft::mutex kept;
}
WEFT_CHILD(leave_waiters_behind) {
  return weft::run([] {
    kept.lock();
    weft::go([] { left_behind.wait(); });
    weft::go([] { kept.lock(); });
    weft::this_goroutine::sleep_for(10ms);
    return 3;
  });
}
// A wait list in memory that is gone is a crash in somebody else's code, an hour later.
TEST(destruction, of_what_somebody_waits_on_ends_the_process) {
  expect_fatal("destroy_in_use", "sync: destroyed while somebody waits: weft::latch");
  expect_fatal("destroy_a_mutex_in_use", "sync: destroyed while somebody waits: weft::mutex");
  expect_fatal("destroy_a_wait_group_in_use", "sync: destroyed while somebody waits: weft::wait_group");
  EXPECT_TRUE(ended_with(child("leave_waiters_behind"), 3)) << "static ones end after run(), when nobody waits any more";
}

// At the end of a run() that unwinds, who waits here is unwound like any other, and holds what its frames believe it holds.
TEST(sync, waits_end_when_the_world_is_unwound) {
  weft::latch l(1);
  weft::barrier b(2);
  weft::semaphore s(0);
  weft::condition_variable c;
  weft::shared_mutex written;
  weft::mutex m;
  std::atomic<int> waiting{0}, unwound{0};
  const int status = weft::run(
      [&] {
        written.lock();
        const auto wait = [&](auto f) {
          weft::go([&, f] {
            const weft::defer d([&] { ++unwound; });
            ++waiting;
            f();
            ADD_FAILURE() << "went on";
          });
        };
        wait([&] { l.wait(); });
        wait([&] { b.arrive_and_wait(); });
        wait([&] { s.acquire(); });
        wait([&] {
          const std::lock_guard hold(m);
          c.wait(m);
        });
        wait([&] { const std::lock_guard hold(written); });
        wait([&] { const std::shared_lock hold(written); });
        EXPECT_TRUE(eventually([&] { return waiting == 6; }));
        weft::this_goroutine::sleep_for(10ms);
        return 4;
      },
      {.at_exit = weft::at_exit_policy::unwind});
  EXPECT_EQ(status, 4);
  EXPECT_EQ(unwound, 6);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
  written.unlock();
  EXPECT_TRUE(written.try_lock());
  written.unlock();
}
