// exit_test.cpp: the ways in which a program ends.
// weft-test: emulated=0
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "support/support.hpp"

using namespace weft::test;

WEFT_CHILD(main_returns_beside_others) {
  std::atexit([] { std::printf(" atexit"); });
  return weft::run([] {
    struct tells {
      ~tells() { std::printf(" unwound"); }
    };
    static weft::mutex m;
    m.lock();
    weft::go([] {
      tells t;
      weft::this_goroutine::sleep_for(1h);
    });
    weft::go([] {
      tells t;
      m.lock();
    });
    weft::go([] {
      for (;;) weft::this_goroutine::yield();
    });
    weft::this_goroutine::sleep_for(5ms);
    std::printf("main");  // not flushed here
    return 42;
  });
}
// PANIC-08. Not waited for, not unwound, and stdio is flushed.
TEST(exit, of_main_ends_the_process_though_others_go_on) {
  const auto r = child("main_returns_beside_others");
  EXPECT_TRUE(ended_with(r, 42));
  EXPECT_EQ(r.out, "main atexit");
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(main_returns_beside_a_spinning_one) {
  const int n = weft::run([] {
    weft::set_procs(2);
    static std::atomic<bool> spinning{false};
    weft::go([] {
      for (;;) spinning = true;
    });
    while (!spinning) weft::this_goroutine::yield();
    std::printf("main");
    return 43;
  });
  return n;
}
// PANIC-08. One that never gives way cannot be stopped: the process ends all the same, and what was printed comes out.
TEST(exit, of_main_ends_the_process_though_another_spins) {
  const auto r = child("main_returns_beside_a_spinning_one");
  EXPECT_TRUE(ended_with(r, 43));
  EXPECT_EQ(r.out, "main");
}

WEFT_CHILD(exit_with_hooks) {
  std::atexit([] { std::printf(" atexit"); });
  return weft::run([&] {
    weft::at_exit([] { std::printf(" first"); });
    weft::at_exit([] { std::printf(" second"); });
    struct tells {
      ~tells() { std::printf(" unwound"); }
    } t;
    std::printf("main");
    if (args.at(0) == "main") weft::exit(7);
    if (args.at(0) == "return") return 7;
    if (args.at(0) == "goroutine") {
      weft::go([] { weft::exit(7); });
      weft::this_goroutine::sleep_for(10s);
    }
    if (args.at(0) == "thread") {
      std::thread([] { weft::exit(7); }).detach();
      weft::this_goroutine::sleep_for(10s);
    }
    return 1;
  });
}
// PANIC-09
TEST(exit, runs_hooks_latest_first_and_then_the_atexit_handlers) {
  for (const char* from : {"main", "goroutine", "thread"}) {
    const auto r = child("exit_with_hooks", {.args = {from}});
    EXPECT_TRUE(ended_with(r, 7)) << from;
    EXPECT_EQ(r.out, "main second first atexit") << from;
  }
  const auto r = child("exit_with_hooks", {.args = {"return"}});
  EXPECT_TRUE(ended_with(r, 7));
  EXPECT_EQ(r.out, "main unwound second first atexit");
}

WEFT_CHILD(hooks_of_two_runs) {
  weft::at_exit([] { std::printf("before "); });
  weft::run([] { weft::at_exit([] { std::printf("one "); }); });
  weft::run([] { std::printf("main "); });
  return 0;
}
// A hook runs once, at the end of the run that it was registered before.
TEST(exit, runs_each_hook_once) {
  const auto r = child("hooks_of_two_runs");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "one before main ");
}

WEFT_CHILD(hook_that_uses_weft) {
  return weft::run([] {
    weft::at_exit([] {
      auto c = weft::make_chan<int>();
      weft::go([=] { c.send(5); });
      std::printf("%d", c.recv().value());
    });
    return 0;
  });
}
// run()'s hooks are the place to flush and to say good-bye to others, which takes a working scheduler.
TEST(exit, hooks_of_run_may_still_use_channels) {
  const auto r = child("hook_that_uses_weft");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "5");
}

WEFT_CHILD(exits_at_once) {
  return weft::run([] {
    for (int i = 0; i < 8; ++i) weft::go([i] { weft::this_goroutine::yield(), weft::exit(10 + i); });
    weft::this_goroutine::sleep_for(10s);
    return 1;
  });
}
// Two that end the process at the same time end it once.
TEST(exit, from_several_goroutines_at_once_is_one_exit) {
  for (int round = 0; round < scale(10, 2); ++round) {
    const auto r = child("exits_at_once");
    EXPECT_GE(r.status, 10);
    EXPECT_LT(r.status, 18);
    EXPECT_EQ(r.err, "");
  }
}

WEFT_CHILD(exits_beside_mains_return) {
  std::atexit([] { std::printf("atexit"); });
  return weft::run([] {
    weft::set_procs(2);
    std::atomic<bool> begun{false};
    weft::go([&] {
      begun = true;
      weft::exit(3);
    });
    while (!begun) {  // without a yield: the other one must run beside us
    }
    const auto until = steady::now() + std::chrono::microseconds(steady::now().time_since_epoch().count() / 1000 % 300);
    while (steady::now() < until) {
    }
    return 0;
  });
}
// Whichever comes first, the process ends well and at once.
TEST(exit, beside_the_return_of_main_is_one_exit) {
  for (int round = 0; round < scale(30, 5); ++round) {
    const auto r = child("exits_beside_mains_return");
    EXPECT_TRUE(r.status == 3 || r.status == 0) << r.status;
    EXPECT_EQ(r.out, "atexit");
    EXPECT_EQ(r.err, "");
  }
}

