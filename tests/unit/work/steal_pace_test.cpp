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

TEST(steal_pace, pauses_for_eight_times_as_long_as_a_dear_steal_takes) {
  EXPECT_EQ(pause_after(20, 9 * us, 1), 20 * us);
  EXPECT_EQ(pause_after(20, 50 * us, 1), 400 * us);
  EXPECT_EQ(pause_after(20, 50 * us, 100), 400 * us);
  EXPECT_EQ(pause_after(20, 5'000 * us, 100), 500 * us);  // others wait for it
}

// The kernel held it up; or the others slept.
TEST(steal_pace, goes_by_more_than_one_steal) {
  EXPECT_EQ(pause_after(1, 20'000 * us, 100), 0);
  EXPECT_EQ(pause_after(1, 20'000 * us, 1), 20 * us);
  steal_pace pace;
  std::int64_t now = 1;
  for (int i = 0; i < 20; ++i) pace.stole(100, now, now + 50 * us), now += 50 * us;
  pace.stole(100, now, now + 1 * us);
  EXPECT_FALSE(pace.may_steal(now + 100 * us));
}

TEST(steal_pace, survives_a_clock_that_goes_back) {
  steal_pace pace;
  for (int i = 0; i < 100; ++i) pace.stole(100, 50 * us, 0);
  EXPECT_TRUE(pace.may_steal(1));
}

TEST(steal_pace, may_steal_at_first) { EXPECT_TRUE(steal_pace().may_steal(1)); }
