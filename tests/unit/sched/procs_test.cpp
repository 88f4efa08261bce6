// procs_test.cpp: how wide weft runs, by call, option, environment and affinity.
// weft-test: emulated=0
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <sched.h>
#include <string>

#include "support/support.hpp"

using namespace weft::test;

WEFT_TEST(procs, are_what_the_environment_says) {
  const int asked = procs_asked();
  EXPECT_EQ(weft::procs(), asked > 0 ? asked : weft::procs());
  EXPECT_GE(weft::procs(), 1);
  EXPECT_EQ(weft::stats().procs, static_cast<std::uint64_t>(weft::procs()));
}

// SCHED-17
WEFT_TEST(set_procs, returns_the_value_before_and_sets_only_what_is_1_or_more) {
  const int before = weft::set_procs(2);
  EXPECT_EQ(weft::set_procs(4), 2);
  EXPECT_EQ(weft::set_procs(0), 4);
  EXPECT_EQ(weft::set_procs(-5), 4);
  EXPECT_EQ(weft::set_procs(0), 4);
  EXPECT_EQ(weft::procs(), 4);
  EXPECT_EQ(weft::set_procs(before), 4);
}

// SCHED-21. Who sits on a processor that goes away must be found again.
WEFT_TEST(set_procs, loses_nobody_when_it_lowers_the_number) {
  for (int round = 0; round < 5; ++round) {
    with_procs four(4);
    std::atomic<int> ran{0};
    std::atomic<bool> go_on{false};
    weft::wait_group done;
    for (int i = 0; i < 1'000; ++i) {
      done.go([&] {
        for (int k = 0; k < 3 || !go_on; ++k) weft::this_goroutine::yield();
        ++ran;
      });
    }
    weft::this_goroutine::yield();
    weft::set_procs(1);
    go_on = true;
    done.wait();
    EXPECT_EQ(ran, 1'000);
    weft::set_procs(4);
  }
}

// Nor those that have not started and lie in what has overflowed from their processor's queue.
WEFT_TEST(set_procs, loses_nobody_who_has_not_started_when_it_lowers_the_number) {
  for (int round = 0; round < scale(10, 2); ++round) {
    with_procs four(4);
    std::atomic<int> started{0}, ran{0};
    weft::wait_group done;
    for (int i = 0; i < 4; ++i) {
      done.go([&] {
        weft::this_goroutine::lock_thread();  // else it would let some of them run before it has started all
        for (int k = 0; k < 1'000; ++k) done.go([&] { ++ran; });
        weft::this_goroutine::unlock_thread();
        started += 1'000;
      });
    }
    while (started < 1'000 * (1 + round % 4)) weft::this_goroutine::yield();
    weft::set_procs(1 + round % 3);
    done.wait();
    EXPECT_EQ(ran, 4'000);
    weft::set_procs(4);
  }
}

WEFT_TEST(set_procs, may_be_called_while_everything_moves) {
  const int before = weft::procs();
  std::atomic<bool> stop{false};
  weft::wait_group done;
  auto c = weft::make_chan<int>(4);
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      while (!stop) c.send(1), weft::this_goroutine::yield();
    });
    done.go([&] {
      while (c.recv()) weft::this_goroutine::sleep_for(1us);
    });
  }
  rng r(1);
  for (int i = 0; i < scale(200, 20); ++i) {
    weft::set_procs(1 + r.below(8));
    weft::this_goroutine::yield();
  }
  weft::set_procs(before);
  stop = true;
  EXPECT_TRUE(eventually([&] { return weft::goroutines() <= 1 + 8; }));
  c.close();
  done.wait();
}

// Raised, all processors take work again.
WEFT_TEST(set_procs, gives_work_to_the_new_ones) {
  with_procs one(1);
  weft::set_procs(4);
  std::atomic<int> at_once{0};
  std::atomic<int> ended{0};
  for (int i = 0; i < 4; ++i) {
    weft::go([&] {
      ++at_once;
      while (at_once < 4) {
      }
      ++ended;
    });
  }
  EXPECT_TRUE(eventually([&] { return ended == 4; }, 20s));
}

WEFT_CHILD(print_procs) {
  return weft::run([] {
    std::printf("%d\n", weft::procs());
    weft::wait_group done;
    for (int i = 0; i < 100; ++i) done.go([] { weft::this_goroutine::yield(); });
    done.wait();
  });
}
WEFT_CHILD(print_procs_of_option) {
  return weft::run([] { std::printf("%d\n", weft::procs()); }, {.procs = std::stoi(args.at(0))});
}

namespace {
int cpus() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  return CPU_COUNT(&set);
}
}  // namespace

// SCHED-18
TEST(procs, come_from_WEFT_PROCS) {
  const auto r = child("print_procs", {.env = {"WEFT_PROCS=3"}});
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "3\n");
  EXPECT_EQ(r.err, "");
}

// SCHED-18. A typing error that is passed over in silence is found a year later.
TEST(procs, report_a_value_of_WEFT_PROCS_that_is_none_and_go_on) {
  const auto as_if_unset = child("print_procs", {.env = {"WEFT_PROCS"}});
  for (const char* value : {"WEFT_PROCS=", "WEFT_PROCS=0", "WEFT_PROCS=-2", "WEFT_PROCS=abc", "WEFT_PROCS=3x"}) {
    const auto r = child("print_procs", {.env = {value}});
    EXPECT_TRUE(ended_with(r, 0)) << value;
    EXPECT_EQ(r.out, as_if_unset.out) << value;
    EXPECT_TRUE(contains(r.err, "WEFT_PROCS")) << value;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << value << ": " << r.err;
  }
}

// SCHED-18
TEST(procs, may_be_1024) {
  if (under_tsan) return;  // its threads are too dear
  const auto r = child("print_procs", {.env = {"WEFT_PROCS=1024"}});
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "1024\n");
}

TEST(procs, come_from_the_option_before_the_environment) {
  const auto r = child("print_procs_of_option", {.env = {"WEFT_PROCS=3"}, .args = {"5"}});
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "5\n");
}

// SCHED-19, its half about affinity; the cgroup's quota needs a cgroup of our own, which a test run seldom may make.
TEST(procs, are_by_default_the_cpus_that_the_process_may_use) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  const auto on = [&](int n) {
    cpu_set_t some;
    CPU_ZERO(&some);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&some) < n; ++cpu)
      if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &some);
    sched_setaffinity(0, sizeof some, &some);
    const auto r = child("print_procs", {.env = {"WEFT_PROCS"}});
    sched_setaffinity(0, sizeof all, &all);
    return r.out;
  };
  EXPECT_EQ(on(1), "1\n");
  if (cpus() >= 2) {
    EXPECT_EQ(on(2), "2\n");
  }
}
