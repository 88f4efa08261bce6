// retake_test.cpp: goroutines that compute and never call weft, and what the others have of it.
// weft-test: serial=1 timeout=120
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "support/hogs.hpp"
#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {

struct nothing {
  void operator()() const {}
};
using hogs = hogs_that<nothing>;

}  // namespace

// PREEMPT-01. The best of some tries: the machine holds us up, too. Without it this test would not end.
WEFT_TEST(hog, does_not_keep_a_sleeper_from_waking) {
  with_procs one(1);
  steady::duration best = 1h;
  for (int i = 0; i < 50 && best >= 50ms; ++i) {
    const hogs beside(1);
    const auto start = steady::now();
    self::sleep_for(10ms);
    best = std::min(best, steady::now() - start);
    EXPECT_EQ(beside.started(), 1);
  }
  EXPECT_LT(best, limit(100ms));
}

// One that ticks beside hogs goes on ticking: it is not heard once in each 10 ms.
WEFT_TEST(hog, leaves_a_ticker_its_ticks) {
  with_procs one(1);
  const hogs beside(1);
  self::sleep_for(1ms);
  int best = 0;
  for (int i = 0; i < 50 && best < 40; ++i) {
    int ticks = 0;
    for (const auto end = steady::now() + 100ms; steady::now() < end; ++ticks) self::sleep_for(1ms);
    best = std::max(best, ticks);
  }
  EXPECT_GE(best, under_sanitizer ? 10 : 40);
}

// PREEMPT-02
WEFT_TEST(hog, that_waits_for_another_by_spinning_sees_its_turn) {
  with_procs one(1);
  wait_by_spinning(nothing());
}

// PREEMPT-03
WEFT_TEST(hog, has_its_share_beside_others) { expect_fair_shares<hogs>(250ms); }

namespace {
using lanes = std::uint64_t __attribute__((vector_size(32)));
struct checksum {
  lanes a{1, 2, 3, 4}, b{5, 6, 7, 8};
  double x = 1, y = 0.5;
  std::uint64_t i = 0;
  bool operator==(const checksum& o) const {
    for (int k = 0; k < 4; ++k)
      if (a[k] != o.a[k] || b[k] != o.b[k]) return false;
    return x == o.x && y == o.y && i == o.i;
  }
};
template <bool polls>
[[gnu::noinline]] checksum compute(std::uint64_t n) {
  checksum c;
  for (; c.i < n; ++c.i) {
    c.a = c.a * 6364136223846793005u + (c.b ^ c.i);
    c.b = (c.b << 7 | c.b >> 57) + c.a;
    c.x = c.x * 0.999999 + c.y;
    c.y = 1 / (1 + c.x);
    if constexpr (polls)
      if (c.i % 1'024 == 0) weft::poll();
  }
  return c;
}
}  // namespace

// PREEMPT-04. Whoever loses its processor, by force or at a safe point, goes on as if nothing had been.
WEFT_TEST(hog, keeps_its_registers) {
  with_procs one(1);
  const auto n = static_cast<std::uint64_t>(scale(10'000'000, 1'000'000));
  const checksum wanted = compute<false>(n);
  std::atomic<int> right{0};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) done.go([&, i] { right += (i % 2 ? compute<true>(n) : compute<false>(n)) == wanted; });
  done.wait();
  EXPECT_EQ(right, 4);
}

// PREEMPT-05. Hogs in the allocator, in stdio and in the unwinder, while the world is stopped again and again.
WEFT_TEST(hog, may_be_anywhere_when_it_loses_its_processor) {
  with_procs one(1);
  std::FILE* null = std::fopen("/dev/null", "w");
  ASSERT_NE(null, nullptr);
  std::atomic<bool> stop{false};
  std::atomic<int> rounds{0};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&, i] {
      for (int k = 0; !stop; ++k, ++rounds) {
        std::vector<std::unique_ptr<std::string>> held;
        for (int s = 1; s < 20; ++s) held.push_back(std::make_unique<std::string>(static_cast<std::size_t>(s * 37), 'x'));
        std::fprintf(null, "%d %zu\n", k, held.size());
        try {
          throw std::runtime_error(*held.back());
        } catch (const std::exception& e) {
          if (std::string_view(e.what()) != *held.back()) ADD_FAILURE() << i;
        }
      }
    });
  }
  for (const auto end = steady::now() + 500ms; steady::now() < end;) {
    weft::set_procs(2), weft::set_procs(1);
    self::sleep_for(1ms);
  }
  stop = true;
  done.wait();
  std::fclose(null);
  EXPECT_GT(rounds, 0);
}

WEFT_TEST(hog, without_a_processor_is_one_of_a_few) { expect_no_more_than_a_few_at_once<hogs>(); }

