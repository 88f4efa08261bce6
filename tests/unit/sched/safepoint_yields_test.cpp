// safepoint_yields_test.cpp: goroutines that compute in a target of weft_safepoints(... YIELDS), without membarrier: they take turns.
// weft-test: safepoints=yields serial=1 timeout=120
#include "unit/sched/safepoint.hpp"

#include <mutex>

namespace {

/// Whether nobody else was in here with us.
WEFT_TEST_NO_POINTS bool alone(std::atomic<int>& here) {
  bool is = here.fetch_add(1) == 0;
  for (int i = 0; i < 200; ++i) is = is && here.load() == 1;
  here.fetch_sub(1);
  return is;
}

}  // namespace

// PREEMPT-01
WEFT_TEST(safe_point, that_yields_lets_a_sleeper_wake) { EXPECT_LT(best_sleep_beside<hogs>(weft::procs()), limit(weft::procs() == 1 ? 100ms : 1s)); }

// PREEMPT-02
WEFT_TEST(safe_point, that_yields_lets_another_one_have_its_turn) {
  with_procs one(1);
  wait_by_spinning(to_point());
}

// PREEMPT-03
WEFT_TEST(safe_point, that_yields_gives_each_its_share) { expect_fair_shares<hogs>(400ms); }

// PREEMPT-04
WEFT_TEST(safe_point, that_yields_keeps_registers) {
  with_procs one(1);
  const auto n = static_cast<std::uint64_t>(scale(10'000'000, 1'000'000));
  const checksum wanted = compute(n);
  std::atomic<int> right{0};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) done.go([&] { right += compute(n) == wanted; });
  done.wait();
  EXPECT_EQ(right, 4);
}

// What displacing cannot give: with one processor, one runs at a time.
WEFT_TEST(safe_point, that_yields_has_one_at_a_time_on_one_processor) {
  with_procs one(1);
  const std::uint64_t before = weft::stats().displaced;
  std::atomic<int> here{0}, together{0};
  std::array<std::atomic<int>, 4> rounds{};
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (auto& mine : rounds) {
    done.go([&] {
      while (!stop) {
        together += !alone(here);
        ++mine;
        point();
      }
    });
  }
  EXPECT_TRUE(eventually([&] { return std::all_of(rounds.begin(), rounds.end(), [](const auto& n) { return n > 1'000; }); }));
  stop = true;
  done.wait();
  EXPECT_EQ(together, 0);
  EXPECT_EQ(weft::stats().displaced, before);
}

// SCHED-21
WEFT_TEST(safe_point, that_yields_lets_the_world_stop) {
  with_procs four(4);
  const hogs beside(8);
  for (const int n : {1, 4, 2, 3}) {
    const auto start = steady::now();
    weft::set_procs(n);
    EXPECT_LT(steady::now() - start, limit(2s));
    EXPECT_EQ(weft::procs(), n);
  }
  weft::stop_the_world([]() noexcept { request(), point(); });  // and who has stopped it does not wait for itself
}

// Others run at each of these points, with handlers and unwinding of their own.
WEFT_TEST(safe_point, that_yields_keeps_exceptions_and_errno) {
  std::atomic<int> right{0};
  weft::wait_group done;
  struct sentry {
    ~sentry() { request(), point(), seen = std::uncaught_exceptions(); }
    int& seen;
  };
  for (int i = 0; i < 4; ++i) {
    done.go([&, i] {
      for (int k = 0; k < 100; ++k) {
        int seen = 0;
        try {
          const sentry unwound{seen};
          throw i;
        } catch (int caught) {
          request(), point();
          weft::on_this_thread([&] { errno = i; });
          request(), point();
          right += caught == i && seen == 1 && weft::on_this_thread([] { return errno; }) == i;
        }
      }
    });
  }
  done.wait();
  EXPECT_EQ(right, 400);
}

// Where it may not, it does not: a signal's stack is the thread's, and so is g0's.
WEFT_TEST(safe_point, that_yields_lets_pass_what_cannot_yield) {
  weft::wait_group done;
  done.go([] {
    weft::call_c([] { request(), point(); });
    weft::blocking([] { request(), point(); });
    weft::system_call([] { request(), point(); });
  });
  done.wait();
  plain_thread([] { weft::self()->wanted = 1, point(); }).join();
  in_a_signal_handler(SA_ONSTACK);
}

WEFT_TEST(safe_point, that_yields_keeps_every_argument) {
  std::atomic<bool> stop{false};
  weft::wait_group done, other;
  other.go([&] {
    while (!stop) static_cast<void>(compute(10)), self::yield();
  });
  for (int i = 0; i < 2; ++i) done.go([] { pass_arguments([] { request(); }); });
  done.wait();
  stop = true;
  other.wait();
}

// With membarrier the monitor could displace it at once: it is asked first. The machine may hold it up: the best of some tries.
WEFT_CHILD(asked_first) {
  int ended = 1;
  weft::run([&] {
    with_procs one(1);
    const hogs two(2);
    for (const auto give_up = steady::now() + limit(5s); ended != 0 && steady::now() < give_up;) {
      const std::uint64_t displaced = weft::stats().displaced, laps = weft::laps_of(weft::sched.ps[0].load());
      self::sleep_for(60ms);
      if (weft::stats().displaced == displaced && weft::laps_of(weft::sched.ps[0].load()) >= laps + 4) ended = 0;
    }
  });
  return ended;
}
TEST(safe_point, that_yields_is_asked_before_its_processor_is_taken) {
  EXPECT_TRUE(ended_with(child("asked_first", {.env = {"WITH_MEMBARRIER=1"}}), 0));
}

// Who yields promises to hold no lock of the thread's, and can have it checked.
WEFT_CHILD(yields_with_a_lock) {
  return weft::run([] {
    static std::mutex m;
    const std::lock_guard hold(m);
    request(), point();
  });
}
TEST(safe_point, that_yields_is_seen_by_lockcheck) {
  if (under_tsan) GTEST_SKIP() << "ThreadSanitizer has its own functions there";
  const auto r = child("yields_with_a_lock", {.env = {"WEFT_DEBUG=lockcheck=1"}});
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_TRUE(contains(r.err, "yields or ends while it holds the lock"));
  EXPECT_EQ(child("yields_with_a_lock").err, "");
}