WEFT_CHILD(thread_exits_with_a_hook_that_asks_a_goroutine) {
  auto ask = weft::make_chan<int>(), answer = weft::make_chan<int>();
  weft::at_exit([=] {
    ask.send(5);
    std::printf("%d", answer.recv().value());
  });
  return weft::run([=] {
    weft::go([=] { answer.send(ask.recv().value() + 1); });
    std::thread([] { weft::exit(0); }).detach();
    for (;;) {  // the only processor: the monitor takes it away
    }
  }, {.procs = 1});
}
// The monitor does its work until the hooks have run.
TEST(exit, from_a_thread_has_hooks_that_goroutines_serve) {
  const auto r = child("thread_exits_with_a_hook_that_asks_a_goroutine");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "6");
}

WEFT_CHILD(exit_from_a_run_in_static_destruction) {
  struct late {
    ~late() { std::printf("%d", static_cast<int>(c.size())); }
    weft::chan<int> c = weft::make_chan<int>(3);
  };
  static late l;
  return weft::run([] {
    l.c.send(1);
    weft::go([] {
      for (;;) l.c.send(1);
    });
    while (l.c.size() < 3) weft::this_goroutine::yield();
    return 0;
  });
}
// After run() nothing of weft runs: static destructors may take apart what goroutines used.
TEST(exit, static_destructors_are_safe) {
  const auto r = child("exit_from_a_run_in_static_destruction");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "3");
}

namespace {
std::atomic<bool> being_printed{false};
struct slow_to_print : std::exception {
  [[nodiscard]] const char* what() const noexcept override {
    being_printed = true;
    std::this_thread::sleep_for(700ms);  // longer than the grace that the end gives to others
    return "crash";
  }
};
int beside_a_panic(void (*end)()) {
  return weft::run([&] {
    weft::set_procs(2);
    weft::go([] { throw slow_to_print(); });
    while (!being_printed) weft::this_goroutine::yield();
    end();
  });
}
}  // namespace
WEFT_CHILD(main_returns_while_another_panics) {
  return beside_a_panic([] {});
}
WEFT_CHILD(exit_while_another_panics) {
  return beside_a_panic([] { weft::exit(0); });
}
WEFT_CHILD(thread_exits_while_another_panics) {
  return beside_a_panic([] {
    std::thread([] { weft::exit(0); }).detach();
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-10, Go's TestPanicRace: an end that looks like success must not hide a crash.
TEST(exit, waits_for_a_panic_that_is_being_printed) {
  for (const char* how : {"main_returns_while_another_panics", "exit_while_another_panics", "thread_exits_while_another_panics"}) {
    const auto r = child(how);
    EXPECT_TRUE(ended_with(r, 2)) << how;
    EXPECT_TRUE(starts_with(r.err, "panic: crash\n\ngoroutine ")) << how;
    EXPECT_TRUE(contains(r.err, " in goroutine 1\n")) << how;
  }
}

WEFT_CHILD(exit_beside_a_deadlock) {
  return weft::run(
      [] {
        static std::atomic<bool> ending{false};
        std::thread([] {
          weft::at_exit([] { ending = true, std::this_thread::sleep_for(100ms), std::printf("hook"); });
          weft::exit(6);
        }).detach();
        while (!ending) weft::this_goroutine::yield();
        const auto c = weft::make_chan<int>();
        static_cast<void>(c.recv_for(50ms));  // ends while the hook runs
        static_cast<void>(c.recv());
      },
      {.deadlock = weft::deadlock_policy::fatal});
}
// DEADLOCK-10. Who waits for the end of the process waits for something.
TEST(exit, is_no_deadlock) {
  const auto r = child("exit_beside_a_deadlock");
  EXPECT_TRUE(ended_with(r, 6));
  EXPECT_EQ(r.out, "hook");
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(panic_beside_a_deadlock) {
  return weft::run(
      [] {
        weft::set_procs(2);
        weft::go([] { throw slow_to_print(); });
        static_cast<void>(weft::make_chan<int>().recv());
      },
      {.deadlock = weft::deadlock_policy::fatal});
}
// DEADLOCK-10
TEST(exit, by_a_panic_is_no_deadlock) {
  const auto r = child("panic_beside_a_deadlock");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: crash\n"));
  EXPECT_EQ(r.err.find("asleep"), std::string::npos);
}

WEFT_CHILD(exits_beside_stops_of_the_world) {
  return weft::run(
      [] {
        for (int i = 0; i < 3; ++i) {
          weft::go([i] {
            for (int k = 0;; ++k) weft::set_procs(3 + (k + i) % 2), weft::this_goroutine::yield();
          });
        }
        for (int i = 0; i < 2; ++i) {
          weft::go([] {
            for (;;) weft::this_goroutine::yield();
          });
        }
        weft::this_goroutine::sleep_for(3ms);
        weft::exit(0);
      },
      {.procs = 4});
}
// exit() may have to wait for its turn to stop the world, and comes back on another thread.
TEST(exit, beside_others_that_stop_the_world_ends_with_its_value) {
  for (int i = 0; i < scale(60, 5); ++i) {
    const auto r = child("exits_beside_stops_of_the_world");
    EXPECT_TRUE(ended_with(r, 0));
    EXPECT_EQ(r.err, "");
  }
}
