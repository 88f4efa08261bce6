// deadlock_test.cpp: nobody runs and nobody can wake anybody: the report, its states and its status.
// weft-test: emulated=0
#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include <unistd.h>

#include "support/support.hpp"

using namespace weft::test;

namespace {
void expect_deadlock(const char* scenario, const std::string& state) {
  const auto start = steady::now();
  const auto r = child(scenario);
  EXPECT_TRUE(ended_with(r, 2)) << scenario;
  EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [" + state + "]:\n")) << scenario;
  EXPECT_LT(steady::now() - start, limit(5s)) << scenario;
}
}  // namespace

WEFT_CHILD(select_nothing) {
  return weft::run([] { weft::select(); });
}
WEFT_CHILD(selector_of_nothing) {
  return weft::run([] {
    weft::selector s;
    s.wait();
  });
}
WEFT_CHILD(select_nil) {
  return weft::run([] {
    const weft::chan<int> a, b;
    weft::select(weft::on_recv(a), weft::on_send(b, 1));
  });
}
WEFT_CHILD(select_for_ever) {
  return weft::run([] {
    const auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
    weft::select(weft::on_recv(a), weft::on_send(b, 1));
  });
}
// DEADLOCK-01, SELECT-04
TEST(deadlock, in_a_select_is_reported_with_its_state) {
  expect_deadlock("select_nothing", "select (no cases)");
  expect_deadlock("selector_of_nothing", "select (no cases)");
  expect_deadlock("select_nil", "select");
  expect_deadlock("select_for_ever", "select");
}

WEFT_CHILD(receive_for_ever) {
  return weft::run([] { static_cast<void>(weft::make_chan<int>().recv()); });
}
WEFT_CHILD(send_for_ever) {
  return weft::run([] { weft::make_chan<int>().send(1); });
}
WEFT_CHILD(receive_nil) {
  return weft::run([] { static_cast<void>(weft::chan<int>().recv()); });
}
WEFT_CHILD(send_nil) {
  return weft::run([] { weft::chan<int>().send(1); });
}
WEFT_CHILD(range_for_ever) {
  return weft::run([] {
    for ([[maybe_unused]] const int i : weft::make_chan<int>(3)) {
    }
  });
}
WEFT_CHILD(send_to_full) {
  return weft::run([] {
    auto c = weft::make_chan<std::string>(1);
    c.send("a");
    c.send("b");
  });
}
// DEADLOCK-02, CHAN-08
TEST(deadlock, on_a_channel_is_reported_with_its_state) {
  expect_deadlock("receive_for_ever", "chan receive");
  expect_deadlock("range_for_ever", "chan receive");
  expect_deadlock("send_for_ever", "chan send");
  expect_deadlock("send_to_full", "chan send");
  expect_deadlock("receive_nil", "chan receive (nil chan)");
  expect_deadlock("send_nil", "chan send (nil chan)");
}

WEFT_CHILD(lock_twice) {
  return weft::run([] {
    weft::mutex m;
    m.lock();
    m.lock();
  });
}
WEFT_CHILD(wait_for_ever) {
  return weft::run([] {
    weft::wait_group g;
    g.add(1);
    g.wait();
  });
}
// DEADLOCK-03, MUTEX-10
TEST(deadlock, on_a_mutex_or_wait_group_is_reported_with_its_state) {
  expect_deadlock("lock_twice", "sync.Mutex.Lock");
  expect_deadlock("wait_for_ever", "sync.WaitGroup.Wait");
}

WEFT_CHILD(cycle_of_three) {
  return weft::run([] {
    auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
    static weft::mutex m;
    m.lock();
    weft::go([=] {
      static_cast<void>(a.recv());
      b.send(1);
    });
    weft::go([=] {
      m.lock();
      a.send(1);
    });
    static_cast<void>(b.recv());
    m.unlock();
  });
}
// DEADLOCK-04. Each is innocent alone: only the list shows the cycle.
TEST(deadlock, lists_every_goroutine_with_its_state) {
  const auto r = child("cycle_of_three");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n"));
  std::size_t listed = 0;
  for (std::size_t at = r.err.find("\ngoroutine "); at != std::string::npos; at = r.err.find("\ngoroutine ", at + 1)) ++listed;
  EXPECT_EQ(listed, 3u) << r.err;
  EXPECT_TRUE(contains(r.err, " [sync.Mutex.Lock]:\n"));
}

