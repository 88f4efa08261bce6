// queue_order_test.cpp: the order in which goroutines that are started, and that yield, run at procs 1, within a slice without end.
// weft-test: procs=1 chaos=0 env=WEFT_DEBUG=slice=3600000
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
