// select_load_test.cpp: selects under load and in time: none loses a value, locks up, or waits too long or too short.
// weft-test: timeout=120
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "support/support.hpp"
#include "unit/sync/started.hpp"

using namespace weft::test;
using weft::on_default;
using weft::on_recv;
using weft::on_send;
using weft::on_timeout;
namespace self = weft::this_goroutine;

// SELECT-08. One look after the other misses a value that is always in one of the two.
WEFT_TEST(select, with_a_default_sees_all_channels_at_one_moment) {
  const int rounds = scale(100'000, 1'000);
  for (const bool closes : {false, true}) {
    auto start = weft::make_chan<std::array<weft::chan<int>, 2>>(1);
    auto next = weft::make_chan<int>();
    auto other = started([=] {
      for (auto& c : start) {
        if (closes) c[1].close();
        else c[1].send(2);
        static_cast<void>(c[0].try_recv());
        next.send(0);
      }
    });
    int missed = 0;
    for (int i = 0; i < rounds; ++i) {
      auto c1 = weft::make_chan<int>(1), c2 = weft::make_chan<int>(1);
      c1.send(1);
      start.send({c1, c2});
      missed += weft::select(on_recv(c1), on_recv(c2), on_default()) == 2;
      static_cast<void>(next.recv());
    }
    start.close();
    EXPECT_EQ(missed, 0);
    EXPECT_TRUE(ends(other));
  }
}

// SELECT-09
WEFT_TEST(select, of_ten_goroutines_over_four_channels_loses_nothing) {
  const int n = scale(100'000, 1'000);
  const std::array c = {weft::make_chan<int>(0), weft::make_chan<int>(0), weft::make_chan<int>(2), weft::make_chan<int>(3)};
  std::array<std::atomic<int>, 4> received{};
  weft::wait_group done;
  for (std::size_t i = 0; i < 4; ++i) {
    done.go([&, i] {
      for (int k = 0; k < n; ++k) c[i].send(k);
    });
    done.go([&, i] {
      for (int k = 0; k < n; ++k) static_cast<void>(c[i].recv().value()), ++received[i];
    });
  }
  done.go([&] {
    auto open = c;  // nil once all is sent
    std::array<int, 4> sent{};
    for (int left = 4 * n; left > 0; --left) {
      const auto k = static_cast<std::size_t>(weft::select(on_send(open[0], sent[0]), on_send(open[1], sent[1]), on_send(open[2], sent[2]), on_send(open[3], sent[3])));
      if (++sent[k] == n) open[k] = {};
    }
  });
  done.go([&] {
    auto open = c;
    std::array<int, 4> got{};
    for (int left = 4 * n; left > 0; --left) {
      const auto k = static_cast<std::size_t>(weft::select(on_recv(open[0]), on_recv(open[1]), on_recv(open[2]), on_recv(open[3])));
      ++received[k];
      if (++got[k] == n) open[k] = {};
    }
  });
  done.wait();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(received[i], 2 * n) << i;
}

