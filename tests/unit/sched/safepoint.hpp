// safepoint.hpp: what the tests of both kinds of safe points share. Everything in here has points, as a user's target has; it sees
// weft's inside to raise requests without waiting for the monitor.
#pragma once

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "sched/retake.hpp"
#include "support/hogs.hpp"
#include "support/support.hpp"

#if defined(__clang__)
#define WEFT_TEST_NO_POINTS [[gnu::noinline]] __attribute__((no_sanitize("coverage")))
#else
#define WEFT_TEST_NO_POINTS [[gnu::noinline, gnu::no_instrument_function]]
#endif

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {

// As init_thieves() has it where the kernel says no.
const bool without_membarrier = [] {
  if (std::getenv("WITH_MEMBARRIER")) return false;
  weft::init_thieves();
  if (!weft::thieves.no_membarrier) weft::thieves.count.fetch_add(1);
  return weft::thieves.no_membarrier = true;
}();

/// A function, and so a point with either compiler. noipa: with neither is it a part of its caller, or changed for it.
#if defined(__clang__)
[[gnu::noinline]]
#else
[[gnu::noipa]]
#endif
void point() {
  asm volatile("");
}

const int points_of_a_static_initialiser = [] {
  point();
  return 1;
}();

/// Somebody wants the calling goroutine's processor, from now on.
WEFT_TEST_NO_POINTS void request() {
  weft::thread_state* t = weft::self();
  if (weft::m* mp = t->mp; mp && mp->curg) {
    const weft::in_runtime inside(mp);
    if (weft::p* pp = mp->pp) {
      pp->attention.fetch_or(weft::attention_preempt, std::memory_order_release);  // [mo:attention]
      const weft::lock_guard hold(weft::sched.lock);
      pp->give_up_at = weft::laps_of(pp);
    }
  }
  __atomic_store_n(&t->wanted, 1u, __ATOMIC_RELAXED);
}

struct to_point {
  void operator()() const { point(); }
};
using hogs = hogs_that<to_point>;

using lanes = std::uint64_t __attribute__((vector_size(16)));
struct checksum {
  lanes a{1, 2}, b{3, 4};
  double x = 1, y = 0.5;
  std::uint64_t i = 0;
  bool operator==(const checksum& o) const { return a[0] == o.a[0] && a[1] == o.a[1] && b[0] == o.b[0] && b[1] == o.b[1] && x == o.x && y == o.y && i == o.i; }
};
[[gnu::noinline]] inline checksum compute(std::uint64_t n) {
  checksum c;
  for (; c.i < n; ++c.i) {
    c.a = c.a * 6364136223846793005u + (c.b ^ c.i);
    c.b = (c.b << 7 | c.b >> 57) + c.a;
    c.x = c.x * 0.999999 + c.y;
    c.y = 1 / (1 + c.x);
    if (c.i % 64 == 0) point();
  }
  return c;
}

struct arguments {
  std::uint64_t sum = 0;
  double weighted = 0;
};
#if defined(__clang__)
[[gnu::noinline]]
#else
[[gnu::noipa]]
#endif
inline arguments take(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d, std::uint64_t e, std::uint64_t f, std::uint64_t g, double h, double i,
                      double j, double k, double l, double m, double n, double o) {
  return {a + 3 * b + 5 * c + 7 * d + 11 * e + 13 * f + 17 * g, h + 2 * i + 4 * j + 8 * k + 16 * l + 32 * m + 64 * n + 128 * o};
}

#if defined(__x86_64__)
using lanes256 = std::uint64_t __attribute__((vector_size(32)));
using lanes512 = std::uint64_t __attribute__((vector_size(64)));
__attribute__((target("avx2"), noinline)) inline bool take_wide(lanes256 a, lanes256 b) {
  a += b;
  return a[0] == 6 && a[1] == 8 && a[2] == 10 && a[3] == 12;
}
template <class F>
__attribute__((target("avx2"), noinline)) bool pass_wide(F request) {
  const lanes256 a{1, 2, 3, 4}, b{5, 6, 7, 8};
  request();
  return take_wide(a, b);
}
__attribute__((target("avx512f"), noinline)) inline bool take_wider(lanes512 a, lanes512 b) {
  a += b;
  return a[0] == 10 && a[1] == 12 && a[2] == 14 && a[3] == 16 && a[4] == 18 && a[5] == 20 && a[6] == 22 && a[7] == 24;
}
template <class F>
__attribute__((target("avx512f"), noinline)) bool pass_wider(F request) {
  const lanes512 a{1, 2, 3, 4, 5, 6, 7, 8}, b{9, 10, 11, 12, 13, 14, 15, 16};
  request();
  return take_wider(a, b);
}
#endif

/// Calls that carry something in every register there is for it, each to a point at which `request` has something done.
template <class F>
void pass_arguments(F request) {
  const auto n = static_cast<std::uint64_t>(scale(2'000, 200));
  for (std::uint64_t i = 0; i < n; ++i) {
    const auto x = static_cast<double>(i);
    request();
    const arguments r = take(i, i + 1, i + 2, i + 3, i + 4, i + 5, i + 6, x, x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7);
    EXPECT_EQ(r.sum, 57 * i + 245);
    EXPECT_EQ(r.weighted, 255 * x + 1538);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && !pass_wide(request)) ADD_FAILURE() << "AVX";
    if (__builtin_cpu_supports("avx512f") && !pass_wider(request)) ADD_FAILURE() << "AVX-512";
#endif
    self::yield();  // has a processor again
  }
}

/// A handler with points, on the goroutine's stack or on one of its own, in which a request is found; the goroutine goes on afterwards.
inline void in_a_signal_handler(int flags) {
  static std::atomic<int> handled{0};
  struct sigaction action {}, before;
  action.sa_handler = [](int) { request(), point(), ++handled; };
  action.sa_flags = flags;
  ::sigaction(SIGUSR1, &action, &before);
  weft::wait_group done;
  const int were = handled;
  done.go([] {
    for (int i = 0; i < 100; ++i) {
      ::raise(SIGUSR1);
      self::yield();
    }
  });
  done.wait();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(handled, were + 100);
}

}  // namespace
