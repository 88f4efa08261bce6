// bubble_test.cpp: bubbles that are deadlocked, which stay for ever, and uses from outside, which end the process.
// weft-test: procs=1,4
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include <weft/co.hpp>
#include <weft/test/bubble.hpp>

#include "support/support.hpp"

using namespace weft::test;
namespace this_goroutine = weft::this_goroutine;

namespace {

using channel = weft::chan<int>;

template <class F>
void expect_panic(const char* text, F f) {
  try {
    f();
    ADD_FAILURE() << "no panic: " << text;
  } catch (const weft::panic& p) {
    EXPECT_TRUE(starts_with(p.what(), text));
  }
}
constexpr const char* all_blocked = "deadlock: all goroutines in bubble are blocked";
constexpr const char* main_exited = "deadlock: main bubble goroutine has exited but blocked goroutines remain";

// In a bubble: makes something and gives it away, and waits until that has been used outside.
template <class Make, class Use>
int used_outside(Make make, Use use) {
  return weft::run([&] {
    using thing = decltype(make());
    const auto out = weft::make_chan<thing>();
    weft::go([&] { bubble([&] { out.send(make()), static_cast<void>(out.recv()); }); });
    thing t = *out.recv();
    use(t);
  });
}

void expect_fatal(const char* scenario, const char* text) {
  const auto r = child(scenario);
  EXPECT_TRUE(ended_with(r, 2)) << scenario;
  EXPECT_TRUE(starts_with(r.err, std::string("fatal error: ") + text + "\n")) << scenario;
}

}  // namespace

WEFT_CHILD(bubble_deadlocks) {
  return weft::run([] {
    expect_panic(all_blocked, [] { bubble([] { static_cast<void>(weft::make_chan<int>().recv()); }); });
    expect_panic(all_blocked, [] {
      bubble([] {
        weft::wait_group wg;
        wg.go([] { weft::select(); });
        wg.wait();
      });
    });
    expect_panic(main_exited, [] { bubble([] { weft::go([] { static_cast<void>(weft::chan<int>().recv()); }); }); });
    try {
      bubble([] { weft::go({.name = "forgotten"}, [] { static_cast<void>(weft::make_chan<int>().recv()); }); });
    } catch (const deadlock& d) {
      EXPECT_TRUE(contains(d.what(), "[chan receive, synctest bubble 4]: forgotten\n")) << d.what();
      EXPECT_TRUE(contains(d.what(), "bubble_deadlocks")) << d.what();
    }
    return testing::Test::HasFailure() ? 1 : 0;
  });
}
WEFT_CHILD(bubble_time_stops) {
  return weft::run([] {
    bool called = false;
    bubble([&] { weft::after_func(1s, [&] { called = true; }); });
    EXPECT_FALSE(called);
    expect_panic(main_exited, [] {
      bubble([] {
        weft::go([] {
          const weft::ticker t(1s);
          for (;;) static_cast<void>(t.c.recv());
        });
      });
    });
    bubble([] { this_goroutine::sleep_for(1h); });  // others are not disturbed
    return testing::Test::HasFailure() ? 1 : 0;
  });
}
// SYNCTEST-07, SYNCTEST-08
TEST(bubble, says_when_it_is_deadlocked_and_by_whom) {
  const auto r = child("bubble_deadlocks");
  EXPECT_TRUE(ended_with(r, 0));
}
TEST(bubble, has_no_time_once_its_function_has_returned) {
  const auto r = child("bubble_time_stops");
  EXPECT_TRUE(ended_with(r, 0));
}

