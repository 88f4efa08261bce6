// fatal_test.cpp: what is beyond repair ends the process at once: the text, status 2, no exception, no destructors.
// weft-test: emulated=0
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <string>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lock/lock.hpp"
#include "sched/sched.hpp"
#include "support/support.hpp"

using namespace weft::test;

namespace {
struct tells {
  ~tells() { std::puts("a destructor ran"); }
};
void expect_fatal(const char* scenario, const std::string& text) {
  const auto r = child(scenario);
  EXPECT_TRUE(ended_with(r, 2)) << scenario;
  EXPECT_TRUE(contains("\n" + r.err, "\nfatal error: " + text + "\n")) << scenario;
  EXPECT_TRUE(contains(r.err, "goroutine ")) << scenario;
  EXPECT_EQ(r.out, "") << scenario;
}
}  // namespace

WEFT_CHILD(go_of_empty_function) {
  std::atexit([] { std::puts("an atexit handler ran"); });
  return weft::run([] {
    tells t;
    try {
      weft::go(std::function<void()>{});
    } catch (...) {
      std::puts("caught");
    }
  });
}
WEFT_CHILD(go_of_null_pointer) {
  return weft::run([] {
    try {
      void (*f)() = nullptr;
      weft::go(f);
    } catch (...) {
      std::puts("caught");
    }
  });
}
// SCHED-28
TEST(fatal, go_of_an_empty_function) {
  expect_fatal("go_of_empty_function", "go of nil func value");
  expect_fatal("go_of_null_pointer", "go of nil func value");
}

WEFT_CHILD(parks_with_a_runtime_lock) {
  return weft::run([] {
    static weft::ranked_lock<weft::rank::leaf> ours;
    ours.lock();
    weft::this_goroutine::yield();
  });
}
// Goroutines that wait for the lock would wait for one that is not running.
TEST(fatal, parking_with_a_lock_of_the_runtime) { expect_fatal("parks_with_a_runtime_lock", "schedule: holding locks"); }

WEFT_CHILD(searches_with_local_work) {
  return weft::run([] {
    weft::m* mp = weft::self()->mp;
    mp->spinning = true;
    mp->pp->attention.fetch_or(weft::attention_safe_point);  // a long lap
    weft::go([] {});
    weft::go([] {});
    weft::this_goroutine::yield();
  }, {.procs = 1});
}
// Row 9. It would go on searching, and as long as somebody searches nobody is woken.
TEST(fatal, searching_with_local_work) { expect_fatal("searches_with_local_work", "schedule: spinning with local work"); }

WEFT_CHILD(unlock_of_a_free_mutex) {
  return weft::run([] {
    tells t;
    weft::mutex m;
    try {
      m.unlock();
    } catch (...) {
      std::puts("caught");
    }
  });
}
WEFT_CHILD(unlock_twice) {
  return weft::run([] {
    weft::mutex m;
    m.lock();
    m.unlock();
    m.unlock();
  });
}
// MUTEX-03
TEST(fatal, unlock_of_an_unlocked_mutex) {
  expect_fatal("unlock_of_a_free_mutex", "sync: unlock of unlocked mutex");
  expect_fatal("unlock_twice", "sync: unlock of unlocked mutex");
}

namespace {
[[gnu::noinline]] int endless(int n) {
  volatile char frame[200];
  frame[0] = static_cast<char>(n);
  return n < 0 ? 0 : endless(n + 1) + frame[0];
}
}  // namespace
WEFT_CHILD(endless_recursion) {
  return weft::run([] {
    weft::go([] { std::printf("%d\n", endless(1)); });
    weft::this_goroutine::sleep_for(10s);
  });
}
WEFT_CHILD(endless_recursion_of_main) {
  return weft::run([] { std::printf("%d\n", endless(1)); });
}
WEFT_CHILD(endless_recursion_beside_others) {
  return weft::run([] {
    // Stacks on both sides are in use: what overflows may not reach them unseen.
    for (int i = 0; i < 100; ++i) weft::go([] { weft::this_goroutine::sleep_for(1h); });
    weft::go([] { std::printf("%d\n", endless(1)); });
    for (int i = 0; i < 100; ++i) weft::go([] { weft::this_goroutine::sleep_for(1h); });
    weft::this_goroutine::sleep_for(10s);
  });
}
WEFT_CHILD(endless_recursion_among_thousands) {  // whose stacks are made by the dozen
  return weft::run([] {
    for (int i = 0; i < 2'000; ++i) weft::go([] { weft::this_goroutine::sleep_for(1h); });
    weft::this_goroutine::sleep_for(10ms);
    weft::go([] { std::printf("%d\n", endless(1)); });
    weft::this_goroutine::sleep_for(10s);
  });
}
// A sandbox, or a kernel before 6.15, that does not know process_madvise() for the own process.
WEFT_CHILD(endless_recursion_without_process_madvise) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return 3;
  if (syscall(SYS_process_madvise, -1, nullptr, 0, 0, 0) != -1 || errno != ENOSYS) return 4;
  return weft_child_endless_recursion_among_thousands(args);
}
// SCHED-30. The alternative is another goroutine's stack with strange values in it, an hour later.
TEST(fatal, unbounded_recursion) {
  for (const char* scenario : {"endless_recursion", "endless_recursion_of_main", "endless_recursion_beside_others", "endless_recursion_among_thousands",
                               "endless_recursion_without_process_madvise"}) {
    const auto r = child(scenario);
    EXPECT_TRUE(ended_with(r, 2)) << scenario;
    EXPECT_TRUE(contains(r.err, "fatal error: stack overflow")) << scenario;
    const auto line = r.err.substr(0, r.err.find('\n'));
    EXPECT_TRUE(contains(line, "byte limit")) << "the first line names the limit";
    EXPECT_EQ(r.out, "");
  }
}

