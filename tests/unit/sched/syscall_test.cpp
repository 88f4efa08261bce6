// syscall_test.cpp: calls that block their thread, and what the others have of it.
// weft-test: serial=1 timeout=120
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "sched/sched.hpp"
#include "support/support.hpp"
#include "work/thieves.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {

void block(std::chrono::nanoseconds d) {
  const timespec t{d.count() / 1'000'000'000, d.count() % 1'000'000'000};
  ::nanosleep(&t, nullptr);
}

enum class kind { blocking, system_call };

template <class F>
void call(kind k, F f) {
  if (k == kind::blocking) weft::blocking(f);
  else weft::system_call(f);
}

/// How long a goroutine that yields in a loop did not get its turn, at worst, from the begin of another one's call of 100 ms on.
steady::duration worst_gap_beside_a_call(kind k) {
  std::atomic<bool> calling{false}, done{false};
  weft::wait_group both;
  steady::time_point begin{};
  both.go([&] {
    begin = steady::now();
    calling = true;
    call(k, [] { block(100ms); });
    done = true;
  });
  steady::duration worst{};
  both.go([&] {
    while (!calling) self::yield();
    for (auto last = begin; !done;) {
      const auto now = steady::now();
      worst = std::max(worst, now - last);
      last = now;
      self::yield();
    }
  });
  both.wait();
  return worst;
}

}  // namespace

// SCHED-22. At one processor everybody would stand still for as long as a disk or a database takes. The best of some tries: the
// machine holds us up, too.
WEFT_TEST(blocking_call, does_not_hold_up_the_others) {
  with_procs one(1);
  const auto before = weft::stats().retaken;
  for (const kind k : {kind::blocking, kind::system_call}) {
    steady::duration best = 1h;
    for (int i = 0; i < 50 && best >= 20ms; ++i) best = std::min(best, worst_gap_beside_a_call(k));
    EXPECT_LT(best, limit(20ms)) << (k == kind::blocking ? "blocking" : "system_call");
  }
  EXPECT_TRUE(weft::thieves.no_membarrier || weft::stats().retaken > before);  // without, it is handed over before the call
}

// SCHED-23. One after the other they would take 3.2 s.
WEFT_TEST(blocking_call, has_as_many_threads_as_there_are_calls) {
  with_procs two(2);
  for (const kind k : {kind::blocking, kind::system_call}) {
    const auto start = steady::now();
    weft::wait_group done;
    for (int i = 0; i < 64; ++i) done.go([k] { call(k, [] { block(100ms); }); });
    done.wait();
    EXPECT_LT(steady::now() - start, limit(1s)) << (k == kind::blocking ? "blocking" : "system_call");
  }
}

// SCHED-22. Calls that begin on one processor as fast as those before them end: who comes back takes it from who has just gone into one, and
// gives it to those who wait. Not where it is handed over before the call.
WEFT_TEST(system_call, comes_back_to_the_processor_of_another_one) {
  if (weft::thieves.no_membarrier) GTEST_SKIP() << "no membarrier";
  with_procs one(1);
  const auto before = weft::stats().taken_back;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> yields{0};
  weft::wait_group callers, other;
  other.go([&] {
    for (; !stop; ++yields) self::yield();
  });
  constexpr int each = 50;
  std::atomic<int> made{0};
  for (int i = 0; i < 32; ++i) {
    callers.go([&] {
      for (int k = 0; k < each; ++k) made += weft::system_call([] { return block(1ms), 1; });
    });
  }
  callers.wait();
  stop = true;
  other.wait();
  EXPECT_EQ(made, 32 * each);
  EXPECT_GT(weft::stats().taken_back, before);
  EXPECT_GT(yields, 0u);
}

