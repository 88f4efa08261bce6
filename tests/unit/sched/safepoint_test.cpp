// safepoint_test.cpp: goroutines that compute in a target of weft_safepoints(), where nobody can take a processor by force: without
// membarrier only their own safe points bring others to their turn.
// weft-test: safepoints=displaces serial=1 timeout=120
#include "unit/sched/safepoint.hpp"

#include <mutex>

#include <sys/wait.h>
#include <unistd.h>

// PREEMPT-01. A hog for each processor; the sleeper would never be heard of.
WEFT_TEST(safe_point, lets_a_sleeper_wake_beside_hogs) { EXPECT_LT(best_sleep_beside<hogs>(weft::procs()), limit(weft::procs() == 1 ? 100ms : 1s)); }

// PREEMPT-02
WEFT_TEST(safe_point, lets_another_one_have_its_turn) {
  with_procs one(1);
  wait_by_spinning(to_point());
}

// PREEMPT-04, PREEMPT-05
WEFT_TEST(safe_point, keeps_registers_and_locks_of_the_thread) {
  with_procs one(1);
  const auto n = static_cast<std::uint64_t>(scale(4'000'000, 400'000));
  const checksum wanted = compute(n);
  std::mutex m;
  std::atomic<int> right{0};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      bool equal;
      {
        const std::lock_guard hold(m);  // held over many points: who waits for it has a thread of its own by then
        equal = compute(n) == wanted;
      }
      right += equal && compute(n) == wanted;
    });
  }
  done.wait();
  EXPECT_EQ(right, 4);
}

// The same limit as for those who lose it by force.
WEFT_TEST(safe_point, displaces_no_more_than_a_few) { expect_no_more_than_a_few_at_once<hogs>(); }

// SCHED-21
WEFT_TEST(safe_point, lets_the_world_stop) {
  with_procs four(4);
  std::atomic<int> ran{0};
  weft::wait_group done;
  {
    const hogs beside(4);
    for (int i = 0; i < 100; ++i) done.go([&] { self::yield(), ++ran; });
    for (const int n : {1, 4, 2, 3}) {
      const auto start = steady::now();
      weft::set_procs(n);
      EXPECT_LT(steady::now() - start, limit(2s));
      EXPECT_EQ(weft::procs(), n);
    }
    weft::stop_the_world([]() noexcept { request(), point(); });  // who has stopped it keeps its own
    done.wait();
  }
  EXPECT_EQ(ran, 100);
}

// The request is there, and the code is somewhere where nothing may happen, or must not be noticed.
WEFT_TEST(safe_point, may_be_anywhere) {
  weft::wait_group done;
  done.go([] {
    request(), errno = EXDEV, point();
    EXPECT_EQ(weft::on_this_thread([] { return errno; }), EXDEV);
    weft::call_c([] { request(), point(); });
    weft::blocking([] { request(), point(); });
    weft::system_call([] { request(), point(); });
    self::yield();
    struct sentry {
      ~sentry() { request(), point(), self::yield(); }
    };
    try {
      const sentry unwound;
      request();
      throw 1;
    } catch (int i) {
      request(), point();
      EXPECT_EQ(i, 1);
    }
  });
  done.wait();
  plain_thread([] { weft::self()->wanted = 1, point(); }).join();
  for (const int flags : {0, SA_ONSTACK}) in_a_signal_handler(flags);
}

WEFT_CHILD(unlike_goroutines) {
  weft::self()->wanted = 1;  // before run()
  point();
  const int status = weft::run([] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      request(), point();
      ::_exit(7);
    }
    int ended = 0;
    ::waitpid(pid, &ended, 0);
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : 1;
  });
  weft::self()->wanted = 1;  // after it
  point();
  return status;
}
TEST(safe_point, does_nothing_before_and_after_run_and_in_a_forked_child) {
  EXPECT_GT(points_of_a_static_initialiser, 0);
  EXPECT_TRUE(ended_with(child("unlike_goroutines"), 7));
}

// A function's entry must not change what its caller has put into registers for it.
WEFT_TEST(safe_point, keeps_every_argument) {
  weft::wait_group done;
  done.go([] { pass_arguments([] { request(); }); });
  done.wait();
}

// With membarrier the monitor displaces hogs at any place; points change nothing of that.
WEFT_CHILD(with_membarrier) {
  return weft::run([] {
    const hogs beside(weft::procs());
    for (int i = 0; i < 20; ++i) self::sleep_for(1ms);
    weft::set_procs(2), weft::set_procs(1);
  });
}
TEST(safe_point, is_no_hindrance_with_membarrier) {
  EXPECT_TRUE(ended_with(child("with_membarrier", {.env = {"WITH_MEMBARRIER=1"}}), 0));
}
