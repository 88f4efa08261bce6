// sleep_test.cpp: sleeping. Never too short is exact; never too long depends on who else uses the machine, so the bounds
// above are tried several times and one quiet moment is enough.
// weft-test: serial=1 emulated=0
#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

// TIMER-01
WEFT_TEST(sleep, is_never_shorter_than_asked_for) {
  weft::wait_group done;
  for (const auto d : {1ns, 100ns, 1'000ns, 50'000ns, 1'000'000ns, 5'000'000ns, 20'000'000ns}) {
    for (int i = 0; i < 10; ++i) {
      done.go([d] {
        const auto start = steady::now();
        self::sleep_for(d);
        EXPECT_GE(steady::now() - start, d);
      });
    }
  }
  done.wait();
}

// TIMER-01
WEFT_TEST(sleep, of_zero_or_less_returns_at_once) {
  const auto parks = weft::stats().parks;
  for (int i = 0; i < 1'000; ++i) {
    self::sleep_for(0s);
    self::sleep_for(-1h);
    self::sleep_for(std::chrono::nanoseconds::min());
    self::sleep_until(steady::now() - 1s);
    self::sleep_until(steady::time_point::min());
  }
  EXPECT_LT(weft::stats().parks - parks, 500u);
}

WEFT_CHILD(longest_sleep) {
  return weft::run([] {
    static std::atomic<int> woke{0};
    weft::go([] { self::sleep_for(std::chrono::nanoseconds::max()), ++woke; });
    weft::go([] { self::sleep_for(std::chrono::nanoseconds::max() - 1ns), ++woke; });
    weft::go([] { self::sleep_for(std::chrono::hours::max()), ++woke; });
    weft::go([] { self::sleep_for(std::chrono::duration<double>(1e300)), ++woke; });
    weft::go([] { self::sleep_until(steady::time_point::max()), ++woke; });
    self::sleep_for(100ms);
    return woke.load();
  });
}
// TIMER-01. A sum that wraps round would wake at once.
TEST(sleep, of_the_longest_time_does_not_wrap_round) { EXPECT_TRUE(ended_with(child("longest_sleep"), 0)); }