namespace {
// Some 6 KiB beyond the end of a stack of the default size, into where its guard would be.
[[gnu::noinline]] int beyond(const char* top) {
  volatile char frame[200];
  frame[0] = 1;
  return top - const_cast<const char*>(frame) > 246 * 1024 ? 0 : beyond(top) + frame[0];
}
}  // namespace
WEFT_CHILD(overflow_without_a_guard_then_waits) {
  return weft::run(
      [] {
        weft::go({.name = "deep"}, [] {
          std::printf("%d\n", beyond(static_cast<const char*>(__builtin_frame_address(0))) > 0);
          std::fflush(stdout);
          weft::this_goroutine::sleep_for(1h);
        });
        weft::this_goroutine::sleep_for(10s);
      },
      {.debug = "stackguards=0"});
}
WEFT_CHILD(overflow_without_a_guard_then_ends) {
  return weft::run(
      [] {
        weft::go({.name = "deep"}, [] {
          std::printf("%d\n", beyond(static_cast<const char*>(__builtin_frame_address(0))) > 0);
          std::fflush(stdout);
        });
        weft::this_goroutine::sleep_for(10s);
      },
      {.debug = "stackguards=0"});
}
// Before Linux 6.13 there are not guards enough for a million stacks. Who overflows then may not go on, and the limit is named.
TEST(fatal, overflow_of_a_stack_without_a_guard_is_noticed_when_its_goroutine_waits_or_ends) {
  for (const char* scenario : {"overflow_without_a_guard_then_waits", "overflow_without_a_guard_then_ends"}) {
    const auto r = child(scenario);
    EXPECT_TRUE(ended_with(r, 2)) << scenario;
    EXPECT_EQ(r.out, "1\n") << scenario;
    EXPECT_TRUE(contains(r.err, "fatal error: stack overflow")) << scenario;
    EXPECT_TRUE(contains(r.err, "runtime: goroutine stack exceeds 245760-byte limit")) << scenario;
    EXPECT_TRUE(contains(r.err, " deep has no guard under its stack")) << scenario;
  }
}

WEFT_CHILD(few_guards) {
  return weft::run(
      [] {
        std::atomic<int> ended{0};
        for (int round = 0; round < 3; ++round) {  // stacks with and without a guard are used again and again
          weft::wait_group done;
          for (int i = 0; i < 1000; ++i) {
            done.go([&] {
              weft::this_goroutine::yield();
              weft::this_goroutine::sleep_for(1ms);
              ++ended;
            });
          }
          done.wait();
        }
        std::printf("%d\n", ended.load());
      },
      {.debug = "stackguards=10"});
}
TEST(fatal, running_out_of_guards_is_said_once_and_harms_nobody) {
  const auto r = child("few_guards");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "3000\n");
  const auto said = r.err.find("weft: no more stack guards: half of vm.max_map_count is used");
  EXPECT_NE(said, std::string::npos);
  EXPECT_EQ(r.err.find("no more stack guards", said + 20), std::string::npos);
}

WEFT_CHILD(nested_run) {
  return weft::run([] {
    try {
      return weft::run([] { return 0; });
    } catch (...) {
      std::puts("caught");
      return 1;
    }
  });
}
TEST(fatal, run_inside_run) {
  const auto r = child("nested_run");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: run: called inside run(), or beside another\n"));
  EXPECT_EQ(r.out, "");
}

WEFT_CHILD(second_run_beside_the_first) {
  return weft::run([] {
    auto c = weft::make_chan<int>();
    plain_thread t([=] {
      weft::run([] {});
      c.send(1);
    });
    static_cast<void>(c.recv());
    return 0;
  });
}
TEST(fatal, run_beside_run) {
  const auto r = child("second_run_beside_the_first");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "fatal error: "));
}

WEFT_CHILD(unknown_debug_setting) {
  return weft::run([] { return 3; });
}
// A setting with a typing error that is passed over in silence costs an afternoon.
TEST(debug_setting, that_is_unknown_is_reported) {
  const auto r = child("unknown_debug_setting", {.env = {"WEFT_DEBUG=nosuchthing=1"}});
  EXPECT_TRUE(ended_with(r, 3));
  EXPECT_TRUE(contains(r.err, "nosuchthing"));
}
