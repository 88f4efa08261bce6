// order_test.cpp: who runs when with one processor: the newest task first. More take the oldest one, with a tree of its own under it.
// weft-test: procs=1 chaos=0 env=WEFT_DEBUG=slice=3600000
#include <algorithm>
#include <functional>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

// Design D12: a tree's live set is its depth, not its width.
WEFT_TEST(async, tree_keeps_few_goroutines_alive) {
  int most = 0;
  struct tree {
    static void grow(int depth, int& most) {
      most = std::max(most, weft::goroutines());
      if (depth == 0) return;
      auto a = weft::async([&] { grow(depth - 1, most); });
      auto b = weft::async([&] { grow(depth - 1, most); });
      a.join();
      b.join();
    }
  };
  tree::grow(12, most);
  EXPECT_LE(most, 100);
}

WEFT_TEST(task_group, nested_groups_have_a_live_set_as_deep_as_their_tree) {
  int most = 0;
  struct watched {
    static void grow(int depth, int& most) {
      most = std::max(most, weft::goroutines());
      if (depth == 0) return;
      weft::task_group g;
      for (int i = 0; i < 2; ++i) g.go(grow, depth - 1, std::ref(most));
      g.wait();
    }
  };
  watched::grow(12, most);
  EXPECT_LE(most, 100);
}

WEFT_TEST(task_group, unstarted_children_run_newest_first) {
  std::vector<int> order;
  weft::task_group g;
  for (int i = 0; i < 5; ++i) g.go([&, i] { order.push_back(i); });
  g.wait();
  EXPECT_EQ(order, (std::vector<int>{4, 3, 2, 1, 0}));
}

// With one processor nobody could take a part: no task is made at all.
WEFT_TEST(parallel, one_processor_runs_the_loop_in_order_by_itself) {
  std::vector<int> order;
  const auto mine = weft::this_goroutine::id();
  weft::parallel_for(0, 1'000, [&](int i) {
    EXPECT_EQ(weft::this_goroutine::id(), mine);
    order.push_back(i);
  });
  EXPECT_TRUE(std::ranges::is_sorted(order));
  EXPECT_EQ(order.size(), 1'000u);
}

