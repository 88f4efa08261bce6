// stop_test.cpp: the stop of all mutators (sched/stop_mutators.cpp) meets threads wherever they are: in malloc, in printf, within
// weft's own locks. (In calls, loops and foreign code: unit/sched/stop_test.cpp.)
// weft-test: timeout=120
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

namespace {

struct alignas(128) count {
  std::atomic<long> n{0};
};

/// Stops the world again and again while goroutines do `work` without end: none of them moves during a stop.
template <class Work>
void nobody_moves_while(int goroutines, int stops, Work work) {
  std::vector<count> counts(static_cast<std::size_t>(goroutines));
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (auto& c : counts) {
    done.go([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        work();
        c.n.fetch_add(1, std::memory_order_relaxed);
      }
    });
  }
  for (auto& c : counts) EXPECT_TRUE(eventually([&] { return c.n.load() > 0; }, 30s));
  int moved = 0;
  for (int i = 0; i < stops; ++i) {
    weft::stop_the_world([&]() noexcept {
      const auto sum = [&] {
        long s = 0;
        for (auto& c : counts) s += c.n.load(std::memory_order_relaxed);
        return s;
      };
      const long before = sum();
      for (int k = 0; k < 2'000; ++k) asm volatile("" : : : "memory");
      moved += sum() != before;
    });
    if (i % 8 == 0) weft::this_goroutine::yield();
  }
  stop = true;
  done.wait();
  EXPECT_EQ(moved, 0);
}

}  // namespace

// STW-01. Whoever stops the world may not wait for a lock that a stopped thread holds, and here each is held now and then.
WEFT_TEST(stop_of_all, finds_threads_inside_malloc) {
  nobody_moves_while(4, scale(300), [] {
    std::array<void*, 16> blocks{};
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = std::malloc(24 << (i % 12));
    for (void* b : blocks) std::free(b);
  });
}

WEFT_TEST(stop_of_all, finds_threads_inside_printf) {
  std::FILE* nowhere = std::fopen("/dev/null", "w");
  ASSERT_NE(nowhere, nullptr);
  nobody_moves_while(4, scale(300), [&] { std::fprintf(nowhere, "%d %s %f\n", 42, "a line", 4.2); });
  std::fclose(nowhere);
}

// A thread that is stopped with a spin lock of weft's would leave another one spinning, which then never stands still.
WEFT_TEST(stop_of_all, finds_threads_within_locks_of_timers) {
  std::atomic<int> ran{0};
  nobody_moves_while(4, scale(1'000), [&] {
    auto t = weft::after_func(1h, [&] { ++ran; });
    t.reset(2h);
    t.stop();
  });
  EXPECT_EQ(ran.load(), 0);
}

WEFT_TEST(stop_of_all, finds_threads_within_locks_of_channels) {
  auto c = weft::make_chan<int>(4);
  nobody_moves_while(4, scale(1'000), [&] {
    static_cast<void>(c.try_send(1));
    static_cast<void>(c.try_recv());
  });
}

// The same where they come in with the lock, to park: whoever is held up there would leave those spinning that wait for it.
WEFT_TEST(stop_of_all, finds_threads_that_park_with_locks_of_channels) {
  auto c = weft::make_chan<int>();
  std::atomic<unsigned> turn{0};
  nobody_moves_while(4, scale(1'000), [&] {
    if (turn.fetch_add(1, std::memory_order_relaxed) % 2) static_cast<void>(c.send_for(1, 50us));
    else static_cast<void>(c.recv_for(50us));
  });
}
