// attach_test.cpp: what attached threads mean for deadlocks, reports and forks.
// weft-test: emulated=0
#include <cstdio>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "base/throw.hpp"
#include "sched/attach.hpp"
#include "support/support.hpp"

using namespace weft::test;

namespace {
const char* const asleep = "fatal error: all goroutines are asleep - deadlock!\n";

/// A thread that comes late. With deadlock_policy::fatal nobody asks what else the process has.
int waits_for_a_thread(bool attaches) {
  const auto c = weft::make_chan<int>();
  static std::atomic<bool> there{false};
  std::thread t([=] {
    if (attaches) {
      const weft::attached_thread here;
      there = true;
      std::this_thread::sleep_for(200ms);
      c.send(7);
    } else {
      there = true;
      std::this_thread::sleep_for(10s);  // the end comes before
      c.send(7);
    }
  });
  while (!there) std::this_thread::yield();
  const int got = weft::run([=] { return c.recv().value(); }, {.deadlock = weft::deadlock_policy::fatal});
  t.join();
  return got;
}
}  // namespace

WEFT_CHILD(waits_for_an_attached_thread) { return waits_for_a_thread(true); }
WEFT_CHILD(waits_for_some_thread) { return waits_for_a_thread(false); }
// DEADLOCK-09. Row 52 of Go's runtime.main.
TEST(attach, keeps_a_deadlock_from_being_reported) {
  EXPECT_TRUE(ended_with(child("waits_for_an_attached_thread"), 7));
  const auto r = child("waits_for_some_thread");
  EXPECT_TRUE(ended_with(r, 2)) << "or this test shows nothing";
  EXPECT_TRUE(starts_with(r.err, asleep));
}

WEFT_CHILD(the_last_attached_thread_goes) {
  static const auto c = weft::make_chan<int>();
  static std::atomic<bool> there{false};
  std::thread([] {
    const weft::attached_thread here;
    there = true;
    std::this_thread::sleep_for(100ms);  // by then everybody sleeps
  }).detach();
  while (!there) std::this_thread::yield();
  return weft::run([] { return c.recv().value(); }, {.deadlock = weft::deadlock_policy::fatal});
}
// Nobody of weft's is awake any more who could look.
TEST(attach, lets_a_deadlock_be_reported_when_the_last_one_goes) {
  const auto start = steady::now();
  const auto r = child("the_last_attached_thread_goes");
  EXPECT_TRUE(ended_with(r, 2));
  std::string report = asleep;
  report += "\ngoroutine 1 [chan receive]:\n";
  EXPECT_TRUE(starts_with(r.err, report));
  EXPECT_LT(steady::now() - start, limit(4s));
}

WEFT_CHILD(own_thread_runs) {
  const weft::attached_thread here;
  return weft::run([] { static_cast<void>(weft::make_chan<int>().recv()); }, {.deadlock = weft::deadlock_policy::fatal});
}
// It is inside run(): it wakes nobody from outside.
TEST(attach, of_the_thread_that_calls_run_hides_no_deadlock) {
  const auto r = child("own_thread_runs");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, asleep));
}

WEFT_CHILD(attached_thread_fails) {
  return weft::run([] {
    std::thread t([] {
      const weft::attached_thread here({.name = "audio"});
      while (weft::stats().parks == 0) std::this_thread::yield();
      weft::fatal("of an attached thread");
    });
    static_cast<void>(weft::make_chan<int>().recv());
    t.join();
  });
}
TEST(attach, lists_the_thread_in_its_own_fatal_report_first) {
  const auto r = child("attached_thread_fails", {.env = {"WEFT_TRACEBACK=all"}});
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: of an attached thread\n\ngoroutine "));
  EXPECT_LT(r.err.find("[running, foreign thread]: audio\n"), r.err.find("\ngoroutine 1 [")) << r.err;
}

WEFT_CHILD(panics_beside_attached) {
  return weft::run([] {
    const auto c = weft::make_chan<int>();
    std::thread t([c] {
      const weft::attached_thread here({.name = "audio"});
      static_cast<void>(c.recv());
    });
    static_cast<void>(eventually([] {
      std::ostringstream report;
      weft::debug::dump(report);
      return report.str().find("[chan receive, foreign thread]: audio") != std::string::npos;
    }));
    throw 1;
  });
}
TEST(attach, lists_the_thread_in_the_reports_of_others) {
  const auto r = child("panics_beside_attached", {.env = {"WEFT_TRACEBACK=all"}});
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, " [chan receive, foreign thread]: audio\n\tthread that weft did not make; stack unavailable\n"));
}

WEFT_CHILD(destroyed_elsewhere) {
  auto here = std::make_unique<weft::attached_thread>();
  std::thread([&] { here.reset(); }).join();
  return 1;
}
TEST(attach, destroyed_by_another_thread_is_fatal) {
  const auto r = child("destroyed_elsewhere");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: attached_thread: destroyed by another thread\n"));
}

WEFT_CHILD(forked_child_attaches) {
  weft::run([] {});  // there was a world
  const weft::attached_thread before;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(5);  // instead of a hang
    if (args.at(0) == "attach") const weft::attached_thread again;
    if (args.at(0) == "exit") std::exit(5);  // with destructors, which find nothing to do
    return 77;
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
// Hazard 15
TEST(attach, in_a_forked_child_is_refused) {
  const auto r = child("forked_child_attaches", {.args = {"attach"}});
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_EQ(r.err, "weft: this is a forked child; weft's threads stayed in its parent: only exec or _exit may follow\n");
  EXPECT_TRUE(ended_with(child("forked_child_attaches", {.args = {"exit"}}), 5));
  EXPECT_TRUE(ended_with(child("forked_child_attaches", {.args = {"return"}}), 77));
}

WEFT_CHILD(forks_while_attached) {
  const weft::attached_thread here;
  static std::atomic<int> there{0};
  static std::atomic<bool> stop{false};
  std::thread other([] {
    const weft::attached_thread mine;
    for (there = 1; !stop;) std::this_thread::yield();
  });
  while (there == 0) std::this_thread::yield();
  const auto id = weft::this_goroutine::id();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(10);
    if (weft::attached_threads() != 1 || weft::this_goroutine::id() != id) ::_exit(1);
    // The other one is not here, and wakes nobody: a deadlock is one.
    weft::run([] { static_cast<void>(weft::make_chan<int>().recv()); }, {.deadlock = weft::deadlock_policy::fatal});
    ::_exit(3);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  stop = true;
  other.join();
  return WIFEXITED(status) && weft::attached_threads() == 1 ? WEXITSTATUS(status) : 4;
}
TEST(attach, of_other_threads_stays_in_the_parent_of_a_fork) {
  if (under_tsan) GTEST_SKIP() << "ThreadSanitizer lets no thread begin after such a fork";
  const auto r = child("forks_while_attached");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, asleep));
}
