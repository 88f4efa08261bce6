// traceback_test.cpp: how long goroutines have waited, and walks over many at once.
#include <sstream>
#include <string>

#include "os/clock.hpp"
#include "sched/lap.hpp"
#include "sched/traceback.hpp"
#include "support/support.hpp"

using namespace weft::test;

namespace {
constexpr std::int64_t minute = 60'000'000'000;

std::string dumped() {
  std::ostringstream os;
  weft::debug::dump(os);
  return os.str();
}
int receivers() {
  int n = 0;
  weft::for_each_g(
      [](weft::g* gp, void* count) {
        const auto p = weft::portrait(gp, 0);
        *static_cast<int*>(count) += p.status == weft::g_status::waiting && p.why == weft::wait_reason::chan_receive;
      },
      &n);
  return n;
}
/// Sees all there are: it takes a bounded number at a time.
void note_all(std::int64_t now) {
  for (int i = 0; i < 64; ++i) weft::note_waiting(now);
}
}  // namespace

// Nobody reads a clock in order to wait: somebody comes by now and then. The monitor may have come before this test.
WEFT_TEST(traceback, shows_minutes_of_waiting_once_somebody_has_looked) {
  const auto c = weft::make_chan<int>();
  weft::wait_group all;
  all.go([c] {
    for ([[maybe_unused]] const int i : c) {
    }
  });
  const auto waits = [] { return eventually([] { return receivers() == 1; }); };
  EXPECT_TRUE(eventually([&] {
    c.send(1);
    if (!waits()) return false;
    const auto now = weft::os::now_ns();
    note_all(now - 3 * minute - minute / 2);
    note_all(now);  // the first look counts
    return dumped().find(" [chan receive, 3 minutes]:\n") != std::string::npos;
  }));
  c.send(1);
  EXPECT_TRUE(waits());
  EXPECT_TRUE(contains(dumped(), " [chan receive]:\n")) << "another wait, another time";
  c.close();
  all.wait();
}

// More than the monitor notes in passing: all of them, when the process has been idle for a second, and not before, for that takes a while.
WEFT_TEST(traceback, all_that_wait_are_noted_while_the_process_sleeps) {
  constexpr int n = 4'000;
  const auto never = weft::make_chan<void>();
  weft::wait_group all;
  for (int i = 0; i < n; ++i) all.go([never] { never.recv(); });
  const auto noted = [] {
    int count = 0;
    weft::for_each_g([](weft::g* gp, void* c) { *static_cast<int*>(c) += (gp->wait.load() & weft::g_wait_noted) != 0; }, &count);
    return count;
  };
  const auto begin = weft::os::now_ns();
  for (int i = 0; i < 10; ++i) weft::this_goroutine::sleep_for(40ms);
  const int soon = noted();
  if (weft::os::now_ns() - begin < 900'000'000) {
    EXPECT_LT(soon, n);
  }
  for (int tries = 0; tries < 3 && noted() < n; ++tries) weft::this_goroutine::sleep_for(1500ms);
  EXPECT_GE(noted(), n);
  never.close();
  all.wait();
}

// DEADLOCK-12
WEFT_TEST(traceback, says_who_is_locked_to_a_thread) {
  weft::this_goroutine::lock_thread();
  EXPECT_TRUE(contains(dumped(), " [running, locked to thread]:\n"));
  weft::this_goroutine::unlock_thread();
}

WEFT_TEST(traceback, of_a_thousand_lists_each_once) {
  const int n = scale_alive(1000);
  const auto go = weft::make_chan<void>();
  weft::wait_group all;
  for (int i = 0; i < n; ++i)
    all.go([go] { static_cast<void>(go.recv()); });
  const auto waiting = [&] {
    const auto text = dumped();
    int found = 0;
    for (auto at = text.find(" [chan receive]:\n"); at != std::string::npos; at = text.find(" [chan receive]:\n", at + 1)) ++found;
    return found;
  };
  EXPECT_TRUE(eventually([&] { return waiting() == n; }));
  go.close();
  all.wait();
}
