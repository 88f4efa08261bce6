// timer_test.cpp: timers, tickers and functions that run later. Never too early is exact; never too late is tried several times.
// weft-test: serial=1 emulated=0
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <weft/test/bubble.hpp>
#include <weft/timer.hpp>

#include "support/support.hpp"

using namespace weft::test;
using weft::errc;

namespace {

/// Tries something that a busy machine may spoil until it comes out well once.
template <class Try>
void in_a_quiet_moment(Try attempt) {
  std::string seen;
  for (int i = 0; i < 10; ++i) {
    const std::string wrong = attempt();
    if (wrong.empty()) return;
    seen += wrong + "\n";
  }
  ADD_FAILURE() << seen;
}

template <class F>
void expect_panic(const char* text, F f) {
  try {
    f();
    ADD_FAILURE() << "no panic: " << text;
  } catch (const weft::panic& p) {
    EXPECT_STREQ(p.what(), text);
  }
}

}  // namespace

// TIMER-03
WEFT_TEST(timer, delivers_once_the_time_at_which_it_was_due) {
  const auto start = steady::now();
  const weft::timer t(5ms);
  const auto at = t.c.recv();
  ASSERT_TRUE(at);
  EXPECT_GE(*at, start + 5ms);
  EXPECT_LE(*at, steady::now());
  EXPECT_EQ(t.c.try_recv().error(), errc::would_block);
  EXPECT_EQ(t.c.recv_for(2ms).error(), errc::timed_out);
  const auto again = steady::now();
  EXPECT_GE(*weft::after(2ms).recv(), again + 2ms);
  EXPECT_GE(*weft::after(-1s).recv(), again);
}

