// for_each_p_test.cpp: a function for every P, and what it is there for: weft::release_memory().
// weft-test: timeout=120
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "sched/for_each_p.hpp"
#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {

struct visits {
  int of[weft::max_procs] = {};
  int at_once = 0, overlaps = 0;
  static void count(weft::p* pp, void* arg) noexcept {
    auto& v = *static_cast<visits*>(arg);
    if (++v.at_once != 1) ++v.overlaps;
    ++v.of[pp->id];
    --v.at_once;
  }
};

/// Visits all, and looks whether each of `n` Ps, or of 1 to 8 when that is 0, was there once.
void visit_all(int n) {
  visits v;
  EXPECT_TRUE(weft::for_each_p(&visits::count, &v));
  EXPECT_EQ(v.overlaps, 0);
  int seen = 0;
  while (seen < weft::max_procs && v.of[seen] == 1) ++seen;
  if (n != 0) EXPECT_EQ(seen, n);
  else EXPECT_TRUE(seen >= 1 && seen <= 8) << seen;
  for (int i = seen; i < weft::max_procs; ++i) EXPECT_EQ(v.of[i], 0) << i;
}

/// Fewer where there are more processors than CPUs: each visit waits for all threads that the kernel has put aside within weft.
int rounds() { return std::max(20, scale(1'000, 50) / (weft::procs() * weft::procs())); }

/// Dirties the stack it is called on, `bytes` deep.
[[gnu::noinline]] void touch_stack(std::size_t bytes) {
  auto* deep = static_cast<char*>(__builtin_alloca(bytes));
  for (std::size_t i = 0; i < bytes; i += 512) deep[i] = 1;
  asm volatile("" : : "r"(deep) : "memory");
}

/// n goroutines at once, each with so much of its stack touched.
void burst(int n, std::size_t bytes) {
  auto release = weft::make_chan<int>();
  std::atomic<int> parked{0};
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    done.go([&, release] {
      touch_stack(bytes);
      ++parked;
      static_cast<void>(release.recv());
    });
  }
  EXPECT_TRUE(eventually([&] { return parked == n; }, 60s));
  release.close();
  done.wait();
  EXPECT_TRUE(eventually([&] { return weft::goroutines() == 1; }));
}

}  // namespace

// Row 8
WEFT_TEST(for_each_p, visits_idle_ones_once) {
  const int n = weft::procs();
  for (int i = 0; i < 100; ++i) visit_all(n);
}

// Row 8: under churn, in calls, and with goroutines that compute and never call; and it takes nobody's P away.
WEFT_TEST(for_each_p, visits_each_once_whatever_its_owner_does) {
  const int n = weft::procs();
  std::atomic<bool> stop{false};
  std::atomic<int> begun{0};
  weft::wait_group done;
  const auto start = [&](auto step) {
    done.go([&, step] {
      ++begun;
      while (!stop) step();
    });
  };
  auto c = weft::make_chan<int>();
  start([&] {
    while (!stop) {
    }
  });
  start([] { weft::blocking([] { std::this_thread::sleep_for(100us); }); });
  start([] { weft::system_call([] { std::this_thread::sleep_for(1ms); }); });
  start([] { weft::system_call([] {}); });
  start([] { weft::call_c([] { spin(50us); }); });
  start([] { self::sleep_for(20us); });
  start([] { weft::go([] {}), self::yield(); });
  start([&] { static_cast<void>(c.try_send(1)), static_cast<void>(c.try_recv()); });
  for (int i = 0; i < 4; ++i) start([] { self::yield(); });
  start([] {
    self::lock_thread();
    self::yield();
    self::unlock_thread();
  });
  ASSERT_TRUE(eventually([&] { return begun == 13; }));
  for (int i = 0; i < rounds(); ++i) {
    visit_all(n);
    if (i % 4 == 0) self::yield();
  }
  stop = true;
  done.wait();
}

// Row 8. One at a time, also beside what stops the world, changes the number of Ps or pauses the others.
WEFT_TEST(for_each_p, takes_turns_with_itself_and_with_stops_of_the_world) {
  const int procs = weft::procs(), each = scale(200, 10);
  weft::wait_group done;
  for (int i = 0; i < 3; ++i) {
    done.go([&] {
      for (int k = 0; k < each; ++k) visit_all(0), self::yield();
    });
  }
  done.go([&] {
    rng r(1);
    for (int k = 0; k < each; ++k) weft::set_procs(1 + r.below(8)), self::yield();
  });
  done.go([&] {
    for (int k = 0; k < each; ++k) weft::stop_the_world([]() noexcept {}), self::yield();
  });
  done.go([&] {
    for (int k = 0; k < each / 4; ++k) {
      const weft::paused_goroutines pause;
      visit_all(0);
    }
  });
  plain_thread other([&] {
    for (int k = 0; k < each; ++k) visit_all(0);
  });
  done.wait();
  other.join();
  weft::set_procs(procs);
}

// f has the P to itself: what an owner keeps there is whole when f looks, and f's changes when the owner does.
WEFT_TEST(for_each_p, comes_between_two_uses_of_a_p) {
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      while (!stop) weft::go([] { touch_stack(64); }), self::yield();
    });
  }
  for (int i = 0; i < rounds(); ++i) {
    bool right = true;
    const auto look = [](weft::p* pp, void* arg) noexcept {
      std::uint32_t n = 0;
      for (const weft::g* gp = pp->free_gs; gp; gp = static_cast<const weft::g*>(gp->link)) ++n;
      if (n != pp->free_count) *static_cast<bool*>(arg) = false;
    };
    EXPECT_TRUE(weft::for_each_p(look, &right));
    EXPECT_TRUE(right);
    weft::release_memory();
    self::yield();
  }
  stop = true;
  done.wait();
}

