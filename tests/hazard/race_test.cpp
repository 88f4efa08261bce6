// race_test.cpp: hazard 8. ThreadSanitizer must see a race between goroutines, and must know that a channel, a mutex, a wait group
// or a task puts things in order. What it does not see is a race of two that only ever take turns on one thread: to it, a switch
// is order.
// weft-test: procs=1,4 chaos=0
#include <atomic>

#include "support/support.hpp"

using namespace weft::test;

namespace {
long shared = 0;  // in no order but the one that is tested

child_result run_scenario(const char* name) { return child(name, {.env = {"TSAN_OPTIONS=halt_on_error=0:exitcode=66"}}); }
}  // namespace

WEFT_CHILD(two_goroutines_race) {
  return weft::run([] {
    weft::wait_group done;
    std::atomic<int> there{0};
    for (int i = 0; i < 2; ++i) done.go([&] {
      ++there;
      while (there < 2) {  // both run from here on, at once and without a word to each other
      }
      for (int k = 0; k < 1'000; ++k) {
        shared = shared + 1;
        asm volatile("" : : : "memory");  // a thousand times, and not once: two at the same moment ThreadSanitizer does not see
      }
    });
    done.wait();
  }, {.procs = 2});
}
WEFT_CHILD(a_channel_orders) {
  return weft::run([] {
    auto to = weft::make_chan<int>(), back = weft::make_chan<int>(1);
    weft::go([to, back]() mutable {
      while (to.recv()) {
        shared = shared + 1;
        back.send(1);
      }
      back.close();
    });
    for (int k = 0; k < 100; ++k) {
      shared = shared + 1;
      to.send(1);
      static_cast<void>(back.recv());
    }
    to.close();
    static_cast<void>(back.recv());
    return shared == 200 ? 0 : 1;
  });
}
WEFT_CHILD(a_mutex_orders) {
  return weft::run([] {
    weft::mutex m;
    weft::wait_group done;
    for (int i = 0; i < 4; ++i) done.go([&] {
      for (int k = 0; k < 100; ++k) {
        const std::scoped_lock hold(m);
        shared = shared + 1;
        weft::this_goroutine::yield();
      }
    });
    done.wait();
    return shared == 400 ? 0 : 1;
  });
}
WEFT_CHILD(starts_and_ends_order) {
  return weft::run([] {
    for (int k = 0; k < 100; ++k) {
      weft::wait_group done;
      shared = shared + 1;
      done.go([] { shared = shared + 1; });
      done.wait();
      shared += weft::async([] { return ++shared, 0L; }).join();
    }
    return shared == 300 ? 0 : 1;
  });
}

TEST(races, between_goroutines_are_found) {
  if (!under_tsan) GTEST_SKIP() << "ThreadSanitizer's build only";
  const auto r = run_scenario("two_goroutines_race");
  EXPECT_TRUE(contains(r.err, "WARNING: ThreadSanitizer: data race"));
  EXPECT_TRUE(ended_with(r, 66));
}
TEST(races, are_none_where_channels_mutexes_wait_groups_and_tasks_order) {
  for (const char* name : {"a_channel_orders", "a_mutex_orders", "starts_and_ends_order"}) {
    const auto r = run_scenario(name);
    EXPECT_TRUE(ended_with(r, 0)) << name;
    EXPECT_EQ(r.err, "") << name;
  }
}
