// pause_test.cpp: all goroutines but one are set aside.
// weft-test: timeout=120
#include <atomic>
#include <thread>
#include <time.h>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {

/// Waits until nobody computes or blocks any more.
bool is_still(const weft::paused_goroutines& pause) {
  return eventually([&] { return pause.still_running() == 0; });
}

}  // namespace

// Row 22. Nobody moves, whatever the caller does meanwhile; afterwards all go on.
WEFT_TEST(pause, leaves_only_the_caller_running) {
  std::atomic<std::uint64_t> moves{0};
  std::atomic<int> begun{0};
  std::atomic<bool> stop{false};
  weft::wait_group done;
  const auto start = [&](auto step) {
    done.go([&, step] {
      ++begun;
      while (!stop) step(), ++moves;
    });
  };
  auto there = weft::make_chan<int>(), back = weft::make_chan<int>();
  weft::mutex m;
  start([] { self::yield(); });
  start([] { self::sleep_for(50us); });
  start([] { weft::blocking([] {}); });
  start([] { weft::system_call([] { spin(10us); }); });
  start([] { weft::call_c([] { spin(10us); }); });
  auto full = weft::make_chan<int>(1);
  start([&] { static_cast<void>(full.try_send(1)), static_cast<void>(full.try_recv()); });
  start([&] { weft::go([&] { ++moves; }), self::yield(); });
  start([&] { weft::async([&] { return ++moves; }).join(); });
  for (int i = 0; i < 2; ++i) {
    start([&] {
      const std::lock_guard hold(m);
      self::yield();
    });
  }
  start([&] { spin(30us), weft::poll(); });
  done.go([&] {
    for (const int i : there) ++moves, back.send(i);
  });
  done.go([&] {
    while (!stop) there.send(1), static_cast<void>(back.recv());
    there.close();
  });
  ASSERT_TRUE(eventually([&] { return begun == 11; }));
  for (int round = 0; round < scale(30, 5); ++round) {
    {
      const weft::paused_goroutines pause;
      ASSERT_TRUE(is_still(pause));
      const auto before = moves.load();
      self::yield();
      self::sleep_for(200us);
      weft::blocking([] { spin(200us); });
      spin(200us);
      EXPECT_EQ(moves, before);
    }
    const auto before = moves.load();
    EXPECT_TRUE(eventually([&] { return moves > before + 100; }));
  }
  stop = true;
  done.wait();
}

// Row 22: "resume runs all in order"
WEFT_TEST(pause, lets_them_go_on_in_the_order_in_which_they_were_set_aside) {
  with_procs one(1);
  std::vector<int> order;
  weft::wait_group done;
  std::vector<weft::chan<int>> go_on;
  for (int i = 0; i < 100; ++i) go_on.push_back(weft::make_chan<int>(1));
  {
    const weft::paused_goroutines pause;
    for (int i = 0; i < 100; ++i) {
      done.go([&, i] { order.push_back(i); });
      self::yield();  // seen off
    }
    EXPECT_EQ(order.size(), 0u);
  }
  done.wait();
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

// Functions of timers are goroutines of the user's.
WEFT_TEST(pause, holds_what_timers_start) {
  std::atomic<int> ran{0};
  {
    const weft::paused_goroutines pause;
    weft::after_func(1ms, [&] { ++ran; });
    weft::go([&] { ++ran; });
    self::sleep_for(5ms);
    EXPECT_EQ(ran, 0);
  }
  EXPECT_TRUE(eventually([&] { return ran == 2; }));
}

WEFT_TEST(pause, holds_coroutines) {
  std::atomic<int> steps{0};
  std::atomic<bool> stop{false};
  weft::wait_group done;
  struct walker {
    static weft::co::task<void> walk(std::atomic<int>& steps, std::atomic<bool>& stop, weft::wait_group& done) {
      for (; !stop; ++steps) co_await weft::co::yield();
      done.done();
    }
  };
  done.add(3);
  for (int i = 0; i < 3; ++i) weft::co::go(walker::walk(steps, stop, done));
  ASSERT_TRUE(eventually([&] { return steps > 100; }));
  {
    const weft::paused_goroutines pause;
    ASSERT_TRUE(is_still(pause));
    const int before = steps;
    self::sleep_for(1ms);
    EXPECT_EQ(steps, before);
  }
  const int before = steps;
  EXPECT_TRUE(eventually([&] { return steps > before; }));
  stop = true;
  done.wait();
}

// A hog is not waited for, and is held when it comes; so is a call that returns, and one on a thread of its own.
WEFT_TEST(pause, holds_those_that_computed_or_blocked_when_they_come) {
  std::atomic<int> inside{0}, passed{0};
  std::atomic<bool> stop{false};
  weft::wait_group done;
  done.go([&] {
    ++inside;
    while (!stop) {
    }
    self::yield();
    ++passed;
  });
  done.go([&] {
    weft::blocking([&] {
      ++inside;
      while (!stop) std::this_thread::sleep_for(100us);
    });
    ++passed;
  });
  done.go([&] {
    self::lock_thread();
    weft::call_c([&] {
      ++inside;
      while (!stop) std::this_thread::sleep_for(100us);
    });
    self::yield();
    ++passed;
    self::unlock_thread();
  });
  ASSERT_TRUE(eventually([&] { return inside == 3; }));
  {
    const weft::paused_goroutines pause;
    EXPECT_EQ(pause.still_running(), 3);
    stop = true;
    ASSERT_TRUE(is_still(pause));
    self::sleep_for(1ms);
    EXPECT_EQ(passed, 0);
  }
  done.wait();
  EXPECT_EQ(passed, 3);
}

WEFT_TEST(pause, nests_and_takes_turns) {
  const int rounds = scale(200, 20);
  int alone = 0, most = 0;
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&, i] {
      for (int k = 0; k < rounds; ++k) {
        const weft::paused_goroutines pause;
        ++alone;
        {
          const weft::paused_goroutines within;
          self::yield();
        }
        if (i == 0) self::sleep_for(1us);
        most = std::max(most, alone);
        --alone;
      }
    });
  }
  done.wait();
  EXPECT_EQ(most, 1);
}