// SELECT-13
WEFT_TEST(select, puts_values_in_the_right_place_after_a_change_of_thread) {
  const with_procs four(4);
  const int n = scale(10'000, 500);
  auto a = weft::make_chan<std::int64_t>(), b = weft::make_chan<std::int64_t>();
  auto big = weft::make_chan<std::string>();
  weft::wait_group load;
  std::atomic<bool> stop{false};
  for (int i = 0; i < 8; ++i) {
    load.go([&] {
      while (!stop) self::yield();
    });
  }
  weft::wait_group senders;
  senders.go([=] {
    for (std::int64_t i = 0; i < n; ++i) a.send(i), self::yield();
  });
  senders.go([=] {
    for (std::int64_t i = 0; i < n; ++i) b.send(-i), self::yield();
  });
  senders.go([=] {
    for (int i = 0; i < n; ++i) big.send("a string that is too long to lie in itself " + std::to_string(i));
  });
  std::int64_t up = 0, down = 0;
  int text = 0;
  for (int i = 0; i < 3 * n; ++i) {
    weft::select(on_recv(a, [&](std::optional<std::int64_t> v) { EXPECT_EQ(v, up++); }), on_recv(b, [&](std::optional<std::int64_t> v) { EXPECT_EQ(v, -down++); }),
                 on_recv(big, [&](std::optional<std::string> v) { EXPECT_EQ(v, "a string that is too long to lie in itself " + std::to_string(text++)); }));
  }
  stop = true;
  senders.wait();
  load.wait();
}

// SELECT-14
WEFT_TEST(select, times_out_not_before_its_time) {
  auto c = weft::make_chan<int>();
  for (int i = 0; i < 20; ++i) {
    const auto d = std::chrono::microseconds(100 * i);
    const auto start = steady::now();
    bool timed_out = false;
    EXPECT_EQ(weft::select(on_recv(c), on_timeout(d, [&] { timed_out = true; }), on_send(c, 1)), 1);
    EXPECT_GE(steady::now() - start, d);
    EXPECT_TRUE(timed_out);
  }
  EXPECT_EQ(weft::select(on_timeout(1ms)), 0) << "a sleep";
  EXPECT_EQ(weft::select(on_timeout(-1s), on_recv(c)), 0);
  const auto start = steady::now();
  EXPECT_EQ(weft::select(on_timeout(start + 3ms), on_recv(c)), 0);
  EXPECT_GE(steady::now() - start, 3ms);
  weft::selector s;
  s.recv(c);
  EXPECT_EQ(s.wait_for(1ms), -1);
  EXPECT_EQ(s.wait_until(steady::now() + 1ms), -1);
}
// SELECT-14
WEFT_TEST(select, that_ends_before_its_time_leaves_no_timer_behind) {
  auto c = weft::make_chan<int>(1), waited = weft::make_chan<int>();
  const auto before = resident_bytes();
  for (int i = 0; i < scale(1'000'000, 20'000); ++i) {
    c.send(i);
    weft::select(on_recv(c), on_timeout(1h));
  }
  const int n = scale(100'000, 5'000);
  auto sender = started([=] {
    for (int i = 0; i < n; ++i) waited.send(i);
  });
  for (int i = 0; i < n; ++i) EXPECT_EQ(weft::select(on_timeout(1h), on_recv(waited)), 1);
  EXPECT_TRUE(ends(sender));
  EXPECT_LT(resident_bytes() - std::min(before, resident_bytes()), (under_sanitizer ? 400u : 50u) << 20);
}

// SELECT-15. Locks in two orders would lock up within a few rounds.
WEFT_TEST(select, of_two_crosswise_never_locks_up) {
  const int rounds = scale(100'000, 2'000);
  auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
  weft::wait_group done;
  std::atomic<int> sent{0}, received{0};
  std::atomic<bool> one_ended{false};
  const auto loop = [&](weft::chan<int> out, weft::chan<int> in) {
    for (int i = 0; i < rounds; ++i) {
      const int k = weft::select(on_send(out, i, [&] { ++sent; }), on_recv(in, [&](std::optional<int> v) {
                                   EXPECT_TRUE(v);
                                   ++received;
                                 }), on_timeout(one_ended ? 0ms : 60'000ms));
      if (k == 2) {
        EXPECT_TRUE(one_ended) << "nobody moves";
        break;
      }
    }
    one_ended = true;
  };
  done.go([&] { loop(a, b); });
  done.go([&] { loop(b, a); });
  done.wait();
  EXPECT_EQ(sent, received);
  EXPECT_GE(sent + received, 2 * rounds - 1);
}

// SELECT-16
WEFT_TEST(select, returns_by_its_timer_though_a_channel_is_always_busy) {
  auto c = weft::make_chan<int>(), after = weft::make_chan<int>(1);
  std::atomic<bool> stop{false};
  weft::wait_group busy;
  for (int i = 0; i < 2; ++i) {
    busy.go([&] {
      while (!stop) weft::select(on_send(c, 1), on_recv(c), on_timeout(10ms));
    });
  }
  auto start = steady::now();
  weft::go([after] {
    self::sleep_for(20ms);
    after.send(1);
  });
  while (weft::select(on_recv(c), on_recv(after)) != 1) {
  }
  EXPECT_GE(steady::now() - start, 20ms);
  EXPECT_LT(steady::now() - start, limit(1s));
  start = steady::now();
  while (weft::select(on_recv(c), on_timeout(start + 20ms)) != 1) {
  }
  EXPECT_GE(steady::now() - start, 20ms);
  EXPECT_LT(steady::now() - start, limit(1s));
  stop = true;
  busy.wait();
}

WEFT_TEST(select, works_on_threads_that_weft_did_not_make) {
  const int n = scale(2'000, 100);
  auto a = weft::make_chan<int>(), b = weft::make_chan<int>(), back = weft::make_chan<int>();
  auto go_on = weft::make_chan<void>();
  plain_thread t([=] {
    EXPECT_EQ(weft::select(on_recv(a), on_recv(b), on_timeout(2ms)), 2);
    EXPECT_EQ(weft::select(on_recv(a), on_recv(b), on_default()), 2);
    go_on.close();
    int sum = 0;
    for (int i = 0; i < 2 * n; ++i) weft::select(on_recv(a, [&](auto v) { sum += *v; }), on_recv(b, [&](auto v) { sum -= *v; }));
    EXPECT_EQ(weft::select(on_send(back, sum), on_recv(weft::chan<int>())), 0);
  });
  auto senders = started([=] {
    static_cast<void>(go_on.recv());
    for (int i = 0; i < n; ++i) {
      if (i < 2) self::sleep_for(5ms);  // the thread waits by then, mostly
      a.send(i + 1), b.send(i);
    }
  });
  EXPECT_EQ(back.recv(), n);
  EXPECT_TRUE(ends(senders));
  t.join();
}

// A select that looked again and again instead of waiting would be seen here.
WEFT_TEST(select, takes_no_time_of_the_processor_while_it_waits) {
  auto c = weft::make_chan<int>(), d = weft::make_chan<int>();
  const auto before = cpu_time();
  weft::select(on_recv(c), on_recv(d), on_timeout(200ms));
  if (under_chaos) return;  // the scheduler itself is busy then
  EXPECT_LT(cpu_time() - before, 100ms);
}