WEFT_CHILD(outside_send) {
  return used_outside([] { return weft::make_chan<int>(1); }, [](channel& c) { c.send(1); });
}
WEFT_CHILD(outside_recv) {
  return used_outside([] { return weft::make_chan<int>(1); }, [](channel& c) { static_cast<void>(c.try_recv()); });
}
WEFT_CHILD(outside_close) {
  return used_outside([] { return weft::make_chan<int>(1); }, [](channel& c) { c.close(); });
}
WEFT_CHILD(outside_select) {
  return used_outside([] { return weft::make_chan<int>(1); }, [](channel& c) { weft::select(weft::on_recv(c), weft::on_default()); });
}
WEFT_CHILD(outside_reset) {
  return used_outside([] { return weft::timer(1h); }, [](weft::timer& t) { t.reset(1s); });
}
WEFT_CHILD(outside_stop) {
  return used_outside([] { return weft::timer(1h); }, [](weft::timer& t) { t.stop(); });
}
WEFT_CHILD(outside_stop_function) {
  return used_outside([] { return weft::after_func(1h, [] {}); }, [](weft::timer& t) { t.stop(); });
}
WEFT_CHILD(outside_wait_group) {
  return used_outside([] { auto wg = std::make_shared<weft::wait_group>(); return wg->add(), wg; }, [](auto& wg) { wg->add(); });
}
WEFT_CHILD(inside_after_outside_wait_group) {
  return weft::run([] {
    weft::wait_group wg;
    wg.add();
    bubble([&] { wg.add(); });
  });
}
WEFT_CHILD(wait_group_of_two_bubbles) {
  return used_outside([] { auto wg = std::make_shared<weft::wait_group>(); return wg->add(), wg; }, [](auto& wg) { bubble([&] { wg->add(); }); });
}
WEFT_CHILD(outside_notify) {
  return weft::run([] {
    weft::mutex m;
    weft::condition_variable cv;
    const auto outside = weft::make_chan<void>();
    weft::go([&] {
      bubble([&] {
        weft::go([&] { static_cast<void>(outside.recv()); });  // so that it is no deadlock
        std::unique_lock hold(m);
        for (;;) cv.wait(hold);
      });
    });
    for (;;) {
      this_goroutine::yield();
      cv.notify_one();
    }
  });
}
// SYNCTEST-09
TEST(bubble, keeps_its_channels_and_timers_to_itself) {
  expect_fatal("outside_send", "send on synctest channel from outside bubble");
  expect_fatal("outside_recv", "receive on synctest channel from outside bubble");
  expect_fatal("outside_close", "close of synctest channel from outside bubble");
  expect_fatal("outside_select", "select on synctest channel from outside bubble");
  expect_fatal("outside_reset", "reset of synctest timer from outside bubble");
  expect_fatal("outside_stop", "stop of synctest timer from outside bubble");
  expect_fatal("outside_stop_function", "stop of synctest timer from outside bubble");
}

namespace {
weft::co::task<int> nap() {
  co_await weft::co::sleep_for(1h);
  co_return 1;
}
}  // namespace
WEFT_CHILD(coroutine_started_in_bubble) {
  return weft::run([] { bubble([] { weft::co::go(nap()); }); });
}
WEFT_CHILD(coroutine_forked_in_bubble) {
  return weft::run([] { bubble([] { static_cast<void>(weft::co::fork(nap())); }); });
}
WEFT_CHILD(coroutine_joined_in_bubble) {
  return weft::run([] { bubble([] { static_cast<void>(nap().join()); }); });
}
WEFT_CHILD(outside_coroutine_sends) {
  return used_outside([] { return weft::make_chan<int>(1); }, [](channel& c) { [](channel to) -> weft::co::task<> { co_await weft::co::send(to, 1); }(c).join(); });
}
WEFT_CHILD(outside_coroutine_receives) {
  return used_outside([] { return weft::make_chan<int>(1); }, [](channel& c) { [](channel from) -> weft::co::task<> { co_await weft::co::recv(from); }(c).join(); });
}
// A coroutine would sleep in the machine's time, and the bubble not know of it.
TEST(bubble, has_no_coroutines) {
  for (const char* scenario : {"coroutine_started_in_bubble", "coroutine_forked_in_bubble", "coroutine_joined_in_bubble"})
    expect_fatal(scenario, "co: coroutine started in synctest bubble");
  expect_fatal("outside_coroutine_sends", "send on synctest channel from outside bubble");
  expect_fatal("outside_coroutine_receives", "receive on synctest channel from outside bubble");
}
// SYNCTEST-10
TEST(bubble, keeps_its_wait_groups_to_itself) {
  expect_fatal("outside_wait_group", "sync: WaitGroup.Add called from inside and outside synctest bubble");
  expect_fatal("inside_after_outside_wait_group", "sync: WaitGroup.Add called from inside and outside synctest bubble");
  expect_fatal("wait_group_of_two_bubbles", "sync: WaitGroup.Add called from multiple synctest bubbles");
}
// SYNCTEST-11
TEST(bubble, may_not_be_notified_from_outside) { expect_fatal("outside_notify", "semaphore wake of synctest goroutine from outside bubble"); }
