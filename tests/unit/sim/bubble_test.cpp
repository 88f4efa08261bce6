// bubble_test.cpp: virtual time, and what blocks a goroutine durably.
// weft-test: timeout=120
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/test/bubble.hpp>

#include "support/support.hpp"

using namespace weft::test;
using weft::errc;
namespace this_goroutine = weft::this_goroutine;

namespace {

template <class F>
void expect_panic(const char* text, F f) {
  try {
    f();
    ADD_FAILURE() << "no panic: " << text;
  } catch (const weft::panic& p) {
    EXPECT_TRUE(starts_with(p.what(), text));
  }
}

/// One goroutine of a bubble runs block(); while it is blocked, the hour of another goes by. Returns if that is so.
template <class Block, class Undo>
void expect_durable(Block block, Undo undo) {
  const auto start = now();
  bool blocked = false;
  weft::go([&] { blocked = true, block(), blocked = false; });
  this_goroutine::sleep_for(1h);
  EXPECT_EQ(now() - start, 1h);
  EXPECT_TRUE(blocked);
  undo();
  wait();
  EXPECT_FALSE(blocked);
}
/// The other way round: no time passes in the bubble before undo() is called, outside of it.
template <class Block, class Undo>
void expect_not_durable(Block block, Undo undo) {
  std::atomic<bool> about_to{false}, hour_over{false};
  auto over = weft::async([&] {
    bubble([&] {
      weft::go([&] { about_to = true, block(); });
      this_goroutine::sleep_for(1h);
      hour_over = true;
    });
  });
  EXPECT_TRUE(eventually([&] { return about_to.load(); }));
  this_goroutine::sleep_for(2ms);
  EXPECT_FALSE(hour_over);
  undo();
  EXPECT_TRUE(eventually([&] { return hour_over.load(); }));
  over.join();
}

}  // namespace

// SYNCTEST-01
WEFT_TEST(bubble, starts_in_2000_and_sleeps_exactly_and_at_once) {
  const auto really = steady::now();
  bubble([] {
    EXPECT_EQ(now<std::chrono::system_clock>().time_since_epoch(), std::chrono::seconds(946684800));
    const auto start = now();
    for (const auto d : {std::chrono::nanoseconds(1), std::chrono::nanoseconds(1h), std::chrono::nanoseconds(24h * 365)}) {
      const auto before = now();
      this_goroutine::sleep_for(d);
      EXPECT_EQ(now() - before, d);
    }
    this_goroutine::sleep_until(start + 24h * 366);
    EXPECT_EQ(now(), start + 24h * 366);
    this_goroutine::yield();
    spin(1ms);
    EXPECT_EQ(now(), start + 24h * 366) << "stands still while somebody runs";
  });
  EXPECT_LT(steady::now() - really, limit(10s));
  EXPECT_GT(now<std::chrono::system_clock>().time_since_epoch(), std::chrono::hours(24 * 365 * 50)) << "outside it is the real one";
}

// SYNCTEST-02
WEFT_TEST(bubble, waits_for_all_that_was_started_in_it) {
  std::atomic<int> ended{0};
  bubble([&] {
    const auto start = now();
    weft::go([&, start] {
      weft::go([&, start] {
        this_goroutine::sleep_for(3s);
        EXPECT_EQ(now(), start + 3s);
        ended++;
      });
      ended++;
    });
    weft::after_func(2s, [&, start] {
      weft::go([&, start] {
        EXPECT_EQ(now(), start + 2s);
        this_goroutine::sleep_for(1s);
        ended++;
      });
      ended++;
    });
    this_goroutine::sleep_for(10s);
    auto last = weft::make_chan<int>();
    weft::go([&, last] { ended += last.recv() == 7; });
    last.send(7);
  });
  EXPECT_EQ(ended, 5);
}
WEFT_TEST(bubble, has_its_tasks_in_it_and_hands_exceptions_on) {
  bubble([] {
    const auto start = now();
    auto slow = weft::async([] { return this_goroutine::sleep_for(5s), 5; });
    weft::task_group g;
    for (int i = 1; i <= 3; i++) g.go([i] { this_goroutine::sleep_for(std::chrono::seconds(i)); });
    g.wait();
    EXPECT_EQ(now() - start, 3s);
    EXPECT_EQ(slow.join(), 5);
    EXPECT_EQ(now() - start, 5s);
  });
  EXPECT_THROW(bubble([] { throw std::out_of_range("far"); }), std::out_of_range);
}
WEFT_TEST(bubble, can_be_had_by_a_plain_thread) {
  plain_thread t([] {
    bubble([] {
      const auto start = now();
      this_goroutine::sleep_for(1h);
      EXPECT_EQ(now() - start, 1h);
    });
  });
  t.join();
}