// SCHED-24. A hand-over wakes a thread. Somebody is runnable all the time, so each would be one.
WEFT_TEST(system_call, that_is_short_keeps_its_processor) {
  with_procs one(1);
  std::atomic<bool> stop{false};
  weft::wait_group other;
  other.go([&] {
    while (!stop) self::yield();
  });
  self::yield();
  const auto before = weft::stats().wakeups;
  for (int i = 0; i < 100'000; ++i) weft::system_call(&::getpid);
  EXPECT_LT(weft::stats().wakeups - before, 1'000u);
  stop = true;
  other.wait();
}

// The next burst has the threads of the one before: making one costs much more than waking one.
WEFT_TEST(blocking_call, has_the_threads_of_those_before) {
  const auto burst = [] {
    std::set<int> threads;
    weft::mutex m;
    weft::wait_group done;
    for (int i = 0; i < 48; ++i) {
      done.go([&] {
        const int thread = weft::blocking([] {
          block(60ms);
          return ::gettid();
        });
        const std::lock_guard hold(m);
        threads.insert(thread);
      });
    }
    done.wait();
    return threads;
  };
  const auto first = burst();
  EXPECT_GE(first.size(), 8u);
  const auto threads = weft::stats().threads;
  EXPECT_GE(threads, first.size());
  EXPECT_LT(threads, 48u + 80u);  // also those of the tests before
  for (int i = 0; i < 3; ++i) burst();
  EXPECT_LE(weft::stats().threads, std::max<std::uint64_t>(threads, 48) + 16);
}

// Beyond some hundreds of threads there is nothing to gain: calls queue for one then, and none is lost.
WEFT_TEST(blocking_call, of_a_thousand_at_once_queue_for_some_hundred_threads) {
  if (under_sanitizer) GTEST_SKIP() << "threads cost too much here";
  std::atomic<int> calls{0};
  std::atomic<std::uint64_t> most{0};
  weft::wait_group done;
  for (int i = 0; i < 1'000; ++i) {
    done.go([&] {
      weft::blocking([&] {
        block(100ms);
        const auto threads = weft::stats().threads;
        for (auto seen = most.load(); seen < threads && !most.compare_exchange_weak(seen, threads);) {
        }
      });
      ++calls;
    });
  }
  done.wait();
  EXPECT_EQ(calls, 1'000);
  EXPECT_LT(most, 800u);
}

WEFT_TEST(blocking_call, gives_back_what_the_function_gives) {
  int i = 5;
  int& r = weft::blocking([&]() -> int& { return i; });
  EXPECT_EQ(&r, &i);
  EXPECT_EQ(*weft::blocking([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(3)), 3);
  EXPECT_EQ(weft::system_call([](int a, int b) { return a - b; }, 7, 3), 4);
  weft::blocking([] {});
}

// errno is the call's, though the goroutine may come back on another thread, and though others have had theirs meanwhile.
WEFT_TEST(blocking_call, leaves_errno_as_the_function_did) {
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      while (!stop) {
        weft::on_this_thread([] { errno = ENOSPC; });
        self::yield();
      }
    });
  }
  weft::wait_group callers;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 8; ++i) {
    callers.go([&, i] {
      for (int k = 0; k < scale(50, 10); ++k) {
        const auto close_nothing = [&] { ::close(-1), block(k % 4 == 0 ? 200us : 1us); };
        if (i % 2) weft::blocking(close_nothing);
        else weft::system_call(close_nothing);
        if (weft::on_this_thread([] { return errno; }) != EBADF) ++wrong;
        self::yield();
      }
    });
  }
  callers.wait();
  stop = true;
  done.wait();
  EXPECT_EQ(wrong, 0);
}

// It leaves on the thread that came back, with a processor or after having queued for one.
WEFT_TEST(blocking_call, lets_exceptions_through) {
  weft::wait_group done;
  std::atomic<int> caught{0};
  for (int i = 0; i < 16; ++i) {
    done.go([&, i] {
      for (int k = 0; k < scale(40, 8); ++k) {
        try {
          call(i % 2 ? kind::blocking : kind::system_call, [&] {
            block(k % 2 ? 100us : 1us);
            throw std::runtime_error(std::to_string(i));
          });
        } catch (const std::runtime_error& e) {
          self::yield();
          if (e.what() == std::to_string(i)) ++caught;
        }
      }
    });
  }
  done.wait();
  EXPECT_EQ(caught, 16 * scale(40, 8));
}

WEFT_TEST(blocking_call, in_a_blocking_call_is_one_call) {
  with_procs one(1);
  std::atomic<int> turns{0};
  std::atomic<bool> stop{false};
  weft::wait_group other;
  other.go([&] {
    while (!stop) ++turns, self::yield();
  });
  const int value = weft::blocking([&] {
    const int before = turns;
    const int inner = weft::blocking([] { return weft::system_call([] { return 6; }); });
    const auto give_up = steady::now() + 10s;
    while (turns == before && steady::now() < give_up) block(100us);  // the outer one lasts still
    EXPECT_NE(turns, before);
    return inner;
  });
  EXPECT_EQ(value, 6);
  stop = true;
  other.wait();
}

// What it starts and wakes is the others' at once.
WEFT_TEST(blocking_call, may_start_and_wake_goroutines) {
  const auto c = weft::make_chan<int>(1), answer = weft::make_chan<int>();
  weft::go([=]() mutable {
    for (const int i : c) {
      weft::go([=]() mutable { answer.send(i + 1); });
    }
    answer.close();
  });
  for (int i = 0; i < 20; ++i) {
    for (const kind k : {kind::blocking, kind::system_call}) {
      call(k, [to = c, i]() mutable {
        static_cast<void>(to.try_send(i));
        block(50us);
        weft::go([] { self::yield(); });
      });
      EXPECT_EQ(weft::chan<int>(answer).recv(), i + 1);
    }
  }
  weft::chan<int>(c).close();
}

