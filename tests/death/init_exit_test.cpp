// init_exit_test.cpp: an init task ends main's goroutine. Row 48 of Go's runtime.main.
// weft-test: procs=1 emulated=0
#include <cstdio>
#include <string>

#include <unistd.h>

#include "support/support.hpp"

using namespace weft::test;

static bool with_another = false;
static bool ran_after = false;

WEFT_INIT(leaves) {
  if (with_another) {
    weft::go([] {
      // The thread of main was kept for main while init tasks ran, and is to be everybody's again.
      std::printf("%s\n", eventually([] { return ::gettid() == ::getpid(); }) ? "on the first thread" : "never there");
      std::fflush(stdout);
    });
  }
  weft::this_goroutine::exit();
}
WEFT_INIT(comes_after, leaves) { ran_after = true; }

namespace {
int never_main() {
  return weft::run([] { std::puts(ran_after ? "main, after all tasks" : "main"); });
}
const char* const nobody = "fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n";
}  // namespace

WEFT_CHILD(exits_in_init) { return never_main(); }
TEST(init, task_that_exits_ends_main_and_leaves_a_deadlock) {
  const auto r = child("exits_in_init");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_EQ(r.out, "");
  EXPECT_TRUE(starts_with(r.err, nobody));
}

WEFT_CHILD(exits_in_init_beside_another) {
  with_another = true;
  return never_main();
}
TEST(init, task_that_exits_gives_the_first_thread_back) {
  const auto r = child("exits_in_init_beside_another");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_EQ(r.out, "on the first thread\n");
  EXPECT_TRUE(starts_with(r.err, nobody));
}
