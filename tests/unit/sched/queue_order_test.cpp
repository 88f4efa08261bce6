// queue_order_test.cpp: the order in which goroutines that are started, and that yield, run at procs 1, within a slice without end.
// weft-test: procs=1 chaos=0 env=WEFT_DEBUG=slice=3600000
#include <algorithm>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
using ints = std::vector<int>;

// SCHED-03. The newest start sits in the "next" slot, the others queue.
WEFT_TEST(order, of_starts_is_the_last_one_first_then_as_started) {
  ints ran;
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) done.go([&, i] { ran.push_back(i); });
  done.wait();
  EXPECT_EQ(ran, (ints{7, 0, 1, 2, 3, 4, 5, 6}));
}

// Who starts goroutines in a loop is not far ahead of them, also within its slice: else there is a record for each of them at once.
WEFT_TEST(order, of_starts_without_end_is_not_far_ahead_of_those_started) {
  const int n = 100'000;
  int ran = 0, ahead = 0;
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    done.go([&] { ++ran; });
    ahead = std::max(ahead, i + 1 - ran);
  }
  done.wait();
  EXPECT_EQ(ran, n);
  EXPECT_LE(ahead, 256);
}

// SCHED-04. A yield goes behind all that are runnable.
WEFT_TEST(order, of_yields_repeats_round_after_round) {
  ints ran;
  weft::wait_group done;
  for (int i = 0; i < 3; ++i) {
    done.go([&, i] {
      for (int k = 0; k < 3; ++k) {
        ran.push_back(i);
        weft::this_goroutine::yield();
      }
    });
  }
  done.wait();
  EXPECT_EQ(ran, (ints{2, 0, 1, 2, 0, 1, 2, 0, 1}));
}

// SCHED-04. Also with more than a run queue holds: some of them wait in the global queue, and not for longer than the others.
WEFT_TEST(order, of_yields_gives_a_turn_to_each_of_very_many) {
  const int n = 1'000, rounds = scale(50, 10);
  long turns = 0, longest = 0;
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    done.go([&] {
      long last = turns;
      for (int r = 0; r < rounds; ++r) {
        weft::this_goroutine::yield();
        longest = std::max(longest, ++turns - last);
        last = turns;
      }
    });
  }
  done.wait();
  EXPECT_LE(longest, 2 * n);
}
