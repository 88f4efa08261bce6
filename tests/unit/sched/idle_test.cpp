// idle_test.cpp: what a program costs that has nothing to do.
// weft-test: serial=1 chaos=0
#include "support/support.hpp"

using namespace weft::test;

// SCHED-26. Threads that spin, or a monitor that ticks, would drain a battery and a cloud bill.
WEFT_TEST(idle, program_uses_no_processor_time) {
  with_procs four(4);
  weft::wait_group done;
  for (int i = 0; i < 20; ++i) {
    done.go([] {
      spin(1ms);  // all processors have been at work
      weft::this_goroutine::sleep_for(2s);
    });
  }
  weft::this_goroutine::sleep_for(200ms);
  const auto before = cpu_time();
  weft::this_goroutine::sleep_for(1500ms);
  EXPECT_LT(cpu_time() - before, limit(30ms));
  done.wait();
}

// A searcher that finds nothing goes to sleep, it does not search again and again.
WEFT_TEST(idle, processors_are_all_but_one_asleep_soon) {
  with_procs four(4);
  EXPECT_TRUE(eventually([] { return weft::stats().idle_procs >= 3; }, 5s));
}