// SYNCTEST-03
WEFT_TEST(bubble, wait_returns_when_the_others_are_blocked_and_shows_what_they_did) {
  bubble([] {
    const auto start = now();
    std::vector<int> seen(10);
    auto go_on = weft::make_chan<void>();
    for (int i = 0; i < 10; i++) {
      weft::go([&seen, go_on, i] {
        seen[static_cast<std::size_t>(i)] = 1;
        static_cast<void>(go_on.recv());
        seen[static_cast<std::size_t>(i)] = 2;
      });
    }
    wait();
    EXPECT_EQ(seen, std::vector<int>(10, 1));
    go_on.close();
    wait();
    EXPECT_EQ(seen, std::vector<int>(10, 2));
    wait();
    bool late = false;
    weft::go([&] { this_goroutine::sleep_for(1s), late = true; });
    wait();
    EXPECT_FALSE(late);
    EXPECT_EQ(now(), start);
    this_goroutine::sleep_for(1s);
    wait();
    EXPECT_TRUE(late);
  });
}

// SYNCTEST-04
WEFT_TEST(bubble, lets_time_pass_while_blocked_on_what_is_its_own) {
  bubble([] {
    const auto c = weft::make_chan<int>(), other = weft::make_chan<int>(), full = weft::make_chan<int>(1);
    full.send(0);
    expect_durable([&] { EXPECT_EQ(c.recv(), 1); }, [&] { c.send(1); });
    expect_durable([&] { c.send(2); }, [&] { EXPECT_EQ(c.recv(), 2); });
    expect_durable([&] { full.send(3); }, [&] { EXPECT_EQ(full.recv(), 0); });
    expect_durable([&] { weft::select(weft::on_recv(c), weft::on_send(full, 4), weft::on_recv(weft::chan<int>())); }, [&] { c.send(5); });
    expect_durable([&] { EXPECT_EQ(c.recv_for(2h).value(), 6); }, [&] { c.send(6); });
    expect_durable([&] { weft::select(weft::on_recv(c), weft::on_timeout(2h)); }, [&] { c.send(7); });

    weft::wait_group wg;
    wg.add();
    expect_durable([&] { wg.wait(); }, [&] { wg.done(); });
    weft::mutex m;
    weft::condition_variable cv;
    expect_durable(
        [&] {
          std::unique_lock hold(m);
          cv.wait(hold);
        },
        [&] { cv.notify_one(); });
    weft::latch l(1);
    expect_durable([&] { l.wait(); }, [&] { l.count_down(); });
    expect_durable([] { this_goroutine::sleep_for(1h + 1ns); }, [] { this_goroutine::sleep_for(1ns); });
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    expect_durable([&, &ctx = ctx] { EXPECT_FALSE(c.recv(ctx)); }, [&cancel = cancel] { cancel(); });
  });
}
WEFT_TEST(bubble, stands_still_while_blocked_on_what_others_may_end) {
  const auto outside = weft::make_chan<int>();
  expect_not_durable([&] { EXPECT_EQ(outside.recv(), 1); }, [&] { outside.send(1); });
  expect_not_durable([&] { outside.send(2); }, [&] { EXPECT_EQ(outside.recv(), 2); });
  expect_not_durable([&] { weft::select(weft::on_recv(weft::make_chan<int>()), weft::on_recv(outside)); }, [&] { outside.send(3); });
  expect_not_durable([&] { EXPECT_EQ(outside.recv_for(10h).value(), 4); }, [&] { outside.send(4); });
  weft::mutex m;
  m.lock();
  expect_not_durable([&] { const std::lock_guard hold(m); }, [&] { m.unlock(); });
  weft::shared_mutex rw;
  rw.lock();
  expect_not_durable([&] { const std::shared_lock hold(rw); }, [&] { rw.unlock(); });
  weft::wait_group wg;
  wg.add();
  expect_not_durable([&] { wg.wait(); }, [&] { wg.done(); });
  std::atomic<bool> go_on{false};
  expect_not_durable([&] { weft::blocking([&] { while (!go_on) std::this_thread::sleep_for(100us); }); }, [&] { go_on = true; });
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  expect_not_durable([&ctx = ctx] { EXPECT_FALSE(weft::make_chan<int>().recv(ctx)); }, [&cancel = cancel] { cancel(); });
  auto listener = weft::net::listen("tcp", "127.0.0.1:0");
  expect_not_durable([&] { std::error_code ec; static_cast<void>(listener.accept(ec)); }, [&] { listener.close(); });
}

// SYNCTEST-05
WEFT_TEST(bubble, has_timers_that_are_exact) {
  bubble([] {
    const auto start = now();
    weft::timer t(5s);
    this_goroutine::sleep_for(1min);
    EXPECT_EQ(t.c.try_recv().value(), start + 5s) << "even if read later";
    EXPECT_EQ(*weft::after(7ns).recv(), start + 1min + 7ns);
    const auto before = now();
    EXPECT_TRUE(weft::timer(0s).c.try_recv());
    EXPECT_EQ(now(), before);
    weft::ticker every(10s);
    for (int i = 1; i <= 3; i++) EXPECT_EQ(*every.c.recv(), before + i * 10s);
    EXPECT_TRUE(t.c.try_recv().error() == errc::would_block);
    EXPECT_FALSE(t.reset(1h));
    EXPECT_TRUE(t.stop());
    EXPECT_EQ(weft::select(weft::on_recv(t.c), weft::on_timeout(3h)), 1);
    EXPECT_EQ(now(), before + 30s + 3h);
  });
}

