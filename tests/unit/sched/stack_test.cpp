// stack_test.cpp: how much stack a goroutine has, and what it costs.
// weft-test: timeout=120 emulated=0
#include <algorithm>
#include <atomic>
#include <cstring>

#include "support/support.hpp"

using namespace weft::test;

namespace {

// Not a tail call, and each frame is written to.
[[gnu::noinline]] int descend(int depth) {
  volatile char frame[96];
  frame[0] = static_cast<char>(depth);
  frame[95] = 1;
  if (depth == 0) return 0;
  return descend(depth - 1) + frame[95];
}

// Uses `bytes` more of the stack, in small frames; returns how deep it went.
[[gnu::noinline]] int use(std::size_t bytes, const char* top) {
  volatile char frame[400];
  frame[0] = 1;
  const char* here = const_cast<const char*>(&frame[0]);
  if (static_cast<std::size_t>(top - here) >= bytes) return 0;
  return use(bytes, top) + frame[0];
}

}  // namespace

WEFT_CHILD(use_200_KiB) {
  return weft::run([] {
    weft::wait_group done;
    std::atomic<int> deep{0};
    for (int i = 0; i < 100; ++i) {  // each colour of a stack's top
      done.go([&] {
        char top = 0;
        if (use(200u << 10, &top) > 100) ++deep;
      });
    }
    done.wait();
    char top = 0;
    return deep == 100 && use(200u << 10, &top) > 100 ? 0 : 1;
  });
}
// SCHED-29. Ordinary C++ code (iostreams, regex, printf of a double) has to fit.
TEST(stack, has_at_least_200_KiB_by_default) { EXPECT_TRUE(ended_with(child("use_200_KiB"), 0)); }

// SCHED-29
WEFT_TEST(stack, has_64_MiB_when_asked_for) {
  if (under_sanitizer) return;  // their frames are larger: nothing to be learnt
  auto result = weft::make_chan<int>();
  weft::go(weft::go_options{.stack_size = std::size_t{128} << 20}, [=] { result.send(descend(600'000)); });
  EXPECT_EQ(result.recv(), 600'000);
}

// A stack that is given back must take its next owner from the top, whatever the size it had before.
WEFT_TEST(stack, may_differ_in_size_from_goroutine_to_goroutine) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 200; ++i) {
    const std::size_t size = std::size_t{64} << (10 + i % 6);
    weft::go(weft::go_options{.stack_size = size}, [&, size, i] {
      const auto use = weft::this_goroutine::stack_usage();
      EXPECT_LE(use.used, use.limit);
      if (size > (std::size_t{512} << 10) && !under_sanitizer) {
        EXPECT_EQ(descend(1'000 + i), 1'000 + i);
      }
      weft::this_goroutine::yield();
      ++ran;
    });
  }
  EXPECT_TRUE(eventually([&] { return ran == 200; }));
}

WEFT_TEST(stack, usage_grows_with_depth_and_stays_below_the_limit) {
  struct probe {
    [[gnu::noinline]] static std::size_t deeper(int n) {
      volatile char frame[512];
      frame[0] = 1;
      asm volatile("" : : "r"(frame) : "memory");  // all of it: clang keeps only what it sees used
      const std::size_t below = n == 0 ? weft::this_goroutine::stack_usage().used : deeper(n - 1);
      return below + (frame[0] - 1u);
    }
  };
  auto ok = weft::make_chan<bool>();
  weft::go([=] {
    const auto here = weft::this_goroutine::stack_usage();
    ok.send(here.used < here.limit && probe::deeper(20) > here.used + 20 * 512 && here.limit >= (200u << 10));
  });
  EXPECT_EQ(ok.recv(), true);
}

// SCHED-29. A million idle connections stand or fall with this.
WEFT_TEST(stack, costs_at_most_8_KiB_of_memory_while_parked) {
  if (under_sanitizer) return;  // their shadow is not ours
  const int n = scale_alive(100'000);
  auto release = weft::make_chan<int>();
  std::atomic<int> parked{0};
  const auto before = resident_bytes();
  for (int i = 0; i < n; ++i) {
    weft::go([&parked, release] {
      ++parked;
      static_cast<void>(release.recv());
    });
  }
  ASSERT_TRUE(eventually([&] { return parked == n; }, 60s));
  weft::this_goroutine::sleep_for(10ms);
  const auto after = resident_bytes();
  EXPECT_LE((after - std::min(after, before)) / static_cast<std::size_t>(n), 8u << 10);
  release.close();
  ASSERT_TRUE(eventually([] { return weft::goroutines() == 1; }, 60s));
}

// SCHED-32, a shorter chain of it: the stacks of the dead are used again.
WEFT_TEST(stack, of_an_ended_goroutine_is_reused) {
  const auto warm = [](int n) {
    auto end = weft::make_chan<int>();
    struct chain {
      static void link(int left, weft::chan<int> end) {
        char page[4096];
        std::memset(page, left, sizeof page);
        asm volatile("" : : "r"(page) : "memory");
        if (left == 0) end.send(1);
        else weft::go(&link, left - 1, end);
      }
    };
    weft::go(&chain::link, n, end);
    static_cast<void>(end.recv());
  };
  warm(scale(5'000, 500));
  const auto before = resident_bytes();
  warm(scale(100'000, 1'000));
  const auto after = resident_bytes();
  EXPECT_LT(after - std::min(after, before), std::size_t{50} << 20);
}
