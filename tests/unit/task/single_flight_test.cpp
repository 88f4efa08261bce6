// single_flight_test.cpp: the work is done once for all who ask at the same time.
#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

WEFT_TEST(single_flight, many_callers_share_one_call) {
  weft::single_flight<std::string, int> flight;
  std::atomic<int> calls{0}, waiting{0}, shared{0};
  auto release = weft::make_chan<void>();
  weft::wait_group done;
  const int n = 20;
  for (int i = 0; i < n; ++i) {
    done.go([&] {
      ++waiting;
      const auto r = flight.call("key", [&] {
        release.recv();
        return ++calls;
      });
      EXPECT_GE(r.value, 1);
      EXPECT_LE(r.value, calls) << "who comes late has a call of its own";
      shared += r.shared;
    });
  }
  EXPECT_TRUE(eventually([&] { return waiting == n; }));
  for (int i = 0; i < 100; ++i) weft::this_goroutine::yield();  // most of them are in the call now
  release.close();
  done.wait();
  EXPECT_GE(calls, 1);
  EXPECT_TRUE(calls > 1 || shared == n);
  EXPECT_FALSE(flight.call("key", [] { return 5; }).shared) << "it is no cache";
}

WEFT_TEST(single_flight, other_keys_go_on) {
  weft::single_flight<int, int> flight;
  auto release = weft::make_chan<void>();
  weft::task_group g;
  g.go([&] { EXPECT_EQ(flight.call(1, [&] { return release.recv(), 1; }).value, 1); });
  EXPECT_EQ(flight.call(2, [] { return 2; }).value, 2);
  release.close();
  g.wait();
}

WEFT_TEST(single_flight, exception_goes_to_all_callers_and_the_next_call_starts_anew) {
  weft::single_flight<int, int> flight;
  auto release = weft::make_chan<void>();
  auto began = weft::make_chan<void>(1);
  weft::wait_group done;
  std::atomic<int> thrown{0}, waiting{0};
  const auto ask = [&](auto f) {
    try {
      static_cast<void>(flight.call(1, f));
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "down");
      ++thrown;
    }
  };
  done.go([&] {
    ask([&]() -> int {
      began.send();
      release.recv();
      throw std::runtime_error("down");
    });
  });
  began.recv();
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      ++waiting;
      ask([]() -> int { throw std::runtime_error("down"); });
    });
  }
  EXPECT_TRUE(eventually([&] { return waiting == 8; }));
  release.close();
  done.wait();
  EXPECT_EQ(thrown, 9);
  EXPECT_EQ(flight.call(1, [] { return 3; }).value, 3);
}

WEFT_TEST(single_flight, forget_lets_the_next_call_start_anew) {
  weft::single_flight<int, int> flight;
  EXPECT_FALSE(flight.forget(1));
  auto release = weft::make_chan<void>(), began = weft::make_chan<void>();
  weft::task_group g;
  g.go([&] {
    EXPECT_EQ(flight.call(1, [&] { return began.send(), release.recv(), 1; }).value, 1);
  });
  began.recv();
  EXPECT_TRUE(flight.forget(1));
  EXPECT_EQ(flight.call(1, [] { return 2; }).value, 2);
  release.close();
  g.wait();
}

WEFT_TEST(single_flight, who_gives_up_leaves_the_call_to_the_others) {
  auto flight = std::make_unique<weft::single_flight<int, std::string>>();
  auto release = weft::make_chan<void>();
  const auto slow = [=] { return release.recv(), std::string("done"); };
  EXPECT_EQ(flight->call_for(1, 2ms, slow).error(), weft::errc::timed_out);
  std::atomic<bool> released{false};
  weft::task_group g;
  g.go([&] {
    const auto r = flight->call(1, [&] {
      EXPECT_TRUE(released);  // it may come so late that the first call has ended
      return std::string("a second call");
    });
    EXPECT_EQ(r.value, r.shared ? "done" : "a second call");
  });
  EXPECT_EQ(flight->call_for(1, 2ms, slow).error(), weft::errc::timed_out);
  released = true;
  release.close();
  g.wait();
  EXPECT_EQ(flight->call_for(1, 60s, [] { return std::string("new"); }).value().value, "new");
  EXPECT_THROW(static_cast<void>(flight->call_for(1, 60s, []() -> std::string { throw 5; })), int);
  auto again = weft::make_chan<void>();
  EXPECT_EQ(flight->call_for(1, 1ms, [=] { return again.recv(), std::string(); }).error(), weft::errc::timed_out);
  flight.reset();  // its last call is still under way
  again.close();
}

WEFT_TEST(single_flight, copy_that_throws_leaves_it_whole) {
  struct throws {
    throws() = default;
    throws(const throws&) { throw std::runtime_error("copy"); }
    int operator()() const { return 1; }
  } const f;
  weft::single_flight<int, int> flight;
  EXPECT_THROW(static_cast<void>(flight.call_for(1, 60s, f)), std::runtime_error);
  EXPECT_EQ(flight.call(1, f).value, 1);
}

WEFT_TEST(single_flight, who_has_a_context_gives_up_when_it_is_done) {
  weft::single_flight<int, int> flight;
  auto release = weft::make_chan<void>();
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::task_group g;
  g.go([&, &until = ctx] { EXPECT_EQ(flight.call(1, [=] { return release.recv(), 1; }, until).error(), weft::errc::canceled); });
  weft::this_goroutine::yield();
  cancel();
  g.wait();
  EXPECT_EQ(flight.call(1, [] { return 2; }, ctx).error(), weft::errc::canceled);
  release.close();
  EXPECT_TRUE(flight.call(1, [] { return 3; }, weft::background()));
}

// Design D7
WEFT_TEST(single_flight, works_on_plain_threads) {
  weft::single_flight<int, int> flight;
  std::atomic<int> calls{0};
  std::vector<plain_thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) static_cast<void>(flight.call(k % 3, [&] { return ++calls; }));
    });
  }
  for (int k = 0; k < 200; ++k) static_cast<void>(flight.call_for(k % 3, 60s, [&] { return ++calls; }));
  for (auto& t : threads) t.join();
  EXPECT_LE(calls, 800);
}
