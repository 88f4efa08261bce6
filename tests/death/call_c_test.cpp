// call_c_test.cpp: waiting inside call_c is a fatal error that says so.
// weft-test: emulated=0
#include <cstdio>
#include <string>

#include "support/support.hpp"

using namespace weft::test;

namespace {
template <class F>
int inside(F f) {
  return weft::run([&] {
    weft::call_c(f);
    std::puts("went on");
  });
}
void expect_refused(const char* scenario, const std::string& what) {
  const auto r = child(scenario);
  EXPECT_TRUE(ended_with(r, 2)) << scenario;
  EXPECT_TRUE(starts_with(r.err, "weft: " + what + " in call_c: what runs on the scheduler's stack may not wait for goroutines\nfatal error: schedule: in call_c\n"))
      << scenario;
  EXPECT_EQ(r.out, "") << scenario;
}
}  // namespace

WEFT_CHILD(receives_in_call_c) {
  return inside([] { static_cast<void>(weft::make_chan<int>().recv()); });
}
WEFT_CHILD(receives_for_a_while_in_call_c) {
  return inside([] { static_cast<void>(weft::make_chan<int>().recv_for(1s)); });
}
WEFT_CHILD(locks_in_call_c) {
  return inside([] {
    weft::mutex m;
    m.lock();
    m.lock();
  });
}
WEFT_CHILD(sleeps_in_call_c) {
  return inside([] { weft::this_goroutine::sleep_for(1ms); });
}
WEFT_CHILD(selects_in_call_c) {
  return inside([] { weft::select(weft::on_recv(weft::make_chan<int>())); });
}
// Go's "schedule: in cgo". A lap there would overwrite the foreign frames.
TEST(call_c, refuses_to_wait) {
  expect_refused("receives_in_call_c", "chan receive");
  expect_refused("receives_for_a_while_in_call_c", "chan receive");
  expect_refused("locks_in_call_c", "sync.Mutex.Lock");
  expect_refused("sleeps_in_call_c", "sleep");
  expect_refused("selects_in_call_c", "select");
}

WEFT_CHILD(goexits_in_call_c) {
  return inside([] { weft::this_goroutine::exit(); });
}
TEST(call_c, refuses_to_unwind) {
  const auto r = child("goexits_in_call_c");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: this_goroutine::exit: in call_c\n"));
}

WEFT_CHILD(process_exit_in_call_c) {
  return inside([] { weft::exit(5); });
}
TEST(call_c, may_end_the_process) { EXPECT_TRUE(ended_with(child("process_exit_in_call_c"), 5)); }
