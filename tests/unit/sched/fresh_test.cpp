// fresh_test.cpp: goroutines that have never run and lie with a processor whose goroutine computes, within a slice without end.
// weft-test: procs=2,4,8 chaos=0 env=WEFT_DEBUG=slice=3600000
#include <atomic>

#include "support/support.hpp"

using namespace weft::test;

// All other processors have more of their own, without end. Those in the ring, half of it after the last overflow or more, are not
// among those that must run: no thief comes.
WEFT_TEST(fresh, get_their_turn_though_their_processor_is_held_up_and_the_others_are_busy) {
  const int n = 2'000, in_ring = 256;
  std::atomic<int> ran{0};
  std::atomic<bool> over{false};
  weft::wait_group done;
  for (int i = 0; i < 20 * weft::procs(); ++i) {
    done.go([&] {
      while (!over) {
        weft::wait_group children;
        for (int k = 0; k < 100; ++k) children.go([] {});
        children.wait();
      }
    });
  }
  weft::this_goroutine::sleep_for(20ms);
  done.go([&] {
    weft::this_goroutine::lock_thread();  // else it would let some of them run before it has started all
    for (int i = 0; i < n; ++i) done.go([&] { ++ran; });
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (ran < n - in_ring && std::chrono::steady_clock::now() < until) {}
    EXPECT_GE(ran, n - in_ring);
    over = true;
  });
  done.wait();
  EXPECT_EQ(ran, n);
}
