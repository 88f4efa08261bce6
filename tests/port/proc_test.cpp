// proc_test.cpp: Go's runtime/proc_test.go, where it needs neither select nor preemption. See README.md.
#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

// TestYieldProgress: who polls and yields sees what another does.
WEFT_TEST(proc_port, TestYieldProgress) {
  auto c = weft::make_chan<bool>();
  auto cack = weft::make_chan<bool>();
  weft::go([=] {
    while (!c.try_recv()) self::yield();
    cack.send(true);
  });
  self::sleep_for(1ms);
  c.send(true);
  EXPECT_EQ(cack.recv(), true);
}

namespace {
void parallelism(bool nested, bool with_listener) {
  with_procs four(4);
  weft::net::listener l;
  if (with_listener) {
    l = weft::net::listen("tcp", "127.0.0.1:0");
    weft::go([l]() mutable {
      std::error_code ec;
      static_cast<void>(l.accept(ec));
    });
  }
  constexpr int p = 4;
  for (int attempt = 0; attempt < 10; ++attempt) {
    auto done = weft::make_chan<bool>();
    std::atomic<std::uint32_t> x{0};
    const auto work = [&x, done](std::uint32_t me) {
      for (std::uint32_t i = 0; i < 3; ++i) {
        while (x.load() != p * i + me) {
        }
        ++x;
      }
      done.send(true);
    };
    for (std::uint32_t k = 0; k < p; k += nested ? 2 : 1) {
      weft::go([=] {
        if (nested) weft::go([=] { work(k + 1); });
        work(k);
      });
    }
    for (int k = 0; k < p; ++k) static_cast<void>(done.recv());
  }
  if (with_listener) l.close();
}
}  // namespace
// TestGoroutineParallelism
WEFT_TEST(proc_port, TestGoroutineParallelism) { parallelism(false, false); }
// TestGoroutineParallelism2, its four ways
WEFT_TEST(proc_port, TestGoroutineParallelism2) {
  parallelism(true, false);
  self::sleep_for(20ms);  // all have gone idle
  parallelism(true, false);
  parallelism(false, true);
  parallelism(true, true);
}

// TestPingPongHog: hogs and a light pair share one processor by time, not by turns.
WEFT_TEST(proc_port, TestPingPongHog) {
  with_procs one(1);
  auto done = std::make_shared<std::atomic<bool>>(false);
  weft::wait_group ended;
  std::atomic<std::int64_t> hog_count{0}, light_count{0};
  const auto pair = [&](int steps, std::atomic<std::int64_t>& count) {
    auto a = weft::make_chan<bool>(), b = weft::make_chan<bool>();
    const auto run = [=, &count](weft::chan<bool> in, weft::chan<bool> out) {
      while (in.recv()) {
        for (int i = 0; i < steps; ++i) {
          asm volatile("" : : : "memory");
        }
        count += steps;
        if (*done) break;
        out.send(true);
      }
      out.close();
    };
    ended.go(run, a, b);
    ended.go(run, b, a);
    a.send(true);
  };
  // Started by goroutines, since the first send waits.
  ended.go([&] { pair(under_sanitizer ? 100'000 : 1'000'000, hog_count); });
  ended.go([&] { pair(1'000, light_count); });
  self::sleep_for(300ms);
  *done = true;
  ended.wait();
  constexpr double factor = 20;
  const double hogs = static_cast<double>(hog_count), lights = static_cast<double>(light_count);
  if (under_chaos) return;  // a pair is no slice then
  EXPECT_LT(hogs, lights * factor);
  EXPECT_LT(lights, hogs * factor);
}

// TestNumGoroutine
WEFT_TEST(proc_port, TestNumGoroutine) {
  EXPECT_EQ(weft::goroutines(), 1);
  auto c = weft::make_chan<int>();
  for (int i = 0; i < 10; ++i) weft::go([=] { static_cast<void>(c.recv()); });
  EXPECT_EQ(weft::goroutines(), 11);
  c.close();
  EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; }));
}

// TestSchedLocalQueueSteal and its kin look into the queues; this is what they look for, seen from outside: chains of
// starts on many processors, each goroutine counted once.
WEFT_TEST(proc_port, TestSchedulerStress) {
  for (const int procs : {1, 2, 4}) {
    with_procs p(procs);
    const int n = scale(30'000, 500);
    std::vector<std::atomic<std::uint8_t>> ran(static_cast<std::size_t>(n));
    weft::wait_group done;
    for (int i = 0; i < n; ++i) {
      done.go([&, i] {
        ++ran[static_cast<std::size_t>(i)];
        if (i % 5 == 0) self::yield();
      });
    }
    done.wait();
    for (auto& r : ran) ASSERT_EQ(r, 1);
  }
}

// A matrix product by goroutines that split it, as in BenchmarkMatmult: futures by channels.
namespace {
using matrix = std::vector<std::vector<double>>;
void multiply(weft::sender<bool> done, int i, int j, int size, int n, const matrix& a, const matrix& b, matrix& c, int threshold) {
  if (size > threshold) {
    const int half = size / 2;
    auto parts = weft::make_chan<bool>(4);
    for (int k = 0; k < 4; ++k)
      weft::go(&multiply, weft::sender<bool>(parts), i + (k / 2) * half, j + (k % 2) * half, half, n, std::cref(a), std::cref(b), std::ref(c), threshold);
    for (int k = 0; k < 4; ++k) static_cast<void>(parts.recv());
  } else {
    for (int x = i; x < i + size; ++x)
      for (int y = j; y < j + size; ++y)
        for (int k = 0; k < n; ++k)
          c[static_cast<std::size_t>(x)][static_cast<std::size_t>(y)] += a[static_cast<std::size_t>(x)][static_cast<std::size_t>(k)] * b[static_cast<std::size_t>(k)][static_cast<std::size_t>(y)];
  }
  done.send(true);
}
}  // namespace
WEFT_TEST(proc_port, Matmult) {
  constexpr int n = 64;
  matrix a(n, std::vector<double>(n)), b = a, c = a;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) a[i][j] = static_cast<double>(i + j), b[i][j] = i == j ? 2 : 0;
  auto done = weft::make_chan<bool>(1);
  multiply(done, 0, 0, n, n, a, b, c, 4);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) ASSERT_EQ(c[i][j], 2 * a[i][j]);
}

// TestStackGrowth's demand, without growth: deep on a stack, then parked there, then back.
WEFT_TEST(proc_port, TestDeepThenPark) {
  struct deep {
    [[gnu::noinline]] static int down(int n, weft::chan<int> c) {
      volatile int here = n;
      if (n == 0) return c.recv().value();
      const int r = down(n - 1, c);
      return r + (here == n ? 1 : 1'000);
    }
  };
  auto c = weft::make_chan<int>();
  std::vector<weft::task<int>> tasks;
  const int depth = under_sanitizer ? 100 : 500;
  for (int i = 0; i < 50; ++i) tasks.push_back(weft::async([=] { return deep::down(depth, c); }));
  for (int i = 0; i < 50; ++i) c.send(1);
  for (auto& t : tasks) EXPECT_EQ(t.join(), depth + 1);
}
