// on_switch_test.cpp: what switch hooks may not do, and says so.
// weft-test: procs=1,4 emulated=0
#include <cstdio>
#include <memory>
#include <string>

#include "support/support.hpp"

using namespace weft::test;

namespace {
void waits(void*) noexcept { static_cast<void>(weft::make_chan<int>().recv()); }
void sleeps(void*) noexcept { weft::this_goroutine::sleep_for(1ms); }
int with(const weft::switch_hooks& hooks) {
  return weft::run([&] {
    const weft::on_switch here(hooks);
    weft::go([] {});
    for (int i = 0; i < 100; ++i) weft::this_goroutine::sleep_for(1us);
    std::puts("went on");
  });
}
void expect_refused(const char* scenario, const std::string& what) {
  const auto r = child(scenario);
  EXPECT_TRUE(ended_with(r, 2)) << scenario;
  EXPECT_TRUE(starts_with(r.err, "weft: " + what + " in a switch hook: what runs on the scheduler's stack may not wait for goroutines\n"
                                                   "fatal error: schedule: in a switch hook\n"))
      << scenario;
  EXPECT_EQ(r.out, "") << scenario;
}
}  // namespace

WEFT_CHILD(enter_waits) { return with({.enter = &waits}); }
WEFT_CHILD(leave_sleeps) { return with({.leave = &sleeps}); }
WEFT_CHILD(later_enter_sleeps) {
  static int times = 0;
  return with({.enter = [](void* arg) noexcept {
    if (++times == 3) sleeps(arg);
  }});
}
// Hazard 18
TEST(on_switch, hook_that_waits_is_fatal) {
  expect_refused("enter_waits", "chan receive");
  expect_refused("leave_sleeps", "sleep");
  expect_refused("later_enter_sleeps", "sleep");
}

WEFT_CHILD(not_the_latest) {
  return weft::run([] {
    auto a = std::make_unique<weft::on_switch>(weft::switch_hooks{}), b = std::make_unique<weft::on_switch>(weft::switch_hooks{});
    a.reset();
  });
}
WEFT_CHILD(of_another) {
  return weft::run([] {
    std::unique_ptr<weft::on_switch> a;
    weft::wait_group done, made, go_on;
    made.add(1), go_on.add(1);
    done.go([&] {
      a = std::make_unique<weft::on_switch>(weft::switch_hooks{});
      made.done();
      go_on.wait();
    });
    made.wait();
    a.reset();
  });
}
WEFT_CHILD(outlives) {
  return weft::run([] {
    static std::unique_ptr<weft::on_switch> a;
    weft::wait_group done;
    weft::go([&] { a = std::make_unique<weft::on_switch>(weft::switch_hooks{}); });
    for (;;) weft::this_goroutine::sleep_for(1ms);
  });
}
TEST(on_switch, that_is_no_local_variable_is_fatal) {
  for (const char* scenario : {"not_the_latest", "of_another"}) {
    const auto r = child(scenario);
    EXPECT_TRUE(ended_with(r, 2)) << scenario;
    EXPECT_TRUE(starts_with(r.err, "fatal error: on_switch: destroyed by another goroutine, or not the latest first\n")) << scenario;
  }
  const auto r = child("outlives");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: on_switch: its goroutine ends before it\n"));
}