// SYNCTEST-06
WEFT_TEST(bubble, fires_what_is_due_at_once_in_any_order) {
  const int rounds = scale(1000, 200);
  int timers_first = 0, sleepers_first = 0;
  bubble([&] {
    for (int i = 0; i < rounds; i++) {
      std::vector<int> order;
      weft::mutex m;
      const auto note = [&](int who) { const std::lock_guard hold(m); order.push_back(who); };
      weft::after_func(1s, [&] { note(0); });
      weft::after_func(1s, [&] { note(1); });
      weft::go([&] { this_goroutine::sleep_for(2s), note(2); });
      weft::go([&] { this_goroutine::sleep_for(2s), note(3); });
      this_goroutine::sleep_for(3s);
      ASSERT_EQ(order.size(), 4u);
      timers_first += order[0] == 0;
      sleepers_first += order[2] == 2;
    }
  });
  EXPECT_GT(timers_first, 0);
  EXPECT_LT(timers_first, rounds);
  EXPECT_GT(sleepers_first, 0);
  EXPECT_LT(sleepers_first, rounds);
}

// SYNCTEST-10
WEFT_TEST(bubble, gives_a_wait_group_back_when_it_is_done) {
  weft::wait_group wg;
  for (int i = 0; i < 2; i++) {
    bubble([&] {
      wg.go([] { this_goroutine::sleep_for(1s); });
      wg.wait();
    });
    wg.go([] {});
    wg.wait();
  }
}
// SYNCTEST-12
WEFT_TEST(bubble, is_not_nested_and_waited_for_once_at_a_time) {
  expect_panic("goroutine is not in a bubble", [] { wait(); });
  bubble([] {
    expect_panic("synctest.Run called from within a synctest bubble", [] { bubble([] {}); });
    // Whichever of the two comes second: the first cannot return before the second is blocked.
    std::atomic<bool> about_to{false};
    std::atomic<int> refused{0};
    const auto try_wait = [&] {
      try {
        wait();
      } catch (const weft::panic& p) {
        EXPECT_STREQ(p.what(), "wait already in progress");
        refused++;
      }
    };
    weft::go([&] { about_to = true, try_wait(); });
    while (!about_to) this_goroutine::yield();
    try_wait();
    this_goroutine::sleep_for(1s);  // then the other one has returned, too
    EXPECT_EQ(refused, 1);
  });
}

// SYNCTEST-13
WEFT_TEST(bubble, has_contexts_that_end_to_the_nanosecond) {
  bubble([] {
    const auto [ctx, cancel] = weft::with_timeout(weft::background(), 5s);
    this_goroutine::sleep_for(5s - 1ns);
    wait();
    EXPECT_FALSE(ctx.err());
    this_goroutine::sleep_for(1ns);
    wait();
    EXPECT_EQ(ctx.err(), errc::deadline_exceeded);
    bool called = false;
    const auto [inner, cancel_inner] = weft::with_timeout(weft::background(), 1h);
    weft::after_func(inner, [&] { called = true; });
    const auto before = now();
    EXPECT_FALSE(this_goroutine::sleep_for(2h, inner));
    EXPECT_EQ(now() - before, 1h);
    wait();
    EXPECT_TRUE(called);
  });
}

// SYNCTEST-14
WEFT_TEST(bubble, runs_beside_a_hundred_others_each_with_its_own_clock) {
  const int bubbles = scale(100, 10), each = scale(100, 10);
  std::atomic<int> finished{0};
  weft::wait_group all;
  const auto real = steady::now();
  for (int b = 0; b < bubbles; b++) {
    all.go([&, b] {
      bubble([&, b] {
        const auto start = now();
        const auto c = weft::make_chan<int>();
        for (int i = 0; i < each; i++) {
          weft::go([=] {
            for (int round = 1; round <= 3; round++) {
              this_goroutine::sleep_for(std::chrono::minutes(b + 1));
              EXPECT_EQ(now() - start, round * std::chrono::minutes(b + 1));
            }
            c.send(i);
          });
        }
        for (int i = 0; i < each; i++) EXPECT_TRUE(c.recv());
        EXPECT_EQ(now() - start, 3 * std::chrono::minutes(b + 1));
      });
      finished++;
    });
  }
  this_goroutine::sleep_for(5ms);  // outside
  EXPECT_GE(steady::now() - real, 5ms);
  EXPECT_LT(steady::now() - real, limit(30s));
  all.wait();
  EXPECT_EQ(finished, bubbles);
}