// TIMER-03
WEFT_TEST(timer, of_no_duration_delivers_at_once) {
  const int n = scale(1'000'000, 20'000);
  const auto start = steady::now();
  for (int i = 0; i < n; ++i) ASSERT_TRUE(weft::after(0s).recv());
  EXPECT_LT(steady::now() - start, limit(2s));
}

// TIMER-04
WEFT_TEST(timer, fire_in_the_order_of_their_times) {
  constexpr std::array slots{5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
  constexpr auto unit = 20ms;
  in_a_quiet_moment([&]() -> std::string {
    const auto results = weft::make_chan<std::pair<int, steady::time_point>>(slots.size());
    const auto start = steady::now();
    for (const int slot : slots) {
      weft::go([=] {
        const auto c = weft::after(slot * unit);
        const auto at = c.recv();
        results.send({slot, *at});
      });
    }
    std::vector<int> order;
    std::string wrong;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto [slot, at] = *results.recv();
      order.push_back(slot);
      EXPECT_GE(at, start + slot * unit);
      if (steady::now() > start + (slot + 10) * unit) wrong = "slot " + std::to_string(slot) + " came late";
    }
    if (!std::is_sorted(order.begin(), order.end())) wrong = "not in order";
    return wrong;
  });
}

// TIMER-04, for functions too.
WEFT_TEST(after_func, starts_in_the_order_of_their_times) {
  const with_procs one(1);
  std::vector<int> order;
  weft::wait_group done;
  for (const int i : {3, 1, 2, 0, 4}) {
    done.add();
    weft::after_func(std::chrono::milliseconds(i), [&, i] { order.push_back(i), done.done(); });
  }
  const auto until = steady::now() + 6ms;
  while (steady::now() < until) spin(100us);  // all due when somebody looks
  done.wait();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

// TIMER-05
WEFT_TEST(timer, stop_says_whether_it_prevented_the_firing) {
  const weft::timer running(1h), expired(0s), received(0s);
  EXPECT_TRUE(running.stop());
  EXPECT_FALSE(running.stop());
  EXPECT_TRUE(expired.stop());  // nobody has received
  EXPECT_FALSE(expired.stop());
  EXPECT_TRUE(received.c.recv());
  EXPECT_FALSE(received.stop());
}

// TIMER-06
WEFT_TEST(timer, leaves_no_value_of_an_earlier_setting) {
  const weft::timer t(0s);
  t.stop();
  EXPECT_EQ(t.c.try_recv().error(), errc::would_block);
  t.reset(0s);
  t.reset(1h);
  EXPECT_EQ(t.c.try_recv().error(), errc::would_block);
  const auto before = steady::now();
  t.reset(1ms);
  EXPECT_GE(*t.c.recv(), before + 1ms);
  const weft::ticker k(1ns);
  k.stop();
  EXPECT_EQ(k.c.try_recv().error(), errc::would_block);
}

// TIMER-07
WEFT_TEST(timer, channels_look_unbuffered) {
  const weft::timer t(0s);
  const weft::ticker k(1ns);
  EXPECT_EQ(t.c.size(), 0u);
  EXPECT_EQ(t.c.capacity(), 0u);
  EXPECT_EQ(k.c.size(), 0u);
  EXPECT_EQ(k.c.capacity(), 0u);
  EXPECT_TRUE(t.c.try_recv());
}

// TIMER-08
WEFT_TEST(timer, reset_returns_as_stop_and_fires_again) {
  const weft::timer t(1h);
  EXPECT_TRUE(t.reset(0s));
  EXPECT_TRUE(t.c.recv());
  EXPECT_FALSE(t.reset(0s));
  EXPECT_TRUE(t.c.recv());
  EXPECT_FALSE(t.stop());
  EXPECT_FALSE(t.reset(1h));
  EXPECT_TRUE(t.reset(1ms));
  EXPECT_TRUE(t.c.recv());
  for (int i = 0; i < scale(1'000, 100); ++i) {  // to times in the past, while others wait for it
    const weft::timer p(1h);
    weft::wait_group got;
    got.go([&] { EXPECT_TRUE(p.c.recv()); });
    for (int k = 0; k < 10; ++k) p.reset(std::chrono::nanoseconds(-k));
    got.wait();
  }
}

// TIMER-08: a receiver that waits already goes by the new time, sooner or later than the old one.
WEFT_TEST(timer, reset_reaches_those_that_wait) {
  const weft::timer t(1h);
  weft::wait_group got;
  std::atomic<int> n{0};
  got.go([&] {
    EXPECT_TRUE(t.c.recv());
    ++n;
  });
  got.go([&] {
    EXPECT_EQ(weft::select(weft::on_recv(t.c), weft::on_recv(weft::after(1h))), 0);
    ++n;
  });
  weft::this_goroutine::sleep_for(1ms);
  t.reset(1ms);
  EXPECT_TRUE(eventually([&] { return n == 1; }));  // a value that is not taken yet would be lost
  t.reset(0s);  // one value for each
  got.wait();
  in_a_quiet_moment([]() -> std::string {
    const weft::timer later(2ms);
    const auto start = steady::now();
    steady::time_point at;
    weft::wait_group one;
    one.go([&] { at = *later.c.recv(); });
    weft::this_goroutine::yield();
    const bool in_time = later.reset(8ms);
    one.wait();
    if (!in_time) return "fired within 2 ms of a yield";
    EXPECT_GE(at, start + 8ms);
    return "";
  });
}

// TIMER-09
WEFT_TEST(timer, stop_and_reset_tell_whether_a_value_comes) {
  weft::wait_group all;
  for (int i = 0; i < scale_alive(1'000) / (under_sanitizer ? 10 : 1); ++i) {
    all.go([i] {
      for (int k = 0; k < scale(100, 10); ++k) {
        const weft::timer one(1ms), two(1ms);
        const auto other = [&](const weft::timer& t) {
          const bool stopped = i % 2 ? t.stop() : t.reset(1h);
          if (stopped) { EXPECT_FALSE(t.c.try_recv()); }
          else { EXPECT_TRUE(t.c.recv()); }
        };
        weft::select(weft::on_recv(one.c, [&] { other(two); }), weft::on_recv(two.c, [&] { other(one); }));
      }
    });
  }
  EXPECT_TRUE(all.wait_for(60s));
}

// TIMER-10
WEFT_TEST(after_func, runs_in_a_goroutine_of_its_own) {
  const auto start = steady::now();
  const auto ran = weft::make_chan<std::uint64_t>(1);
  const weft::timer t = weft::after_func(2ms, [ran] { ran.send(weft::this_goroutine::id()); });
  EXPECT_FALSE(t.c);
  EXPECT_NE(ran.recv(), weft::this_goroutine::id());
  EXPECT_GE(steady::now(), start + 2ms);
  EXPECT_FALSE(t.stop());
  EXPECT_FALSE(t.reset(0s));
  EXPECT_TRUE(ran.recv());
  EXPECT_FALSE(t.reset(1h));
  EXPECT_TRUE(t.stop());
  EXPECT_FALSE(t.stop());
  const auto go_on = weft::make_chan<void>(), started = weft::make_chan<void>();
  const weft::timer slow = weft::after_func(0s, [=] { started.send(), go_on.recv(); });
  started.recv();
  EXPECT_FALSE(slow.stop());  // and does not wait for it
  go_on.send();
}

// TIMER-10: what is stopped, or has run, is destroyed with the last who has it.
WEFT_TEST(after_func, destroys_its_function) {
  const auto before = counted::alive.load();
  {
    const weft::timer t = weft::after_func(1h, [c = counted(1)] { static_cast<void>(c); });
    EXPECT_EQ(counted::alive.load(), before + 1);
    t.stop();
  }
  EXPECT_EQ(counted::alive.load(), before);
  weft::after_func(0s, [c = counted(1)] { static_cast<void>(c); });
  EXPECT_TRUE(eventually([&] { return counted::alive.load() == before; }));
  for (int i = 0; i < scale(500, 50); ++i) {  // in a race
    std::atomic<int> ran{0};
    const weft::timer t = weft::after_func(std::chrono::microseconds(i % 20), [&, c = counted(1)] { static_cast<void>(c), ++ran; });
    for (int k = 0; k < i % 7; ++k) weft::this_goroutine::yield();
    const bool stopped = t.stop();
    if (stopped) { EXPECT_EQ(ran, 0); }
    else { EXPECT_TRUE(eventually([&] { return ran == 1; })); }
  }
  EXPECT_TRUE(eventually([&] { return counted::alive.load() == before; }));
}

namespace {
void chain(int left, const weft::chan<void>& done) {
  if (left == 0) return done.send();
  weft::after_func(0s, [=] { chain(left - 1, done); });
}
}  // namespace

// TIMER-11
WEFT_TEST(after_func, may_start_the_next_from_within) {
  const auto done = weft::make_chan<void>();
  chain(1'000, done);
  done.recv();
  std::atomic<int> ran{0};
  std::vector<weft::timer> stopped;
  for (int i = 0; i < 100; ++i) stopped.push_back(weft::after_func(2ms, [&] { ++ran; }));
  bool all = true;
  for (const auto& t : stopped) all = t.stop() && all;
  weft::this_goroutine::sleep_for(4ms);
  if (all) { EXPECT_EQ(ran, 0); }
}

// TIMER-12
WEFT_TEST(after_func, is_not_starved_by_runnable_goroutines) {
  const with_procs one(1);
  const auto ping = weft::make_chan<int>(), pong = weft::make_chan<int>();
  std::atomic<bool> stop{false};
  weft::wait_group both;
  both.go([&] {
    while (!stop) ping.send(1), static_cast<void>(pong.recv());
    ping.close();
  });
  both.go([&] {
    while (ping.recv()) pong.send(1);
  });
  std::atomic<int> ran{0};
  weft::after_func(1us, [&] { ++ran, stop = true; });
  EXPECT_TRUE(both.wait_for(limit(10s)));
  EXPECT_EQ(ran, 1);
}

// TIMER-13
WEFT_TEST(ticker, ticks_at_multiples_of_its_period) {
  in_a_quiet_moment([]() -> std::string {
    const auto start = steady::now();
    const weft::ticker k(20ms);
    for (int i = 1; i <= 10; ++i) {
      const auto at = *k.c.recv();
      EXPECT_GE(at, start + i * 20ms);
    }
    const auto took = steady::now() - start;
    return took > 180ms && took < 220ms ? "" : "10 ticks took " + std::to_string(took.count() / 1000) + " us";
  });
}

// TIMER-13
WEFT_TEST(ticker, stores_at_most_one_tick) {
  in_a_quiet_moment([]() -> std::string {
    const weft::ticker k(2ms);
    weft::this_goroutine::sleep_for(21ms);
    int got = 0;
    while (k.c.try_recv()) ++got;
    const auto before = steady::now();
    const auto next = *k.c.recv();
    EXPECT_GE(next, before);
    return got == 1 ? "" : std::to_string(got) + " ticks";
  });
}

// TIMER-14
WEFT_TEST(ticker, needs_a_period) {
  expect_panic("non-positive interval for NewTicker", [] { weft::ticker k(0s); });
  expect_panic("non-positive interval for NewTicker", [] { weft::ticker k(-1s); });
  const weft::ticker k(1h);
  expect_panic("non-positive interval for Ticker.Reset", [&] { k.reset(0s); });
  EXPECT_FALSE(weft::tick(0s));
  EXPECT_FALSE(weft::tick(-1s));
  EXPECT_TRUE(weft::tick(1ms).recv());
}

// TIMER-15
WEFT_TEST(ticker, that_is_stopped_may_be_set_again) {
  const weft::ticker k(1ms);
  EXPECT_TRUE(k.c.recv());
  k.stop();
  EXPECT_EQ(k.c.recv_for(4ms).error(), errc::timed_out);  // and not closed
  k.reset(1ms);
  EXPECT_TRUE(k.c.recv());
  EXPECT_TRUE(k.c.recv());
}

// TIMER-16
WEFT_TEST(ticker, delivers_to_many_while_the_world_stops) {
  const weft::ticker k(1ns);
  std::atomic<bool> stop{false};
  weft::wait_group all, stopper;
  stopper.go([&] {
    const int before = weft::procs();
    while (!stop) weft::set_procs(before + 1), weft::set_procs(before), weft::this_goroutine::yield();
  });
  for (int i = 0; i < 10; ++i) {
    all.go([&] {
      for (int n = 0; n < 100; ++n) EXPECT_TRUE(k.c.recv());
    });
  }
  EXPECT_TRUE(all.wait_for(60s));
  stop = true;
  stopper.wait();
}

// TIMER-17
WEFT_TEST(timer, that_was_not_made_panics) {
  const weft::timer t;
  const weft::ticker k;
  expect_panic("time: Stop called on uninitialized Timer", [&] { t.stop(); });
  expect_panic("time: Reset called on uninitialized Timer", [&] { t.reset(1s); });
  expect_panic("time: Reset called on uninitialized Ticker", [&] { k.reset(1s); });
  k.stop();
}

// TIMER-18
WEFT_TEST(timer, that_is_dropped_costs_nothing) {
  const auto before = resident_bytes();
  for (int i = 0; i < scale(1'000'000, 10'000); ++i) {
    const weft::timer t(1h);
    const weft::ticker k(1h);
  }
  if (!under_sanitizer) { EXPECT_LT(resident_bytes(), before + (100u << 20)); }
}

// TIMER-18: a million functions set at once and stopped leave nothing either.
WEFT_TEST(after_func, that_is_stopped_costs_nothing) {
  const int n = scale(50'000, 5'000);
  const auto round = [n] {
    std::vector<weft::timer> all;
    all.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) all.push_back(weft::after_func(1h, [] { FAIL(); }));
    for (const auto& t : all) EXPECT_TRUE(t.stop());
  };
  round();
  const auto before = resident_bytes();
  for (int i = 0; i < 4; ++i) round();
  if (!under_sanitizer) { EXPECT_LT(resident_bytes(), before + (16u << 20)); }
}

// TIMER-19
WEFT_TEST(timer, of_a_processor_that_goes_fire_on_another) {
  const with_procs four(4);
  std::atomic<int> fired{0};
  weft::wait_group made;
  for (int i = 0; i < 4; ++i) {
    made.go([&] {
      for (int k = 0; k < 250; ++k) weft::after_func(3ms, [&] { ++fired; });
    });
  }
  made.wait();
  weft::set_procs(1);
  EXPECT_TRUE(eventually([&] { return fired == 1'000; }, 5s));
}

// TIMER-19: nor does one wait for the goroutine that set it and computes.
WEFT_TEST(timer, of_a_busy_processor_fire_on_another) {
  const with_procs two(2);
  std::atomic<bool> fired{false};
  weft::after_func(1ms, [&] { fired = true; });
  const auto give_up = steady::now() + limit(10s);
  while (!fired && steady::now() < give_up) {
  }
  EXPECT_TRUE(fired);
}

// TIMER-20
WEFT_TEST(timer, are_not_lost_when_set_again_and_again) {
  weft::wait_group all;
  for (int i = 0; i < 100; ++i) {
    all.go([i] {
      rng r(static_cast<std::uint64_t>(i));
      const weft::timer t(1h);
      const auto ran = weft::make_chan<void>(20);
      const weft::timer f = weft::after_func(1h, [ran] { ran.send(); });
      for (int k = 0; k < 10; ++k) {
        const auto d = r.one_in(2) ? std::chrono::microseconds(r.below(300)) : std::chrono::microseconds(1h);
        t.reset(d), f.reset(d);
        if (r.one_in(2)) weft::this_goroutine::yield();
      }
      t.reset(100us);
      EXPECT_TRUE(t.c.recv_for(limit(10s)));
      while (ran.try_recv()) {
      }
      if (!f.reset(100us) && ran.try_recv()) f.reset(100us);
      EXPECT_TRUE(ran.recv_for(limit(10s)));
    });
  }
  EXPECT_TRUE(all.wait_for(limit(60s)));
}

// TIMER-20: sleepers by the thousand; bench/weft_bench `timers` has the million.
WEFT_TEST(timer, many_sleepers_all_wake) {
  const int n = scale_alive(20'000);
  weft::wait_group all;
  rng r(20);
  const auto start = steady::now();
  for (int i = 0; i < n; ++i) all.go([d = std::chrono::microseconds(r.below(100'000))] { weft::this_goroutine::sleep_for(d); });
  EXPECT_TRUE(all.wait_for(limit(10s)));
  EXPECT_LT(steady::now() - start, limit(10s));
}

// A timer's channel in the company of others, and on threads that weft did not make.
WEFT_TEST(timer, channels_work_in_a_select) {
  const auto c = weft::make_chan<int>();
  const weft::timer soon(2ms), late(1h);
  EXPECT_EQ(weft::select(weft::on_recv(c), weft::on_recv(late.c), weft::on_recv(soon.c)), 2);
  EXPECT_EQ(weft::select(weft::on_recv(late.c), weft::on_default()), 1);
  EXPECT_EQ(weft::select(weft::on_recv(late.c), weft::on_timeout(2ms)), 1);
  weft::go([c] { c.send(1); });
  EXPECT_EQ(weft::select(weft::on_recv(late.c), weft::on_recv(c)), 1);
  late.reset(0s);
  EXPECT_EQ(weft::select(weft::on_recv(late.c), weft::on_recv(c)), 0);
  const auto [ctx, cancel] = weft::with_timeout(weft::background(), 2ms);
  EXPECT_EQ(late.c.recv(ctx).error(), errc::deadline_exceeded);
  plain_thread thread([&] {
    EXPECT_TRUE(weft::after(1ms).recv());
    EXPECT_EQ(weft::select(weft::on_recv(weft::after(1ms)), weft::on_recv(c)), 0);
    const auto ran = weft::make_chan<void>();
    weft::after_func(1ms, [ran] { ran.send(); });
    ran.recv();
  });
}

TEST(after_func, set_before_run_runs_in_it) {
  std::atomic<int> ran{0};
  weft::after_func(0s, [&] { ++ran; });
  const weft::timer never = weft::after_func(1h, [&] { ++ran; });
  EXPECT_TRUE(never.stop());
  EXPECT_TRUE(weft::after(1ms).recv());
  EXPECT_EQ(ran, 0);
  run_in_weft([&] { EXPECT_TRUE(eventually([&] { return ran == 1; })); });
}

WEFT_CHILD(wait_for_stopped_timer) {
  return weft::run([] {
    const weft::timer t(1h);
    t.stop();
    static_cast<void>(t.c.recv());
    return 0;
  });
}
// Nobody will set it again: that is a deadlock, and reported.
TEST(timer, that_is_stopped_does_not_hide_a_deadlock) {
  const auto r = child("wait_for_stopped_timer");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "all goroutines are asleep - deadlock!"));
}

// The last handle of a timer may go while somebody waits for it: it still comes.
WEFT_TEST(timer, is_received_though_its_handle_goes_meanwhile) {
  bool came = false;
  bubble([&] {
    auto t = std::make_unique<weft::timer>(1s);
    auto c = std::make_unique<weft::receiver<weft::timer::time_point>>(t->c);
    weft::go([&, from = c.get()] { came = from->recv().has_value(); });
    weft::test::wait();
    c.reset(), t.reset();
    const weft::timer others[] = {weft::timer(1h), weft::timer(1h), weft::timer(1h)};  // in the memory that was its
    weft::this_goroutine::sleep_for(1min);
  });
  EXPECT_TRUE(came);
}