WEFT_CHILD(sleeper_then_deadlock) {
  return weft::run([] {
    weft::go([] {
      weft::this_goroutine::sleep_for(300ms);
      std::puts("slept");
      std::fflush(stdout);
    });
    static_cast<void>(weft::make_chan<int>().recv());
  });
}
// DEADLOCK-05, by a sleep. The report may not come while somebody will wake.
TEST(deadlock, is_not_reported_before_the_last_sleeper_has_ended) {
  const auto start = steady::now();
  const auto r = child("sleeper_then_deadlock");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_EQ(r.out, "slept\n");
  EXPECT_GE(steady::now() - start, 300ms);
  EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!"));
}

WEFT_CHILD(waits_for_the_network) {
  return weft::run([] {
    auto l = weft::net::listen("tcp", "127.0.0.1:0");
    auto woken = weft::make_chan<int>();
    weft::go([=]() mutable {
      static_cast<void>(l.accept());
      woken.send(1);
    });
    weft::go([address = l.address()] {
      weft::this_goroutine::sleep_for(100ms);
      static_cast<void>(weft::net::dial("tcp", address));
    });
    static_cast<void>(woken.recv());
  });
}
TEST(deadlock, is_not_reported_while_somebody_waits_for_the_network) { EXPECT_TRUE(ended_with(child("waits_for_the_network"), 0)); }

WEFT_CHILD(one_goes_on) {
  return weft::run([] {
    auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
    weft::go([=] { static_cast<void>(a.recv()), b.send(1); });
    weft::go([=] { static_cast<void>(b.recv()), a.send(1); });
    weft::this_goroutine::sleep_for(50ms);
  });
}
// DEADLOCK-11
TEST(deadlock, of_a_part_is_not_reported) {
  const auto r = child("one_goes_on");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(deadlock_with_a_thread) {
  auto c = weft::make_chan<int>();
  std::thread t([=] {
    std::this_thread::sleep_for(200ms);
    c.send(7);
  });
  const int got = weft::run([=] { return c.recv().value(); });
  t.join();
  return got;
}
// Design D8. A thread that weft did not make may still come and wake somebody.
TEST(deadlock, is_no_end_while_a_plain_thread_may_come) { EXPECT_TRUE(ended_with(child("deadlock_with_a_thread"), 7)); }

WEFT_CHILD(deadlock_off) {
  return weft::run(
      [] {
        auto c = weft::make_chan<int>();
        weft::go([=] { static_cast<void>(c.recv()); });
        static_cast<void>(c.recv_for(50ms));
        static_cast<void>(c.try_send(1));
        return 0;
      },
      {.deadlock = weft::deadlock_policy::off});
}
// DEADLOCK-09. A library inside a host that calls back when it likes.
TEST(deadlock, check_may_be_turned_off) { EXPECT_TRUE(ended_with(child("deadlock_off"), 0)); }

// DEADLOCK-07. The moment between "the last one parks" and "a thread wakes it" is not a deadlock.
WEFT_CHILD(many_narrow_moments) {
  return weft::run([] {
    for (int i = 0; i < scale(10'000, 500); ++i) {
      auto c = weft::make_chan<int>();
      weft::go([=] { c.send(1); });
      static_cast<void>(c.recv());
      if (i % 100 == 0) weft::this_goroutine::sleep_for(50us);
    }
    return 0;
  });
}
TEST(deadlock, is_not_seen_where_there_is_none) {
  const auto r = child("many_narrow_moments");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(one_computes) {
  return weft::run([] {
    auto c = weft::make_chan<int>(1);
    weft::go([=] {
      spin(100ms);
      c.send(1);
    });
    weft::go([] { ::usleep(150'000); });
    return c.recv() == 1 ? 0 : 1;
  });
}
// DEADLOCK-06. Who runs, or sits in a system call, may still wake somebody.
TEST(deadlock, is_not_seen_while_somebody_computes_or_is_in_a_system_call) {
  const auto r = child("one_computes");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(panics_slowly) {
  return weft::run([] {
    struct slow : std::exception {
      const char* what() const noexcept override {
        ::usleep(100'000);
        return "slow";
      }
    };
    weft::go([] { throw slow(); });
    weft::select();
  });
}
WEFT_CHILD(exits_slowly) {
  return weft::run([] {
    weft::at_exit([] { ::usleep(100'000); });
    weft::go([] { weft::exit(3); });
    weft::select();
  });
}
// DEADLOCK-10. The end has begun, and has its own reason.
TEST(deadlock, is_not_reported_while_a_panic_or_an_exit_is_under_way) {
  const auto panic = child("panics_slowly");
  EXPECT_TRUE(ended_with(panic, 2));
  EXPECT_TRUE(starts_with(panic.err, "panic: slow\n\ngoroutine 2 [running]:\n"));
  EXPECT_FALSE(contains(panic.err, "asleep"));
  const auto exit = child("exits_slowly");
  EXPECT_TRUE(ended_with(exit, 3));
  EXPECT_EQ(exit.err, "");
}