// The number of processors may change beside it, and the world be stopped.
WEFT_TEST(pause, bears_with_stops_of_the_world) {
  const int procs = weft::procs();
  std::atomic<std::uint64_t> moves{0};
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      for (; !stop; ++moves) self::yield();
    });
  }
  for (int round = 0; round < scale(50, 10); ++round) {
    const weft::paused_goroutines pause;
    ASSERT_TRUE(is_still(pause));
    const auto before = moves.load();
    weft::set_procs(1 + round % 8);
    weft::stop_the_world([]() noexcept {});
    self::yield();
    EXPECT_EQ(moves, before);
  }
  weft::set_procs(procs);
  stop = true;
  done.wait();
}

// It is no deadlock that all are set aside, as long as the caller can go on.
WEFT_CHILD(wait_for_a_plain_thread_in_a_pause) {
  return weft::run(
      [] {
        weft::go([] {});
        const weft::paused_goroutines pause;
        self::sleep_for(20ms);
        auto c = weft::make_chan<int>();
        std::thread other([c] {
          std::this_thread::sleep_for(30ms);
          c.send(7);
        });
        const int got = *c.recv();
        other.join();
        return got;
      });
}
TEST(pause, is_no_deadlock) {
  const auto r = child("wait_for_a_plain_thread_in_a_pause");
  EXPECT_TRUE(ended_with(r, 7)) << r.err;
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(wait_for_one_that_is_set_aside) {
  return weft::run(
      [] {
        auto c = weft::make_chan<int>();
        const weft::paused_goroutines pause;
        weft::go([c] { c.send(1); });
        return *c.recv();
      },
      {.deadlock = weft::deadlock_policy::fatal});
}
WEFT_CHILD(pause_and_end) {
  return weft::run([] {
    weft::go([] { new weft::paused_goroutines; });
    self::sleep_for(10s);
  });
}
WEFT_CHILD(pause_in_a_coroutine) {
  struct f {
    static weft::co::task<void> pause() {
      const weft::paused_goroutines p;
      co_return;
    }
  };
  return weft::run([] { weft::co::go(f::pause()), self::sleep_for(10s); });
}
WEFT_CHILD(pause_on_a_plain_thread) {
  const weft::paused_goroutines pause;
  return 0;
}
TEST(pause, says_what_is_wrong) {
  const auto expect = [](const char* scenario, const char* text) {
    const auto r = child(scenario);
    EXPECT_TRUE(ended_with(r, 2)) << scenario;
    EXPECT_TRUE(starts_with(r.err, std::string("fatal error: ") + text + "\n")) << r.err;
  };
  expect("wait_for_one_that_is_set_aside", "all goroutines are asleep - deadlock!");
  expect("pause_and_end", "paused_goroutines: the goroutine that paused the others has ended");
  expect("pause_in_a_coroutine", "paused_goroutines: called by a coroutine");
  expect("pause_on_a_plain_thread", "paused_goroutines: not called by a goroutine");
}

// Whoever pauses while the end unwinds, in a destructor, is alone with the others that do.
TEST(pause, is_nothing_while_the_end_unwinds) {
  int unwound = 0;
  std::atomic<int> begun{0};
  weft::run(
      [&] {
        auto never = weft::make_chan<int>();
        for (int i = 0; i < 3; ++i) {
          weft::go([&unwound, &begun, never] {
            const weft::defer d([&] {
              const weft::paused_goroutines pause;
              self::yield();
              ++unwound;
            });
            ++begun;
            static_cast<void>(never.recv());
          });
        }
        EXPECT_TRUE(eventually([&] { return begun == 3; }));
        self::sleep_for(1ms);
      },
      {.at_exit = weft::at_exit_policy::unwind});
  EXPECT_EQ(unwound, 3);
}
