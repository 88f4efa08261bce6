// look_test.cpp: a run queue that never gets empty holds up nobody who is not in it. Counted in turns of those that are, not in time.
// weft-test: procs=1 chaos=0
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include <weft/async.hpp>
#include <weft/co.hpp>
#include <weft/latch.hpp>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;
namespace co = weft::co;

namespace {

co::task<int> one() { co_return 1; }

/// So many goroutines that do nothing but take turns.
class crowd {
 public:
  explicit crowd(int n, std::chrono::microseconds work = 0us) {
    for (int i = 0; i < n; ++i) {
      done_.go([this, work] {
        for (; !over_; ++turns_, self::yield()) {
          if (work != 0us) spin(work);
        }
      });
    }
  }
  ~crowd() {
    over_ = true;
    done_.wait();
  }
  [[nodiscard]] long turns() const { return turns_; }

 private:
  std::atomic<bool> over_{false};
  std::atomic<long> turns_{0};
  weft::wait_group done_;
};

/// Some are woken together, again and again, beside many that yield: how many turns those have before the last one runs, three
/// times of four: now and then a busy machine stops one of them in the middle, and others take turns meanwhile.
long usual_wait(int yielding, int woken, int rounds) {
  std::vector<std::unique_ptr<weft::latch>> round;
  for (int r = 0; r < rounds; ++r) round.push_back(std::make_unique<weft::latch>(1));
  std::atomic<int> ran{0};
  weft::wait_group done;
  for (int i = 0; i < woken; ++i) {
    done.go([&] {
      for (auto& l : round) l->wait(), ++ran;
    });
  }
  self::yield();
  const crowd others(yielding);
  while (others.turns() < 3 * yielding) self::yield();
  std::vector<long> waited;
  for (int r = 0; r < rounds; ++r) {
    const long before = others.turns();
    round[static_cast<std::size_t>(r)]->count_down();
    while (ran < woken * (r + 1)) self::yield();
    waited.push_back(others.turns() - before);
  }
  done.wait();
  std::sort(waited.begin(), waited.end());
  return waited[waited.size() * 3 / 4];
}

}  // namespace

// Rings of all lengths about the one from which on a look takes nothing more in.
WEFT_TEST(look, takes_in_all_that_were_woken_together) {
  for (const int yielding : {100, 150, 158, 161, 165, 180, 191, 200, 300}) {
    for (const int woken : {12, 20, 31}) {
      const long turns = usual_wait(yielding, woken, scale(20, 8));
      EXPECT_LE(turns, 3 * (yielding + woken)) << woken << " woken beside " << yielding;
    }
  }
}

