// init_test.cpp: init tasks that need each other.
// weft-test: procs=1,4 emulated=0
#include <cstdio>

#include "support/support.hpp"

using namespace weft::test;

WEFT_INIT(fine) { std::puts("fine"); std::fflush(stdout); }
WEFT_INIT(outside, hen) { std::puts("outside"); }
WEFT_INIT(hen, fine, egg) { std::puts("hen"); }
WEFT_INIT(egg, chick) { std::puts("egg"); }
WEFT_INIT(chick, hen) { std::puts("chick"); }

WEFT_CHILD(hen_and_egg) {
  return weft::run([] { std::puts("main"); });
}
TEST(init, a_cycle_is_fatal_and_named) {
  const auto r = child("hen_and_egg");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_EQ(r.out, "fine\n");
  EXPECT_TRUE(starts_with(r.err,
                          "weft: init tasks wait for each other: hen is needed by chick, that by egg, that by hen\n"
                          "fatal error: init: cycle of dependencies\n"));
}
