// order_test.cpp: the order in which goroutines run at procs 1. Go shows it, programs lean on it, so weft copies it exactly.
// weft-test: procs=1 chaos=0
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

// SCHED-07. A woken goroutine in the "next" slot inherits what is left of the slice, or a pair that passes a token quickly
// would get a thousandth of what a slow pair gets.
WEFT_TEST(order, shares_time_between_pairs_whatever_the_length_of_their_steps) {
  std::atomic<bool> stop{false};
  weft::wait_group done;
  std::array<std::int64_t, 2> steps{};
  const std::array<int, 2> length = {under_sanitizer ? 100'000 : 1'000'000, 1'000};
  for (std::size_t pair = 0; pair < 2; ++pair) {
    auto there = weft::make_chan<int>(), back = weft::make_chan<int>();
    const auto work = [&steps, pair, n = length[pair]] {
      for (int i = 0; i < n; ++i) {
        ++steps[pair];
        asm volatile("" : : : "memory");  // a step is a step
      }
    };
    done.go([=, &stop] {
      while (!stop) work(), there.send(1), static_cast<void>(back.recv());
      there.close();
    });
    done.go([=] {
      while (there.recv()) work(), back.send(1);
    });
  }
  weft::this_goroutine::sleep_for(300ms);
  stop = true;
  done.wait();
  EXPECT_LT(steps[0], steps[1] * 20);
  EXPECT_LT(steps[1], steps[0] * 20);
}

// SCHED-09. The global queue's crowd may not starve who is started on the processor itself.
WEFT_TEST(order, lets_a_new_goroutine_run_before_a_crowd_runs_ten_more_times) {
  const int n = scale_alive(10'000);
  std::vector<int> runs(static_cast<std::size_t>(n));
  bool stop = false;
  int worst = -1, started = 0;
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    done.go([&, i] {
      while (!stop) {
        if (++runs[static_cast<std::size_t>(i)] == 3 && i % (n / 10) == 0 && started < 10) {
          ++started;
          auto before = std::make_shared<std::vector<int>>(runs);
          done.go([&, before] {
            for (std::size_t k = 0; k < runs.size(); ++k) worst = std::max(worst, runs[k] - (*before)[k]);
            if (started == 10) stop = true;
          });
        }
        weft::this_goroutine::yield();
      }
    });
  }
  done.wait();
  EXPECT_GE(worst, 0);
  EXPECT_LT(worst, 10);
}

// A goroutine that no short lap can switch to goes by g0, and within its waker's slice all the same: else a pair with such a one in it
// has a fresh slice with each message, and nobody else ever has a turn.
WEFT_TEST(order, lets_others_run_beside_a_pair_of_which_one_is_bound) {
  for (const bool locked : {false, true}) {
    std::atomic<bool> stop{false};
    std::atomic<long> turns{0};
    auto there = weft::make_chan<int>(), back = weft::make_chan<int>();
    weft::wait_group done;
    done.go([&] {
      for (; !stop; ++turns) weft::this_goroutine::yield();
    });
    const auto answer = [&] {
      if (locked) weft::this_goroutine::lock_thread();
      while (const auto v = there.recv()) back.send(*v);
    };
    done.add(1);
    weft::go({.fp_environment = !locked}, [&] {
      answer();
      done.done();
    });
    const auto give_up = steady::now() + limit(10s);
    while (turns < 3 && steady::now() < give_up) there.send(1), static_cast<void>(back.recv());
    stop = true;
    there.close();
    done.wait();
    EXPECT_GE(turns, 3) << (locked ? "lock_thread()" : "fp_environment");
  }
}
