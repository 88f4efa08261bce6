// go_test.cpp: starting a goroutine, what it takes with it, and how it is counted.
#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

// SCHED-01. Losing or doubling one start in a hundred thousand is what a torn queue looks like.
WEFT_TEST(go, runs_each_function_exactly_once) {
  const int n = scale(100'000);
  std::atomic<std::int64_t> sum{0};
  std::atomic<int> ran{0};
  for (int i = 0; i < n; ++i) {
    weft::go([&](int x) { sum += x, ++ran; }, i);
    if (i % 4'000 == 3'999) {
      ASSERT_TRUE(eventually([&] { return ran == i + 1; }, 30s));
    }
  }
  ASSERT_TRUE(eventually([&] { return ran == n; }, 30s));
  EXPECT_EQ(sum, std::int64_t{n} * (n - 1) / 2);
}

// SCHED-01. A goroutine that saw later changes would race with its creator on every argument.
WEFT_TEST(go, copies_arguments_and_captures_in_the_caller) {
  std::string captured = "before", argument = "before";
  auto seen = weft::make_chan<std::string>(2);
  weft::go([captured, seen](const std::string& a) { seen.send(captured), seen.send(a); }, argument);
  captured = argument = "after";
  EXPECT_EQ(seen.recv(), "before");
  EXPECT_EQ(seen.recv(), "before");
}

// SCHED-01
WEFT_TEST(go, moves_what_cannot_be_copied) {
  auto sum = weft::make_chan<int>();
  auto in_argument = std::make_unique<int>(20);
  weft::go([sum, in_capture = std::make_unique<int>(1)](std::unique_ptr<int> p) { sum.send(*p + *in_capture); }, std::move(in_argument));
  EXPECT_EQ(in_argument, nullptr);
  EXPECT_EQ(sum.recv(), 21);
}

WEFT_TEST(go, calls_whatever_can_be_invoked) {
  struct box {
    std::atomic<int> value{0};
    void add(int n) { value += n; }
  } b;
  static std::atomic<int> by_function;
  by_function = 0;
  weft::go(&box::add, &b, 2);
  weft::go(&box::add, std::ref(b), 3);
  weft::go(+[](int n) { by_function = n; }, 7);
  weft::go(std::function<void()>([&] { b.add(10); }));
  weft::go([] { return 5; });  // what it returns is dropped
  EXPECT_TRUE(eventually([&] { return b.value == 15 && by_function == 7; }));
}

WEFT_TEST(go, passes_references_by_std_ref) {
  int value = 1;
  weft::wait_group done;
  done.go([](int& v) { v = 2; }, std::ref(value));
  done.wait();
  EXPECT_EQ(value, 2);
}

// A start that fails halfway must give back its stack and its place in the count, and not run.
WEFT_TEST(go, starts_nothing_when_a_copy_throws) {
  struct throws {
    throws() = default;
    throws(const throws&) { throw std::runtime_error("copy"); }
  } value;
  std::atomic<bool> ran{false};
  for (int i = 0; i < scale(10'000, 100); ++i) EXPECT_THROW(weft::go([&](const throws&) { ran = true; }, value), std::runtime_error);
  EXPECT_EQ(weft::goroutines(), 1);
  EXPECT_FALSE(ran);
}

// SCHED-27. A capture destroyed elsewhere would run user code on the scheduler's stack.
WEFT_TEST(go, destroys_captures_in_the_goroutine_itself) {
  struct tells {
    std::atomic<std::uint64_t>* destroyed_in;
    explicit tells(std::atomic<std::uint64_t>* where) : destroyed_in(where) {}
    tells(tells&& o) noexcept : destroyed_in(std::exchange(o.destroyed_in, nullptr)) {}
    ~tells() {
      if (destroyed_in) weft::this_goroutine::yield(), *destroyed_in = weft::this_goroutine::id();
    }
  };
  std::atomic<std::uint64_t> capture_in{0}, argument_in{0}, ran_in{0};
  weft::go([&, t = tells(&capture_in)](const tells&) { ran_in = weft::this_goroutine::id(); }, tells(&argument_in));
  ASSERT_TRUE(eventually([&] { return weft::goroutines() == 1; }));
  EXPECT_NE(ran_in, 0u);
  EXPECT_EQ(capture_in, ran_in);
  EXPECT_EQ(argument_in, ran_in);
}

// SCHED-27. Whoever waits for the count expects that nothing of the goroutines is left, their captures included.
WEFT_TEST(go, destroys_captures_before_the_goroutine_counts_as_gone) {
  const auto shared = std::make_shared<int>(1);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < scale(1'000, 50); ++i) weft::go([shared] { weft::this_goroutine::yield(); });
    while (weft::goroutines() != 1) weft::this_goroutine::yield();
    EXPECT_EQ(shared.use_count(), 1);
  }
}

// SCHED-10. Each start must be in exactly one place, however many there are.
WEFT_TEST(go, keeps_all_when_the_run_queue_overflows) {
  const int n = scale_alive(100'000);
  std::vector<std::atomic<int>> slots(static_cast<std::size_t>(n));
  std::atomic<int> ran{0};
  for (auto& slot : slots) weft::go([&] { ++slot, ++ran; });
  ASSERT_TRUE(eventually([&] { return ran >= n; }, 30s));
  for (auto& slot : slots) ASSERT_EQ(slot, 1);
}

// SCHED-10. Who starts many gives way before the ring is full; many who start a few each do not.
WEFT_TEST(go, keeps_all_when_many_make_the_run_queue_overflow) {
  const int starters = scale_alive(2'000), each = 50, n = starters * each;
  std::vector<std::atomic<int>> slots(static_cast<std::size_t>(n));
  std::atomic<int> ran{0};
  for (int i = 0; i < starters; ++i) {
    weft::go([&, first = i * each] {
      for (int k = 0; k < each; ++k) weft::go([&ran, &slot = slots[static_cast<std::size_t>(first + k)]] { ++slot, ++ran; });
    });
  }
  ASSERT_TRUE(eventually([&] { return ran >= n; }, 30s));
  for (auto& slot : slots) ASSERT_EQ(slot, 1);
}

// SCHED-10. What has overflowed lies with the processor of who started it; others run it when that one has no time.
WEFT_TEST(go, keeps_nobody_waiting_behind_one_that_starts_many_and_computes) {
  const int n = 2'000;
  std::atomic<int> ran{0};
  std::atomic<bool> all{false};
  weft::wait_group done;
  done.go([&] {
    weft::this_goroutine::lock_thread();  // else it would let some of them run before it has started all
    for (int i = 0; i < n; ++i) done.go([&] { ++ran; });
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (ran < n && std::chrono::steady_clock::now() < until) {}
    all = ran == n;
  });
  done.wait();
  EXPECT_TRUE(all);
}

// SCHED-15
WEFT_TEST(goroutines, counts_the_users_own_and_nothing_else) {
  EXPECT_EQ(weft::goroutines(), 1);
  auto release = weft::make_chan<int>();
  auto parked = weft::make_chan<int>();
  for (int i = 0; i < 10; ++i) {
    weft::go([=] {
      parked.send(1);
      static_cast<void>(release.recv());
    });
  }
  for (int i = 0; i < 10; ++i) static_cast<void>(parked.recv());
  EXPECT_EQ(weft::goroutines(), 11);
  weft::this_goroutine::sleep_for(1ms);  // a timer is not a goroutine
  EXPECT_EQ(weft::goroutines(), 11);
  release.close();
  EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; }));
}

// SCHED-16. Logs and dumps tell goroutines apart by nothing else. That the first main's is 1: run_test.cpp.
WEFT_TEST(this_goroutine, ids_are_unique) {
  const int n = scale(100'000);
  std::vector<std::uint64_t> ids(static_cast<std::size_t>(n));
  std::atomic<int> ran{0};
  for (int i = 0; i < n; ++i) {
    weft::go([&, i] { ids[static_cast<std::size_t>(i)] = weft::this_goroutine::id(), ++ran; });
    if (i % 4'000 == 3'999) {
      ASSERT_TRUE(eventually([&] { return ran == i + 1; }, 30s));
    }
  }
  ASSERT_TRUE(eventually([&] { return ran == n; }, 30s));
  const std::set<std::uint64_t> distinct(ids.begin(), ids.end());
  EXPECT_EQ(distinct.size(), static_cast<std::size_t>(n));
  EXPECT_FALSE(distinct.contains(0));
  EXPECT_FALSE(distinct.contains(1));
  EXPECT_FALSE(distinct.contains(weft::this_goroutine::id()));
}

WEFT_TEST(this_goroutine, id_stays_the_same_over_parks) {
  std::atomic<int> changed{0};
  weft::wait_group done;
  for (int i = 0; i < 20; ++i) {
    done.go([&] {
      const auto id = weft::this_goroutine::id();
      for (int k = 0; k < 50; ++k) {
        if (k % 10 == 0) weft::this_goroutine::sleep_for(100us);
        else weft::this_goroutine::yield();
        if (weft::this_goroutine::id() != id) ++changed;
      }
    });
  }
  done.wait();
  EXPECT_EQ(changed, 0);
}

// SCHED-31. Under ThreadSanitizer this fails when the hand-over of a new goroutine lacks its release or its acquire.
WEFT_TEST(go, happens_before_the_goroutine_runs) {
  const int n = scale(10'000, 1'000);
  std::vector<int> plain(static_cast<std::size_t>(n));
  std::atomic<int> wrong{0}, ran{0};
  for (int i = 0; i < n; ++i) {
    plain[static_cast<std::size_t>(i)] = i + 1;
    weft::go([&, i] {
      if (plain[static_cast<std::size_t>(i)] != i + 1) ++wrong;
      ++ran;
    });
    if (i % 2'000 == 1'999) {
      ASSERT_TRUE(eventually([&] { return ran == i + 1; }, 30s));
    }
  }
  ASSERT_TRUE(eventually([&] { return ran == n; }, 30s));
  EXPECT_EQ(wrong, 0);
}

// A goroutine's own start is the commonest thing that a goroutine does.
WEFT_TEST(go, may_be_called_from_any_depth_of_goroutines) {
  std::atomic<int> leaves{0};
  struct tree {
    static void grow(int depth, std::atomic<int>& leaves) {
      if (depth == 0) ++leaves;
      else
        for (int i = 0; i < 2; ++i) weft::go(&grow, depth - 1, std::ref(leaves));
    }
  };
  const int depth = under_tsan ? 9 : 12;
  weft::go(&tree::grow, depth, std::ref(leaves));
  EXPECT_TRUE(eventually([&] { return leaves == 1 << depth; }));
}

// Design D7: a thread of the user's own may start goroutines, and has no goroutine's id.
WEFT_TEST(go, may_be_called_from_a_plain_thread) {
  std::atomic<int> ran{0};
  std::atomic<std::uint64_t> id_there{99};
  plain_thread t([&] {
    id_there = weft::this_goroutine::id();
    for (int i = 0; i < 1'000; ++i) weft::go([&] { ++ran; });
  });
  t.join();
  EXPECT_TRUE(eventually([&] { return ran == 1'000; }));
  EXPECT_EQ(id_there, 0u);
}

WEFT_TEST(go, wakes_the_sleeping_scheduler_from_a_plain_thread) {
  auto answer = weft::make_chan<int>();
  plain_thread t([=] {
    std::this_thread::sleep_for(30ms);  // by then nothing of weft runs
    weft::go([=] { answer.send(1); });
  });
  EXPECT_EQ(answer.recv(), 1);
  t.join();
}

TEST(go, only_queues_before_run) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 300; ++i) weft::go([&] { ++ran; });
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(ran, 0);
  run_in_weft([&] { EXPECT_TRUE(eventually([&] { return ran == 300; })); });
}

WEFT_TEST(go, takes_options_by_goroutine) {
  auto done = weft::make_chan<std::size_t>();
  weft::go(weft::go_options{.name = "wide", .stack_size = 4u << 20}, [=](int) { done.send(weft::this_goroutine::stack_usage().limit); }, 1);
  EXPECT_GE(done.recv().value(), std::size_t{3} << 20);
}

// Alignment beyond 16 is what vector types need; a frame on top of the closure must not break it.
WEFT_TEST(go, aligns_what_it_carries) {
  struct alignas(64) wide {
    std::array<double, 8> v;
  };
  weft::wait_group done;
  for (int i = 0; i < 40; ++i) {
    done.go(
        [w = wide{{1, 2, 3, 4, 5, 6, 7, 8}}](char, wide x) {
          EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&w) % 64, 0u);
          EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&x) % 64, 0u);
          EXPECT_EQ(w.v[7] + x.v[0], 17.0);
        },
        'c', wide{{9, 0, 0, 0, 0, 0, 0, 0}});
  }
  done.wait();
}

// Large captures live on the stack's top; the rest must still be enough.
WEFT_TEST(go, carries_large_captures) {
  std::array<int, 4096> big{};
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<int>(i);
  std::atomic<long> sum{0};
  weft::wait_group done;
  for (int i = 0; i < 50; ++i) {
    done.go([&sum, big] {
      long s = 0;
      for (const int x : big) s += x;
      sum += s;
    });
  }
  done.wait();
  EXPECT_EQ(sum, 50L * 4096 * 4095 / 2);
}
