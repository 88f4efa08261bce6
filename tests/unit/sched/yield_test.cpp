// yield_test.cpp: yields, and who gets to run. None of it is about exact order: order_test.cpp is.
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

// SCHED-05. A goroutine that is on a queue twice runs on two threads at once, on one stack.
WEFT_TEST(yield, never_loses_a_goroutine_and_never_runs_it_twice_at_once) {
  const int each = scale(10'000, 500);
  constexpr int n = 100;
  struct slot {
    std::atomic<bool> inside{false};
  };
  std::vector<slot> slots(n);
  std::atomic<std::int64_t> total{0};
  std::atomic<int> twice{0};
  weft::wait_group done;
  for (auto& s : slots) {
    done.go([&] {
      for (int i = 0; i < each; ++i) {
        if (s.inside.exchange(true)) ++twice;
        ++total;
        s.inside = false;
        weft::this_goroutine::yield();
      }
    });
  }
  done.wait();
  EXPECT_EQ(twice, 0);
  EXPECT_EQ(total, std::int64_t{n} * each);
}

// SCHED-06
WEFT_TEST(yield, lets_a_polling_goroutine_see_what_is_sent) {
  auto c = weft::make_chan<int>(1);
  std::atomic<bool> seen{false};
  weft::wait_group done;
  done.go([&] {
    while (!c.try_recv()) weft::this_goroutine::yield();
    seen = true;
  });
  weft::this_goroutine::yield();
  c.send(1);
  EXPECT_TRUE(eventually([&] { return seen.load(); }, 1s));
  done.wait();
}

WEFT_TEST(yield, returns_when_nobody_else_is_there) {
  for (int i = 0; i < 1'000; ++i) weft::this_goroutine::yield();
}

// SCHED-08. Two that wake each other through the "next" slot could keep a processor for themselves for ever.
WEFT_TEST(schedule, is_fair_to_others_beside_a_pair_that_keeps_waking_each_other) {
  auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
  std::atomic<bool> stop{false};
  weft::wait_group done;
  done.go([&] {
    for (const int x : a) b.send(x);
    b.close();
  });
  done.go([&] {
    while (!stop) a.send(1), static_cast<void>(b.recv());
    a.close();
  });
  for (int i = 0; i < 100; ++i) {
    const auto before = steady::now();
    weft::this_goroutine::yield();
    EXPECT_LT(steady::now() - before, limit(1s));
  }
  stop = true;
  done.wait();
}

namespace {

/// Four that must all run at once: each waits, spinning, for its turn. `start` says how they come to be.
template <class Start>
void take_turns(Start start) {
  for (int repetition = 0; repetition < 10; ++repetition) {
    std::atomic<int> turn{0};
    std::atomic<int> ended{0};
    start([&](int me) {
      for (int round = 0; round < 3; ++round) {
        while (turn.load() != round * 4 + me) {
        }
        ++turn;
      }
      ++ended;
    });
    ASSERT_TRUE(eventually([&] { return ended == 4; }, 20s));
  }
}

}  // namespace

// SCHED-12. A processor that nobody wakes leaves one of the four waiting, and the others spin for ever.
WEFT_TEST(schedule, runs_at_once_what_must_run_at_once) {
  with_procs four(4);
  take_turns([](auto body) {
    auto share = std::make_shared<decltype(body)>(body);
    for (int i = 0; i < 4; ++i) weft::go([=] { (*share)(i); });
  });
}

// SCHED-13. The same when goroutines start the others, all threads sleep before, and one of them watches the network.
WEFT_TEST(schedule, wakes_an_idle_processor_for_each_runnable_goroutine) {
  with_procs four(4);
  auto listener = weft::net::listen("tcp", "127.0.0.1:0");
  weft::go([=]() mutable {
    std::error_code ec;
    static_cast<void>(listener.accept(ec));
  });
  weft::this_goroutine::sleep_for(50ms);
  take_turns([](auto body) {
    auto share = std::make_shared<decltype(body)>(body);
    for (int i = 0; i < 2; ++i) {
      weft::go([=] {
        weft::go([=] { (*share)(2 * i); });
        (*share)(2 * i + 1);
      });
    }
  });
  listener.close();
}

// SCHED-14. The waker does not park: another processor has to come for the woken one, each time out of its sleep.
WEFT_TEST(schedule, loses_no_wake_up_while_threads_go_idle) {
  for (const int procs : {2, 4}) {
    with_procs p(procs);
    auto wake = weft::make_chan<int>();
    std::atomic<int> answer{-1};
    weft::wait_group done;
    done.go([&] {
      for (const int i : wake) answer = i;
    });
    const int rounds = scale(8'000, 500);
    for (int i = 0; i < rounds; ++i) {
      wake.send(i);
      for (const auto sent = steady::now(); answer != i;) {
        ASSERT_LT(steady::now() - sent, limit(5s)) << "in round " << i;
      }
    }
    wake.close();
    done.wait();
  }
}

// SCHED-11. That it is also faster is for the benchmarks to say: here others may use the machine. Fewer than a run queue holds,
// so that none goes through the global queue; and who runs first holds its processor until a thief has come.
WEFT_TEST(schedule, steals_work_from_the_processor_that_has_it) {
  with_procs four(4);
  const auto stolen_before = weft::stats().stolen;
  std::mutex lock;
  std::set<std::thread::id> where;
  std::atomic<std::size_t> threads{0};
  weft::wait_group done;
  for (int i = 0; i < 200; ++i) {
    done.go([&] {
      {
        const std::lock_guard hold(lock);  // not over a park
        where.insert(std::this_thread::get_id());
        threads = where.size();
      }
      for (const auto start = steady::now(); threads < 2 && steady::now() - start < limit(20s);) {
      }
    });
  }
  done.wait();
  EXPECT_GE(threads, 2u);
  EXPECT_GT(weft::stats().stolen, stolen_before);
}

// A goroutine that was started last sits in the "next" slot: it must be had too, when its processor is busy for long.
WEFT_TEST(schedule, steals_the_next_one_of_a_busy_processor) {
  with_procs two(2);
  for (int i = 0; i < 20; ++i) {
    std::atomic<bool> ran{false};
    weft::go([&] { ran = true; });
    const auto start = steady::now();
    while (!ran) ASSERT_LT(steady::now() - start, limit(10s));
  }
}
