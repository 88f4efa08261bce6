// threads_test.cpp: programs that have too many threads, or that look as if nobody could run while somebody is in a call or computes.
// weft-test: emulated=0
#include <cstdio>
#include <string>
#include <time.h>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {
void block(std::chrono::nanoseconds d) {
  const timespec t{d.count() / 1'000'000'000, d.count() % 1'000'000'000};
  ::nanosleep(&t, nullptr);
}
}  // namespace

WEFT_CHILD(a_hundred_locked) {
  return weft::run([] {
    if (weft::set_max_threads(10) != 10'000) return 1;
    weft::wait_group done;
    for (int i = 0; i < 100; ++i) {
      done.go([] {
        self::lock_thread();
        self::sleep_for(5s);
      });
    }
    done.wait();
    return 0;
  });
}
WEFT_CHILD(a_hundred_blocked) {
  return weft::run([] {
    weft::set_max_threads(10);
    weft::wait_group done;
    for (int i = 0; i < 100; ++i) done.go([] { weft::blocking([] { block(5s); }); });
    done.wait();
    return 0;
  });
}
// SCHED-25. Before the machine has no more to give.
TEST(threads, beyond_the_limit_are_fatal) {
  for (const char* scenario : {"a_hundred_locked", "a_hundred_blocked"}) {
    const auto r = child(scenario);
    EXPECT_TRUE(ended_with(r, 2)) << scenario;
    EXPECT_TRUE(starts_with(r.err, "runtime: program exceeds 10-thread limit\nfatal error: thread exhaustion\n")) << scenario;
  }
}

WEFT_CHILD(a_call_then_deadlock) {
  return weft::run([&] {
    weft::go([&] {
      const auto long_one = [] { block(300ms); };
      if (args.at(0) == "blocking") weft::blocking(long_one);
      if (args.at(0) == "system_call") weft::system_call(long_one);
      if (args.at(0) == "hog") spin(300ms);
      if (args.at(0) == "locked") self::lock_thread(), spin(100ms), self::yield(), weft::blocking(long_one), self::sleep_for(50ms);
      if (args.at(0) == "plain") long_one();
      std::puts("back");
      std::fflush(stdout);
    });
    static_cast<void>(weft::make_chan<int>().recv());
  });
}
// DEADLOCK-06. And not later either: when they are back and do nothing, it is one.
TEST(deadlock, is_not_reported_while_somebody_is_in_a_call_or_computes) {
  for (const char* what : {"blocking", "system_call", "hog", "locked", "plain"}) {
    const auto r = child("a_call_then_deadlock", {.args = {what}});
    EXPECT_TRUE(ended_with(r, 2)) << what;
    EXPECT_EQ(r.out, "back\n") << what;
    EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n")) << what;
  }
}

WEFT_CHILD(all_locked_and_asleep) {
  return weft::run([] {
    auto c = weft::make_chan<int>();
    for (int i = 0; i < 3; ++i) {
      weft::go([=]() mutable {
        self::lock_thread();
        static_cast<void>(c.recv());
      });
    }
    self::lock_thread();
    static_cast<void>(c.recv());
  });
}
// Threads that wait for their goroutine are no sign of life.
TEST(deadlock, of_locked_goroutines_is_reported) {
  const auto r = child("all_locked_and_asleep");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!\n"));
}

WEFT_CHILD(main_returns_beside_calls) {
  return weft::run([] {
    for (int i = 0; i < 5; ++i) weft::go([] { weft::blocking([] { block(60s); }); });
    weft::go([] { weft::system_call([] { block(60s); }); });
    weft::go([] {
      self::lock_thread();
      for (volatile bool on = true; on;) {
      }
    });
    self::sleep_for(20ms);
    std::printf("main");
    return 44;
  });
}
// The end of main is the end of the program, whatever others are in.
TEST(exit, of_main_ends_the_process_though_others_are_in_calls) {
  const auto start = steady::now();
  const auto r = child("main_returns_beside_calls");
  EXPECT_TRUE(ended_with(r, 44));
  EXPECT_EQ(r.out, "main");
  EXPECT_LT(steady::now() - start, limit(10s));
}

WEFT_CHILD(runs_that_leave_calls_and_hogs) {
  static std::atomic<int> back{0};
  for (int i = 0; i < 5; ++i) {
    weft::run([] {
      weft::go([] { weft::blocking([] { block(10ms); }), ++back; });
      weft::go([] { weft::system_call([] { block(10ms); }), ++back; });
      weft::go([] { spin(10ms), self::yield(), ++back; });
      weft::go([] { self::lock_thread(), weft::blocking([] { block(10ms); }), self::sleep_for(1ms), ++back; });
      self::sleep_for(1ms);
      return 3;  // the process's, if the machine was so busy that they were not back in time
    });
  }
  return weft::run([] { return eventually([] { return back == 20; }) ? 9 : 1; });
}
// Whoever is back within the grace time stops there, and goes on in the next run. Some tries: a busy machine may be late.
TEST(run, goes_on_with_those_who_were_in_calls_at_the_end_of_the_last) {
  child_result r;
  for (int i = 0; i < 5 && r.status != 9; ++i) r = child("runs_that_leave_calls_and_hogs");
  EXPECT_TRUE(ended_with(r, 9));
}