WEFT_TEST(blocking_call, on_a_plain_thread_is_a_call) {
  plain_thread([] {
    EXPECT_EQ(weft::blocking([] { return 4; }), 4);
    EXPECT_EQ(weft::system_call(&::getpid), ::getpid());
    EXPECT_THROW(weft::blocking([] { throw 1; }), int);
  }).join();
}

TEST(set_max_threads, returns_the_number_before) {
  EXPECT_EQ(weft::set_max_threads(9'000), 10'000);  // SCHED-25
  EXPECT_EQ(weft::set_max_threads(0), 9'000);
  EXPECT_EQ(weft::set_max_threads(10'000), 9'000);
}

// PREEMPT-06. Short calls are not made for nothing at the cost of who waits.
WEFT_TEST(system_call, in_a_loop_does_not_keep_others_from_starting_and_stopping) {
  with_procs two(2);
  for (const auto length : {10us, 100us, 1000us}) {
    std::atomic<int> started{0};
    std::atomic<bool> stop{false};
    const auto begin = steady::now();
    weft::wait_group done;
    for (int i = 0; i < 8; ++i) {
      done.go([&] {
        ++started;
        while (!stop) weft::system_call([&] { block(length); });
      });
    }
    EXPECT_TRUE(eventually([&] { return started == 8; }, 5s));
    stop = true;
    done.wait();
    EXPECT_LT(steady::now() - begin, limit(5s)) << length.count();
  }
}

// PREEMPT-06. Nobody waits for the processor of the one that makes calls, but another has many in its queue.
WEFT_TEST(system_call, in_a_loop_leaves_its_processor_to_those_behind_another) {
  if (weft::thieves.no_membarrier) GTEST_SKIP() << "a call gives its processor up at once here";
  with_procs two(2);
  std::atomic<bool> stop{false};
  weft::wait_group both;
  both.go([&] {
    while (!stop) weft::system_call(&::getpid);
  });
  std::atomic<int> helped{0};
  both.go([&] {
    const auto begin = steady::now(), settled = begin + 100ms, end = begin + limit(5s);
    while (helped < 50 && steady::now() < end) {
      const weft::p* const here = weft::self()->mp->pp;
      weft::wait_group pieces;
      for (int i = 0; i < 20; ++i) {
        pieces.go([&] {
          spin(50us);
          const weft::p* const there = weft::self()->mp->pp;
          helped += steady::now() > settled && there && there != here;
        });
      }
      pieces.wait();
    }
    stop = true;
  });
  both.wait();
  EXPECT_GE(helped, 50);
}

namespace {
/// As the monitor does it.
void ask_to_give_way(std::uint32_t bit) {
  if (weft::p* pp = weft::self()->mp->pp) pp->attention.fetch_or(bit, std::memory_order_release);  // [mo:attention]
}
}  // namespace

// Within a few calls, for somebody may have taken the processor meanwhile.
WEFT_TEST(system_call, gives_way_at_its_end_when_asked) {
  with_procs one(1);
  for (const auto bit : {weft::attention_preempt, weft::attention_help}) {
    std::atomic<bool> ran{false};
    weft::wait_group other;
    other.go([&] { ran = true; });
    int calls = 0;
    for (; !ran && calls < 10; ++calls) ask_to_give_way(bit), weft::system_call([] {});
    EXPECT_LT(calls, 10);
    other.wait();
  }
}

// It would wait for itself.
WEFT_TEST(system_call, of_who_has_stopped_the_world_goes_on) {
  int calls = 0;
  for (const auto bit : {weft::attention_preempt, weft::attention_help}) {
    weft::stop_the_world([&]() noexcept {
      for (int i = 0; i < 3; ++i) ask_to_give_way(bit), weft::system_call([&] { ++calls; });
    });
  }
  EXPECT_EQ(calls, 6);
}

// Timers belong to processors. A call that takes the last one along that somebody watches must leave a watcher behind, or everybody
// who sleeps sleeps until the call returns.
WEFT_TEST(call, of_the_last_running_processor_leaves_somebody_at_the_timers) {
  with_procs two(2);
  std::atomic<bool> calling{false};
  steady::duration slept{};
  weft::wait_group done;
  done.go([&] {
    const auto start = steady::now();
    self::sleep_for(200ms);
    slept = steady::now() - start;
  });
  spin(5ms);  // so that the other processor has that timer
  done.go([&] {
    self::sleep_for(20ms);
    weft::blocking([&] {
      calling = true;
      block(1500ms);
    });
  });
  self::yield();
  spin(5ms);
  done.wait();
  EXPECT_TRUE(calling.load());
  EXPECT_LT(slept, limit(1s));
}
