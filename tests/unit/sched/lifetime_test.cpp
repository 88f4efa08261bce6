// lifetime_test.cpp: what goroutines hold, and when they let go of it. Each of these failed once.
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <utility>

#include "support/support.hpp"

using namespace weft::test;

// A closure that does not fit into the goroutine's record takes a stack at once: that must not cost the others of the cache.
WEFT_TEST(lifetime, large_closures_leak_no_stacks) {
  weft::wait_group warm;
  for (int i = 0; i < 500; ++i) warm.go([] {});
  warm.wait();
  const auto before = weft::stats().stacks_mapped;
  const int n = scale(20'000);
  std::atomic<long> sum{0};
  for (int i = 0; i < n; i += 100) {
    weft::wait_group done;
    for (int k = 0; k < 100; ++k) {
      std::array<long, 40> large{};
      large[39] = i + k;
      done.go([large, &sum] { sum += large[39]; });
    }
    done.wait();
  }
  EXPECT_EQ(sum, static_cast<long>(n) * (n - 1) / 2);
  EXPECT_LT(weft::stats().stacks_mapped, before + 1'000);
}

struct counts_in {
  explicit counts_in(std::atomic<int>& n) : n_(&n) { ++*n_; }
  counts_in(counts_in&& o) noexcept : n_(std::exchange(o.n_, nullptr)) {}
  ~counts_in() {
    if (n_) --*n_;
  }
  std::atomic<int>* n_;
};

// RAII: what a goroutine captured may refer to what wait()'s caller destroys next.
WEFT_TEST(lifetime, captures_are_gone_before_wait_returns) {
  for (int round = 0; round < scale(2'000); ++round) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    weft::wait_group done;
    for (int i = 0; i < 3; ++i) done.go([c = counts_in(*alive)] { weft::this_goroutine::yield(); });
    done.wait();
    ASSERT_EQ(*alive, 0);
  }
}

WEFT_TEST(lifetime, captures_are_gone_before_join_returns) {
  for (int round = 0; round < scale(2'000); ++round) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    auto t = weft::async([c = counts_in(*alive)] { return 1; });
    if (round % 2) weft::this_goroutine::yield();
    if (round % 3 == 0) {
      while (!t.is_done() && round % 2) weft::this_goroutine::yield();
    }
    ASSERT_EQ(t.join(), 1);
    ASSERT_EQ(*alive, 0);
  }
}

WEFT_TEST(lifetime, over_aligned_tasks_lie_where_they_must) {
  struct alignas(128) wide {
    char bytes[128] = {};
  };
  for (int i = 0; i < 100; ++i) {
    wide w;
    auto t = weft::async([w] { return reinterpret_cast<std::uintptr_t>(&w) % 128; });
    EXPECT_EQ(t.join(), 0u);
  }
}

// A task is entitled to a stack of its own: joined from a small one it must not run there.
WEFT_TEST(lifetime, task_joined_from_a_small_stack_has_its_own) {
  if (under_sanitizer) return;
  auto ok = weft::make_chan<bool>();
  weft::go({.stack_size = 64u << 10}, [ok] {
    auto t = weft::async([] {
      volatile char big[100 << 10];
      big[0] = 1;
      big[sizeof big - 1] = 1;
      return big[0] == big[sizeof big - 1];
    });
    ok.send(t.join());
  });
  EXPECT_EQ(ok.recv(), true);
}

// A park that is called off (the data came meanwhile) must lose nobody: neither itself, nor who was to run instead.
WEFT_TEST(lifetime, goroutines_started_between_refused_parks_all_run) {
  auto l = weft::net::listen("tcp", "127.0.0.1:0");
  const std::string address = l.address();
  const int n = scale(300);
  std::atomic<int> ran{0};
  weft::wait_group done;
  done.go([&] {
    for (int i = 0; i < n; ++i) {
      auto s = l.accept();
      for (int k = 0; k < 5; ++k) done.go([&] { ++ran; });
      std::byte b[16];
      while (s.read_some(b) > 0) done.go([&] { ++ran; });
    }
  });
  int sent = 0;
  for (int i = 0; i < n; ++i) {
    auto s = weft::net::dial("tcp", address);
    for (int k = 0; k < i % 4; ++k) s.write_all("x"), ++sent;
    s.close();
  }
  done.wait();
  EXPECT_GE(ran, 5 * n);
  EXPECT_LE(ran, 5 * n + sent);
}

WEFT_CHILD(closure_larger_than_the_stack) {
  return weft::run([] {
    auto large = std::make_unique<std::array<char, 60 << 10>>();
    weft::go({.stack_size = 64u << 10}, [copy = *large] { return copy[0]; });
    weft::this_goroutine::sleep_for(1s);
  });
}
TEST(lifetime, closure_larger_than_the_stack_is_reported) {
  const auto r = child("closure_larger_than_the_stack");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "fatal error: closure does not fit onto its stack"));
}

WEFT_CHILD(static_destructor_uses_weft) {
  static auto c = weft::make_chan<int>(1);
  struct at_the_end {
    ~at_the_end() {
      weft::this_goroutine::yield();
      c.send(1);
      if (c.recv() != 1) std::_Exit(9);
      weft::mutex m;
      m.lock();
      m.unlock();
    }
  };
  static at_the_end x;
  return weft::run([] {
    weft::go([] { weft::this_goroutine::sleep_for(1h); });
    weft::exit(7);
  });
}
// exit() ends on the goroutine's own stack, with the world stopped: what runs then is on its own.
TEST(lifetime, static_destructors_may_use_weft_after_exit) {
  EXPECT_TRUE(ended_with(child("static_destructor_uses_weft"), 7));
}

WEFT_CHILD(sleeps_for_ever) {
  std::thread([] {  // not a deadlock: a sleeper may be as patient as it likes
    std::this_thread::sleep_for(1500ms);
    std::_Exit(5);
  }).detach();
  return weft::run([] { weft::this_goroutine::sleep_for(std::chrono::nanoseconds::max()); }, {.deadlock = weft::deadlock_policy::fatal});
}
// TIMER-01
TEST(lifetime, longest_sleep_is_no_deadlock) { EXPECT_TRUE(ended_with(child("sleeps_for_ever"), 5)); }
