// steal_pace_test.cpp: how soon a thief steals again, by what it got and what that cost.
// weft-test: procs=1 chaos=0
#include "work/steal_pace.hpp"

#include "support/support.hpp"

using weft::steal_pace;

namespace {

constexpr std::int64_t us = 1'000;

/// How long it pauses after `times` steals that took cost_ns each and brought `many`.
std::int64_t pause_after(int times, std::int64_t cost_ns, std::uint64_t many) {
  steal_pace pace;
  std::int64_t now = 1;
  for (int i = 0; i < times; ++i, now += cost_ns) pace.stole(many, now, now + cost_ns);
  std::int64_t pause = 0;
  while (!pace.may_steal(now + pause)) pause += us;
  return pause;
}

}  // namespace

TEST(steal_pace, pauses_after_crumbs_and_not_after_more) {
  EXPECT_EQ(pause_after(20, 2 * us, 0), 20 * us);
  EXPECT_EQ(pause_after(20, 2 * us, 2), 20 * us);
  EXPECT_EQ(pause_after(20, 2 * us, 3), 0);
}

// A ninth of the time at most goes into steals, whatever they bring.
TEST(steal_pace, pauses_for_eight_times_as_long_as_a_dear_steal_takes) {
  EXPECT_EQ(pause_after(20, 5 * us, 1), 40 * us);
  EXPECT_EQ(pause_after(20, 5 * us, 100), 0);
  EXPECT_EQ(pause_after(20, 50 * us, 1), 400 * us);
  EXPECT_EQ(pause_after(20, 50 * us, 100), 400 * us);
}

// The kernel held it up.
TEST(steal_pace, one_that_took_long_is_no_dear_one) {
  EXPECT_EQ(pause_after(1, 20'000 * us, 100), 0);
  EXPECT_EQ(pause_after(1, 20'000 * us, 1), 20 * us);
}

TEST(steal_pace, may_steal_at_first) { EXPECT_TRUE(steal_pace().may_steal(1)); }