// TIMER-02
WEFT_TEST(sleep, of_many_wakes_soon_after_its_time) {
  const int n = scale_alive(1'000);
  std::string seen;
  for (int attempt = 0; attempt < 50; ++attempt) {
    std::atomic<std::int64_t> sum_ns{0}, worst_ns{0};
    weft::wait_group done;
    rng r(static_cast<std::uint64_t>(attempt));
    for (int i = 0; i < n; ++i) {
      done.go([&, d = std::chrono::microseconds(r.below(100'000))] {
        const auto due = steady::now() + d;
        self::sleep_for(d);
        const std::int64_t late = std::chrono::nanoseconds(steady::now() - due).count();
        sum_ns += late;
        for (std::int64_t w = worst_ns; late > w && !worst_ns.compare_exchange_weak(w, late);) {
        }
      });
    }
    done.wait();
    const std::chrono::nanoseconds mean(sum_ns / n), worst(worst_ns);
    if (mean < limit(1ms) && worst < limit(20ms)) return;
    seen += std::to_string(mean.count() / 1000) + " us late in the mean and " + std::to_string(worst.count() / 1000) + " at worst\n";
  }
  ADD_FAILURE() << seen;
}

// TIMER-04, by sleeps: the timers proper have tests of their own.
WEFT_TEST(sleep, wakes_in_the_order_of_the_times) {
  constexpr std::array slots = {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
  for (int attempt = 1;; ++attempt) {
    std::mutex lock;
    std::vector<int> woke;
    weft::wait_group done;
    for (const int slot : slots) {
      done.go([&, slot] {
        self::sleep_for(slot * 20ms);
        const std::lock_guard hold(lock);
        woke.push_back(slot);
      });
    }
    done.wait();
    ASSERT_EQ(woke.size(), slots.size());
    // A thread that the kernel holds up for a whole slot may bring a goroutine late.
    if (std::is_sorted(woke.begin(), woke.end())) return;
    ASSERT_LT(attempt, 50) << testing::PrintToString(woke);
  }
}

// TIMER-03, by sleeps: very many of them, of no length to speak of.
WEFT_TEST(sleep, of_next_to_nothing_may_be_had_a_hundred_thousand_times) {
  const int each = scale(10'000, 200);
  weft::wait_group done;
  for (int i = 0; i < 10; ++i) {
    done.go([=] {
      for (int k = 0; k < each; ++k) self::sleep_for(1ns);
    });
  }
  done.wait();
}

WEFT_TEST(sleep, until_a_time_on_either_clock) {
  const auto steady_end = steady::now() + 5ms;
  self::sleep_until(steady_end);
  EXPECT_GE(steady::now(), steady_end);
  const auto system_end = std::chrono::system_clock::now() + 5ms;
  self::sleep_until(system_end);
  EXPECT_GE(std::chrono::system_clock::now(), system_end);
}

// TIMER-12's sleep: runnable goroutines without end may not keep the timers from being looked at.
WEFT_TEST(sleep, ends_though_others_never_stop) {
  std::atomic<bool> stop{false};
  weft::wait_group done;
  auto a = weft::make_chan<int>();
  done.go([&] {
    while (!stop) a.send(1);
    a.close();
  });
  done.go([&] {
    while (a.recv()) {
    }
  });
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      while (!stop) self::yield();
    });
  }
  for (int i = 0; i < 20; ++i) {
    const auto start = steady::now();
    self::sleep_for(1ms);
    EXPECT_LT(steady::now() - start, limit(1s));
  }
  stop = true;
  done.wait();
}

// An earlier timer, set while all sleep until a later one, has to shorten that sleep.
WEFT_TEST(sleep, that_is_shorter_ends_first_though_it_began_later) {
  std::atomic<bool> long_ended{false};
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::wait_group done;
  done.go([&, &ctx = ctx] { long_ended = self::sleep_for(1h, ctx).has_value(); });
  self::sleep_for(20ms);
  for (int i = 0; i < 10; ++i) self::sleep_for(1ms);
  EXPECT_FALSE(long_ended);
  cancel();
  done.wait();
}

// A sleeper's processor is busy: another one must look at its timers.
WEFT_TEST(sleep, ends_though_its_processor_is_busy) {
  with_procs two(2);
  std::atomic<bool> woke{false};
  weft::wait_group done;
  std::atomic<int> asleep{0};
  for (int i = 0; i < 10; ++i) {
    done.go([&] {
      ++asleep;
      self::sleep_for(5ms);
      woke = true;
    });
  }
  while (asleep < 10) self::yield();
  self::yield();
  const auto start = steady::now();
  while (!woke) ASSERT_LT(steady::now() - start, limit(10s));
  done.wait();
}

// A processor looks at its timers each 61st lap. Where laps are long the monitor tells it to look sooner.
WEFT_TEST(sleep, ends_though_laps_are_long) {
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int i = 0; i < 4 * weft::procs(); ++i) {
    done.go([&] {
      while (!stop) {
        const auto until = steady::now() + 3ms;
        while (steady::now() < until) {
        }
        weft::this_goroutine::yield();
      }
    });
  }
  const auto most = limit(80ms) * std::max(1, weft::procs() / static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  auto best = steady::duration::max();
  for (int i = 0; i < 50 && best >= most; ++i) {
    const auto begin = steady::now();
    weft::this_goroutine::sleep_for(5ms);
    best = std::min(best, steady::now() - begin);
  }
  stop = true;
  done.wait();
  EXPECT_LT(best, most);
}

WEFT_TEST(sleep, of_random_lengths_by_a_crowd_ends_for_all) {
  const int n = scale_alive(20'000);
  std::atomic<int> woke{0};
  rng r(5);
  for (int i = 0; i < n; ++i) weft::go([&, d = std::chrono::microseconds(r.below(200'000))] { self::sleep_for(d), ++woke; });
  EXPECT_TRUE(eventually([&] { return woke == n; }, 20s));
}
