// run_test.cpp: where a program begins and ends, again and again in one process.
// weft-test: emulated=0
#include <atomic>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>

#include "support/support.hpp"

using namespace weft::test;

TEST(run, returns_what_main_returns) {
  EXPECT_EQ(weft::run([] { return 42; }), 42);
  EXPECT_EQ(weft::run([] {}), 0);
  EXPECT_EQ(weft::run([] { return std::string("not an int"); }), 0);
}

TEST(run, passes_argc_and_argv) {
  char a[] = "program", b[] = "word";
  char* argv[] = {a, b, nullptr};
  EXPECT_EQ(weft::run([](int argc, char** v) { return argc * 10 + static_cast<int>(std::string(v[1]).size()); }, 2, argv), 24);
}

WEFT_CHILD(ids_of_mains) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 20; ++i) {
    std::uint64_t id = 0, other = 0;
    weft::run([&] {
      id = weft::this_goroutine::id();
      weft::go([&] { other = weft::this_goroutine::id(); });
      while (weft::goroutines() > 1) weft::this_goroutine::yield();
    });
    if (i == 0 && id != 1) return 1;
    if (!seen.insert(other).second || other == 0 || other == id) return 2;
    if (weft::this_goroutine::id() != 0) return 3;
  }
  return 0;
}
// SCHED-16
TEST(run, makes_the_first_main_goroutine_1) { EXPECT_TRUE(ended_with(child("ids_of_mains"), 0)); }

TEST(run, may_be_called_a_hundred_times) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) {
    weft::run([&] {
      weft::wait_group done;
      for (int k = 0; k < 10; ++k) done.go([&] { ++ran; });
      done.wait();
    });
  }
  EXPECT_EQ(ran, 1'000);
}

// Threads of weft's own may not pile up from one run to the next.
TEST(run, keeps_its_number_of_threads) {
  const auto once = [] {
    weft::run([] {
      weft::wait_group done;
      for (int k = 0; k < 50; ++k) done.go([] { weft::this_goroutine::sleep_for(1ms); });
      done.wait();
    });
  };
  for (int i = 0; i < 5; ++i) once();
  const int before = threads();
  for (int i = 0; i < 50; ++i) once();
  EXPECT_LE(threads(), before + 10);
}

// Design D9: who is left over when main returns stays as it is, and the next run goes on with it.
TEST(run, continues_the_same_world) {
  std::atomic<int> steps{0};
  auto go_on = weft::make_chan<int>();
  weft::run([&] {
    weft::go([&steps, go_on] {
      for (const int by : go_on) steps += by;
      steps += 1'000;
    });
    go_on.send(1);
    EXPECT_TRUE(eventually([&] { return steps == 1; }));
  });
  EXPECT_EQ(weft::goroutines(), 1);
  std::this_thread::sleep_for(10ms);
  run_in_weft([&] {
    EXPECT_EQ(weft::goroutines(), 2);
    go_on.send(10);
    go_on.close();
    EXPECT_TRUE(eventually([&] { return steps == 1'011; }));
  });
}

// Between two runs nothing of weft runs: static data may be torn down then.
TEST(run, leaves_nothing_running) {
  std::atomic<std::int64_t> steps{0};
  std::atomic<bool> stop{false};
  std::atomic<int> ended{0};
  weft::run([&] {
    for (int i = 0; i < 3; ++i) {
      weft::go([&] {
        while (!stop) ++steps, weft::this_goroutine::yield();
        ++ended;
      });
    }
    EXPECT_TRUE(eventually([&] { return steps > 100; }));
  });
  const auto after = steps.load();
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(steps, after);
  stop = true;
  run_in_weft([&] { EXPECT_TRUE(eventually([&] { return ended == 3; })); });
}

// A sleeper's time goes on between two runs.
TEST(run, wakes_sleepers_of_the_run_before) {
  std::atomic<bool> woke{false};
  weft::run([&] {
    weft::go([&] { weft::this_goroutine::sleep_for(20ms), woke = true; });
    weft::this_goroutine::sleep_for(1ms);
  });
  const bool early = woke;  // this thread was held up
  std::this_thread::sleep_for(40ms);
  EXPECT_EQ(woke, early);
  run_in_weft([&] { EXPECT_TRUE(eventually([&] { return woke.load(); })); });
}

TEST(run, may_be_called_from_different_threads) {
  std::atomic<int> sum{0};
  for (int i = 0; i < 10; ++i) {
    std::thread([&] {
      weft::run([&] {
        weft::wait_group done;
        for (int k = 0; k < 10; ++k) done.go([&] { weft::this_goroutine::yield(), ++sum; });
        done.wait();
      });
    }).join();
  }
  EXPECT_EQ(sum, 100);
}

TEST(run, lets_an_exception_of_main_that_is_caught_stay_inside) {
  EXPECT_EQ(weft::run([] {
              try {
                throw std::runtime_error("inside");
              } catch (const std::runtime_error&) {
                return 3;
              }
            }),
            3);
}

TEST(this_goroutine, acts_on_the_thread_where_there_is_no_goroutine) {
  EXPECT_EQ(weft::this_goroutine::id(), 0u);
  weft::this_goroutine::yield();
  weft::poll();
  const auto start = steady::now();
  weft::this_goroutine::sleep_for(5ms);
  EXPECT_GE(steady::now() - start, 5ms);
}

WEFT_CHILD(uptimes) {
  if (weft::stats().uptime != 0ns) return 1;
  auto before = 0ns;
  for (int i = 0; i < 2; ++i) {
    const bool later = weft::run([&] {
      for (int k = 0; k < 100; ++k) {
        const auto now = weft::stats().uptime;
        if (now <= 0ns || now < before) return 0;
        before = now;
      }
      weft::this_goroutine::sleep_for(5ms);
      return weft::stats().uptime >= before + 5ms ? 1 : 0;
    }) != 0;
    if (!later) return 2;
  }
  return weft::stats().uptime < before ? 3 : 0;
}
// Row 46 of Go's runtime.main. It is the process's: a second run() does not begin anew.
TEST(run, counts_the_time_since_the_first_one_began) { EXPECT_TRUE(ended_with(child("uptimes"), 0)); }
