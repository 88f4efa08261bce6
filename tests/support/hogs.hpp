// hogs.hpp: goroutines that compute and never call weft, and what others have of it: for code without safe points and with them.
// Templates over the step of their loops, so that all of it is compiled with the options of the test that includes it.
#pragma once

#include <sched.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

namespace weft::test {

/// Goroutines that compute until the scope ends.
template <class Step>
class hogs_that {
 public:
  explicit hogs_that(int n) : counts(static_cast<std::size_t>(n)) {
    for (auto& c : counts) {
      done_.go([&] {
        for (std::uint64_t i = 1; !stop_.load(std::memory_order_relaxed); ++i) c.n.store(i, std::memory_order_relaxed), Step()();
      });
    }
  }
  ~hogs_that() {
    stop();
    done_.wait();
  }
  void stop() { stop_ = true; }
  [[nodiscard]] int started() const {
    return static_cast<int>(std::count_if(counts.begin(), counts.end(), [](const count& c) { return c.n.load() != 0; }));
  }

  struct alignas(128) count {
    std::atomic<std::uint64_t> n{0};
  };
  std::vector<count> counts;

 private:
  std::atomic<bool> stop_{false};
  weft::wait_group done_;
};

/// Two that wait for each other's turn by looking at a number.
template <class Step>
void wait_by_spinning(Step step) {
  std::atomic<int> turn{0};
  weft::wait_group done;
  for (int me = 0; me < 2; ++me) {
    done.go([&, me] {
      for (int round = 0; round < 5; ++round) {
        while (turn.load() % 2 != me) step();
        ++turn;
      }
    });
  }
  done.wait();
  EXPECT_EQ(turn, 10);
}

/// This process on one CPU, for a scope. Of four threads on two CPUs the kernel has three on one of them, for seconds now and then.
class on_one_cpu {
 public:
  on_one_cpu() {
    CPU_ZERO(&before_);
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
    move_to(one);
  }
  ~on_one_cpu() { move_to(before_); }
  on_one_cpu(const on_one_cpu&) = delete;

 private:
  static void move_to(const cpu_set_t& set) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
      sched_setaffinity(std::stoi(task.path().filename()), sizeof set, &set);
  }
  cpu_set_t before_;
};

/// Four on one processor: none gets much more or less than a quarter. A window in which the machine was fair to us must show it.
template <class Hogs>
void expect_fair_shares(std::chrono::milliseconds window) {
  const with_procs one(1);
  const on_one_cpu together;
  const Hogs four(4);
  ASSERT_TRUE(eventually([&] { return four.started() == 4; }));
  double least = 0, most = 1;
  for (int tries = 0; tries < 50 && (least < 0.15 || most > 0.35); ++tries) {
    std::array<std::uint64_t, 4> before{}, ran{};
    for (std::size_t i = 0; i < 4; ++i) before[i] = four.counts[i].n;
    weft::this_goroutine::sleep_for(window);
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < 4; ++i) all += ran[i] = four.counts[i].n - before[i];
    least = static_cast<double>(*std::min_element(ran.begin(), ran.end())) / static_cast<double>(all);
    most = static_cast<double>(*std::max_element(ran.begin(), ran.end())) / static_cast<double>(all);
  }
  EXPECT_GT(least, 0.15);
  EXPECT_LT(most, 0.35);
}

/// Those that run without a processor have a thread each, so there is a limit: else a thousand hogs would be a thousand threads.
template <class Hogs>
void expect_no_more_than_a_few_at_once() {
  const int procs = weft::procs(), most = procs + std::max(procs, 4);
  Hogs many(most + 4);
  plain_thread watch([&] {
    const auto give_up = steady::now() + limit(20s);
    while (many.started() < most && steady::now() < give_up) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(60ms);
    EXPECT_EQ(many.started(), most);
    many.stop();
  });
}

/// A sleeper beside a hog for each processor: how late it wakes, the best of some tries, since the machine holds us up, too.
template <class Hogs>
steady::duration best_sleep_beside(int n) {
  steady::duration best = 1h;
  for (int i = 0; i < 50 && best >= 50ms; ++i) {
    const auto start = steady::now();
    const Hogs beside(n);
    weft::this_goroutine::sleep_for(10ms);
    best = std::min(best, steady::now() - start);
  }
  return best;
}

}  // namespace weft::test