// Nobody's Ps are visited when there are none, and nobody waits for a run() that may never come.
TEST(for_each_p, does_nothing_between_two_runs) {
  visits v;
  EXPECT_FALSE(weft::for_each_p(&visits::count, &v));
  weft::run([] {});
  EXPECT_FALSE(weft::for_each_p(&visits::count, &v));
  weft::release_memory();
  weft::run([] { visit_all(weft::procs()); });
}

// The end of run() may come beside it.
TEST(for_each_p, bears_with_the_end_of_run) {
  for (int i = 0; i < scale(100, 10); ++i) {
    std::atomic<bool> stop{false};
    std::thread other([&] {
      while (!stop) weft::release_memory();
    });
    weft::run([] {
      for (int k = 0; k < 3; ++k) weft::go([] { weft::release_memory(); });
      self::yield();
    });
    stop = true;
    other.join();
    weft::run([] { EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; })); });  // those that were left over
  }
}

// Row 8. Fewer free stacks than a quiet program would keep for good, some with the processors themselves.
WEFT_TEST(release_memory, gives_back_what_a_burst_has_left) {
  const int n = 1'000;
  constexpr std::size_t each = 100 * 1024;
  burst(n, each);
  const auto before = resident_bytes();
  weft::release_memory();
  const auto after = resident_bytes();
  if (!under_sanitizer) {
    EXPECT_LT(after + n * each * 9 / 10, before);
  }
  burst(n, each);  // and the stacks may be used again
}

// What every P has put by for itself goes too: here nothing has reached the shared list.
WEFT_TEST(release_memory, empties_the_caches_of_all_processors) {
  weft::release_memory();
  burst(16, 100 * 1024);
  struct coroutine {
    static weft::co::task<int> value(int i) { co_return i; }
    static weft::co::task<int> sum(int n) {
      int all = 0;
      for (int i = 0; i < n; ++i) all += co_await value(i);
      co_return all;
    }
  };
  EXPECT_EQ(coroutine::sum(100).join(), 4950);
  struct cached {
    std::uint64_t stacks = 0, bytes = 0;
    static void add(weft::p* pp, void* arg) noexcept {
      auto& c = *static_cast<cached*>(arg);
      c.stacks += pp->stack_count;
      c.bytes += pp->frames.bytes();
    }
  } full, empty;
  EXPECT_TRUE(weft::for_each_p(&cached::add, &full));
  EXPECT_GT(full.stacks, 0u);
  if (!under_asan) {  // which has each frame freed, so that it sees who uses one afterwards
    EXPECT_GT(full.bytes, 0u);
  }
  weft::release_memory();
  EXPECT_TRUE(weft::for_each_p(&cached::add, &empty));
  EXPECT_EQ(empty.stacks, 0u);
  EXPECT_EQ(empty.bytes, 0u);
}