// Somebody waits in the global queue at every look, and keeps neither the background nor a task waiting.
WEFT_TEST(look, lets_each_kind_have_its_turn) {
  const crowd others(200);
  while (others.turns() < 1'000) self::yield();
  weft::latch late(1);
  weft::wait_group ended;
  for (int i = 0; i < 20; ++i) ended.go([&] { late.wait(); });
  self::yield();
  late.count_down();  // for these there is no room in the queue; so from now on somebody always waits outside
  std::atomic<bool> background_ran{false}, task_ran{false};
  ended.add(1);
  weft::go({.priority = weft::go_priority::background}, [&] { background_ran = true, ended.done(); });
  const auto task = weft::async([&] { task_ran = true; });
  EXPECT_TRUE(eventually([&] { return background_ran.load(); }));
  EXPECT_TRUE(eventually([&] { return task_ran.load(); }));
  ended.wait();
}

// The goroutines that fork never come to an end of their forks: each waits for the oldest of forty, and another has forked since.
WEFT_TEST(look, lets_a_task_begin_beside_forks_without_end) {
  std::atomic<bool> over{false}, ran{false};
  std::atomic<long> rounds{0};
  const auto forker = [](std::atomic<bool>& end, std::atomic<long>& n) -> co::task<int> {
    for (; !end; ++n) {
      std::vector<co::forked<int>> all;
      for (int i = 0; i < 40; ++i) all.push_back(co::fork(one()));
      for (auto& f : all) co_await f;
    }
    co_return 0;
  };
  const crowd others(20);
  std::vector<co::forked<int>> forkers;
  for (int i = 0; i < 8; ++i) forkers.push_back(co::fork(forker(over, rounds)));
  EXPECT_TRUE(eventually([&] { return rounds > 8; }));
  const long before = rounds;
  const auto task = weft::async([&] { ran = true; });
  EXPECT_TRUE(eventually([&] { return ran || rounds > before + 400; }));
  EXPECT_TRUE(ran);
  over = true;
  for (auto& f : forkers) EXPECT_EQ(f.join(), 0);
}

// It goes on at once, for nobody else is in the queue; but its yields are counted, and the look comes.
WEFT_TEST(look, comes_when_one_locked_to_its_thread_yields_alone) {
  self::lock_thread();
  std::atomic<bool> ran{false};
  const auto task = weft::async([&] { ran = true; });
  long yields = 0;
  for (; !ran && yields < 100'000; ++yields) self::yield();
  self::unlock_thread();
  EXPECT_TRUE(eventually([&] { return ran.load(); }));
  EXPECT_LE(yields, 200);
}

// Those started last overflow into the global queue with those that have run, and wait there for their first turn.
WEFT_TEST(look, lets_those_begin_that_have_never_run) {
  const int n = 800;
  const crowd others(190, 50us);
  while (others.turns() < 400) self::yield();
  std::atomic<int> began{0};
  weft::wait_group ended;
  for (int i = 0; i < n; ++i) ended.go([&] { ++began; });
  const long before = others.turns();
  ended.wait();
  EXPECT_LE(others.turns() - before, 20'000);
  EXPECT_EQ(began, n);
}

// Each burst pushes part of the queue out before it has come round, and with it some that were started long before and have not begun.
WEFT_TEST(look, lets_those_begin_that_newer_ones_push_out) {
  std::atomic<bool> over{false};
  std::vector<std::atomic<long>> steps(10);
  weft::wait_group ended;
  const crowd others(10);
  ended.go([&] {
    while (!over) {
      weft::wait_group burst;
      for (int i = 0; i < 300; ++i) burst.go([] {});
      burst.wait();
    }
  });
  for (int i = 0; i < 10; ++i) {
    ended.go([&] {
      while (!over) self::sleep_for(1ms);
    });
  }
  for (auto& mine : steps) {
    const auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
    ended.go([&, a] {
      while (!over) a.send(1);
      a.close();
    });
    ended.go([a, b] {
      for (const int v : a) b.send(v);
      b.close();
    });
    ended.go([&, b] {
      for (const int v : b) mine += v;
    });
  }
  EXPECT_TRUE(eventually([&] { return std::all_of(steps.begin(), steps.end(), [](const auto& s) { return s > 0; }); }));
  over = true;
  ended.wait();
}

// Chains of wake-ups, each of which could go on for a slice, and more of them than a queue holds.
WEFT_TEST(look, lets_many_pairs_go_on_at_the_same_pace) {
  for (const int procs : {1, 2}) {
    const with_procs some(procs);
    const int pairs = 300 * procs;
    std::vector<std::atomic<long>> steps(static_cast<std::size_t>(pairs));
    std::atomic<bool> over{false};
    weft::wait_group ended;
    for (auto& mine : steps) {
      const auto there = weft::make_chan<int>(), back = weft::make_chan<int>();
      ended.go([&, there, back] {
        for (; !over; ++mine) {
          there.send(1);
          static_cast<void>(back.recv());
        }
        there.close();
      });
      ended.go([there, back] {
        for (const int v : there) back.send(v);
      });
    }
    EXPECT_TRUE(eventually([&] { return std::all_of(steps.begin(), steps.end(), [](const auto& s) { return s > 0; }); }));
    const std::vector<long> before(steps.begin(), steps.end());
    const auto all = [&] {
      long sum = 0;
      for (const auto& s : steps) sum += s;
      return sum;
    };
    const long each = scale(1'000, 300), start = all();
    self::sleep_for(300ms);  // or a machine that stops one thread for a while decides it
    EXPECT_TRUE(eventually([&] { return all() - start >= each * pairs; }, 60s));
    const long average = (all() - start) / pairs;
    long least = average;
    for (std::size_t i = 0; i < before.size(); ++i) least = std::min(least, steps[i] - before[i]);
    EXPECT_GE(least, average / 4) << "steps of the slowest pair, at procs " << procs;
    over = true;
    ended.wait();
  }
}

// 61 turns of these are 300 ms: the monitor does not let it come to that.
WEFT_TEST(look, comes_sooner_where_turns_are_long) {
  auto wake = weft::make_chan<int>(1);
  const crowd others(5, 5ms);
  while (others.turns() < 5) self::yield();
  std::vector<long> waited;
  for (int i = 0; i < scale(21, 7); ++i) {
    std::atomic<long> sent_at{0};
    plain_thread sender([&] {
      std::this_thread::sleep_for(20ms);
      sent_at = others.turns();
      wake.send(1);
    });
    static_cast<void>(wake.recv());
    waited.push_back(others.turns() - sent_at);
    sender.join();
  }
  std::sort(waited.begin(), waited.end());
  EXPECT_LE(waited[waited.size() / 2], 15);
}