// SCHED-21. The world stops without them, and what they had on their queues is run.
WEFT_TEST(hog, does_not_keep_the_world_from_stopping) {
  for (int round = 0; round < 3; ++round) {
    with_procs four(4);
    std::atomic<int> ran{0};
    weft::wait_group done;
    {
      const hogs beside(4);
      for (int i = 0; i < 1'000; ++i) {
        done.go([&] {
          for (int k = 0; k < 3; ++k) self::yield();
          ++ran;
        });
      }
      for (const int n : {1, 4, 2, 3}) {
        const auto start = steady::now();
        weft::set_procs(n);
        EXPECT_LT(steady::now() - start, limit(2s));
        EXPECT_EQ(weft::procs(), n);
      }
      done.wait();
    }
    EXPECT_EQ(ran, 1'000);
  }
}

// With one of everything that needs the P that is not there.
WEFT_TEST(hog, may_use_all_of_weft_when_it_has_lost_its_processor) {
  with_procs one(1);
  weft::wait_group done;
  auto c = weft::make_chan<int>(1);
  weft::mutex m;
  std::atomic<int> sum{0}, steps{0};
  std::atomic<bool> stop{false};
  weft::wait_group others;
  others.go([&] {  // so that there is somebody to take it for
    while (!stop) ++steps, self::yield();
  });
  // Computes until it has been seen to have lost its P: at procs 1 others take a step only then.
  const auto lose_it = [&] {
    for (const int before = steps; steps == before;) {
    }
  };
  const auto each = [&](auto f) {
    done.go([&, f] {
      lose_it();
      f();
    });
    done.wait();
  };
  each([&] { c.send(1); });
  each([&] { sum += *c.recv(); });
  each([&] { self::sleep_for(1ms); });
  each([&] { self::yield(); });
  each([&] { weft::poll(); });
  each([&] {
    const std::lock_guard hold(m);
    lose_it();
    ++sum;
  });
  each([&] {
    weft::wait_group inner;
    inner.go([&] { ++sum; });
    inner.wait();
  });
  each([&] { sum += weft::async([] { return 1; }).join(); });
  each([&] { weft::blocking([&] { ++sum; }); });
  each([&] { weft::system_call([&] { ++sum; }); });
  each([&] {
    self::lock_thread();
    self::yield();
    self::unlock_thread();
    ++sum;
  });
  each([&] { weft::set_procs(1); });
  each([&] { EXPECT_FALSE(c.recv_for(1ms)); });
  each([&] {
    try {
      throw 1;
    } catch (int i) {
      lose_it();
      self::yield();
      sum += i;
    }
  });
  each([] { self::exit(); });
  each([] {});
  stop = true;
  others.wait();
  EXPECT_EQ(sum, 8);
}

// Who lost its processor while it computed, and then blocks, does not compute any more: it must not count against the few that may.
WEFT_TEST(hog, that_blocks_afterwards_does_not_use_up_the_protection_from_others) {
  with_procs one(1);
  std::atomic<int> in{0};
  std::atomic<bool> release{false};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      spin(60ms);
      weft::blocking([&] {
        ++in;
        while (!release) ::usleep(1'000);
      });
    });
  }
  EXPECT_TRUE(eventually([&] { return in == 4; }, 30s));
  steady::duration best = 1h;
  for (int i = 0; i < 50 && best >= 50ms; ++i) {
    const hogs beside(1);
    const auto start = steady::now();
    self::sleep_for(5ms);
    best = std::min(best, steady::now() - start);
  }
  release = true;
  done.wait();
  EXPECT_LT(best, limit(100ms));
}

WEFT_CHILD(longslice) {
  return weft::run([] {
    weft::wait_group done;
    done.add(1);
    weft::go({.name = "the_busy_one"}, [&] {
      spin(150ms);
      done.done();
    });
    done.wait();
  });
}
TEST(hog, is_named_on_request) {
  auto r = child("longslice", {.env = {"WEFT_DEBUG=longslice=20"}});
  for (int tries = 0; tries < 10 && r.err.empty(); ++tries) r = child("longslice", {.env = {"WEFT_DEBUG=longslice=20"}});  // the machine may hold up the monitor
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_TRUE(contains(r.err, "weft: goroutine 2 the_busy_one, started by goroutine 1, has run for "));
  EXPECT_TRUE(contains(r.err, " ms without a call of weft\n"));
  EXPECT_EQ(child("longslice").err, "");
}

WEFT_CHILD(schedtrace) {
  return weft::run([] {
    const hogs one(1);
    self::sleep_for(200ms);
  });
}
TEST(schedtrace, prints_a_line_each_time) {
  const auto start = steady::now();
  const auto r = child("schedtrace", {.env = {"WEFT_DEBUG=schedtrace=10", "WEFT_PROCS=3"}});
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_TRUE(starts_with(r.err, "SCHED 0ms: gomaxprocs=3 idleprocs="));
  const auto lines = std::count(r.err.begin(), r.err.end(), '\n');
  EXPECT_GE(lines, 3);
  EXPECT_LE(lines, (steady::now() - start) / 10ms + 2);
  const auto detail = child("schedtrace", {.env = {"WEFT_DEBUG=schedtrace=50,scheddetail=1", "WEFT_PROCS=3"}});
  EXPECT_TRUE(ended_with(detail, 0));
  EXPECT_TRUE(contains(detail.err, "\n  P2: status="));
}
