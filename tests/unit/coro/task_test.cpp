// task_test.cpp: coroutines as calls, as goroutines without a stack, and as forks.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <weft/co.hpp>

#include "support/support.hpp"

using namespace weft::test;
namespace co = weft::co;

namespace {

template <class T>
co::task<T> give(T v) {
  co_return v;
}
co::task<> run_and_count(std::atomic<int>& runs) {
  runs++;
  co_return;
}
co::task<int> thrower(int depth) {
  if (depth == 0) throw std::runtime_error("deep");
  co_return co_await thrower(depth - 1);
}
co::task<> hold(counted, std::atomic<int>& runs) {
  runs++;
  co_return;
}
co::task<long> fib(long n) {
  if (n <= 1) co_return n;
  auto above = co::fork(fib(n - 1));
  const long below = co_await fib(n - 2);
  co_return co_await above + below;
}

}  // namespace

WEFT_TEST(task, join_gives_what_the_coroutine_returned) {
  EXPECT_EQ(give(42).join(), 42);
  EXPECT_EQ(give(std::string(100, 'x')).join(), std::string(100, 'x'));
  EXPECT_EQ(*give(std::make_unique<int>(3)).join(), 3);
  std::atomic<int> runs{0};
  run_and_count(runs).join();
  EXPECT_EQ(runs, 1);
}

WEFT_TEST(task, an_exception_goes_to_whoever_awaits) {
  EXPECT_THROW(static_cast<void>(thrower(20).join()), std::runtime_error);
  const auto catcher = [](int depth) -> co::task<std::string> {
    std::string what;
    try {
      static_cast<void>(co_await thrower(depth));
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    co_return what;
  };
  EXPECT_EQ(catcher(3).join(), "deep");
  EXPECT_THROW(static_cast<void>(co::task<int>().join()), std::logic_error);
}

// A coroutine does not run before somebody wants it, and what it holds goes with it, run or not.
WEFT_TEST(task, one_that_is_never_run_is_destroyed_with_its_arguments) {
  std::atomic<int> runs{0};
  {
    auto never = hold(counted(1), runs);
    auto moved = std::move(never);
    EXPECT_FALSE(never.valid());
    EXPECT_TRUE(moved.valid());
    moved = hold(counted(2), runs);
    EXPECT_EQ(counted::alive, 1);
  }
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(counted::alive, 0);
  hold(counted(3), runs).join();
  EXPECT_EQ(counted::alive, 0);
}

// Each await is a call and a return; with the stack growing by either this would end the process.
WEFT_TEST(task, a_long_loop_of_awaits_needs_no_stack) {
  const auto loop = [](int n) -> co::task<long> {
    long sum = 0;
    for (int i = 0; i < n; i++) sum += co_await give(1);
    co_return sum;
  };
  const int n = scale(200'000);
  EXPECT_EQ(loop(n).join(), n);
}
WEFT_TEST(task, a_deep_chain_of_awaits_needs_no_stack) {
  struct chain {
    static co::task<int> of(int n) {
      if (n == 0) co_return 0;
      co_return 1 + co_await of(n - 1);
    }
  };
  const int n = scale(50'000);
  EXPECT_EQ(chain::of(n).join(), n);
}

WEFT_TEST(go, runs_beside_its_starter_and_is_counted) {
  const int before = weft::goroutines();
  auto gate = weft::make_chan<void>();
  std::atomic<int> ended{0};
  const auto waiter = [](weft::chan<void> g, std::atomic<int>& n) -> co::task<> {
    co_await co::recv(g);
    n++;
  };
  for (int i = 0; i < 10; i++) co::go(waiter, gate, std::ref(ended));
  EXPECT_EQ(weft::goroutines(), before + 10);
  gate.close();
  EXPECT_TRUE(eventually([&] { return ended == 10 && weft::goroutines() == before; }));
}

// The frame of a lambda that is a coroutine only points to its captures.
WEFT_TEST(go, a_lambda_is_kept_as_long_as_its_coroutine) {
  auto done = weft::make_chan<std::string>();
  for (int i = 0; i < 100; i++) {
    co::go([text = std::string(50, static_cast<char>('a' + i % 26)), done]() -> co::task<> {
      co_await co::yield();
      co_await co::send(done, text);
    });
  }
  for (int i = 0; i < 100; i++) {
    const auto text = done.recv().value();
    EXPECT_EQ(text, std::string(50, text[0]));
  }
}

WEFT_TEST(go, from_a_plain_thread_and_a_join_there) {
  plain_thread t([] {
    EXPECT_EQ(give(7).join(), 7);
    auto c = weft::make_chan<int>();
    co::go([](weft::chan<int> to) -> co::task<> { co_await co::send(to, 8); }, c);
    EXPECT_EQ(c.recv(), 8);
    auto f = co::fork(give(9));
    EXPECT_EQ(f.join(), 9);
  });
}

// A call that blocks a goroutine may be made in a coroutine too: its carrier parks, the others have theirs.
WEFT_TEST(go, a_blocking_call_holds_up_nobody_else) {
  auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
  constexpr int n = 50;
  weft::wait_group wg;
  wg.add(n);
  for (int i = 0; i < n; i++) {
    co::go([](weft::chan<int> in, weft::chan<int> out, weft::wait_group& all) -> co::task<> {
      const int v = in.recv().value();
      weft::this_goroutine::yield();
      out.send(v + co_await give(1));
      all.done();
    }, a, b, std::ref(wg));
  }
  weft::go([a] {
    for (int i = 0; i < n; i++) a.send(i);
  });
  int sum = 0;
  for (int i = 0; i < n; i++) sum += b.recv().value();
  EXPECT_EQ(sum, n * (n + 1) / 2);
  wg.wait();
}

WEFT_TEST(fork, a_tree_gives_the_right_answer) {
  EXPECT_EQ(fib(20).join(), 6765);
  EXPECT_EQ(fib(10).join(), 55);
}

WEFT_TEST(fork, handles_may_be_joined_in_any_order) {
  const auto sum = []() -> co::task<int> {
    std::vector<co::forked<int>> all;
    for (int i = 0; i < 500; i++) all.push_back(co::fork(give(i)));  // more than a processor's list of forks has room for
    int total = 0;
    for (auto& f : all) total += co_await f;
    all.clear();
    for (int i = 0; i < 10; i++) all.push_back(co::fork(give(i)));
    for (auto f = all.rbegin(); f != all.rend(); ++f) total += co_await *f;
    co_return total;
  };
  EXPECT_EQ(sum().join(), 500 * 499 / 2 + 45);
}

WEFT_TEST(fork, an_exception_goes_to_the_join) {
  const auto both = []() -> co::task<int> {
    auto bad = co::fork(thrower(2));
    auto good = co::fork(give(1));
    int caught = 0;
    try {
      static_cast<void>(co_await bad);
    } catch (const std::runtime_error&) {
      caught = 1;
    }
    co_return caught + co_await good;
  };
  EXPECT_EQ(both().join(), 2);
}

// It runs also when nobody joins, as a task of async() does.
WEFT_TEST(fork, a_dropped_one_goes_on_alone) {
  std::atomic<int> runs{0};
  for (int i = 0; i < 20; i++) static_cast<void>(co::fork(hold(counted(i), runs)));
  EXPECT_TRUE(eventually([&] { return runs == 20 && counted::alive == 0; }));
}

WEFT_TEST(fork, one_that_another_has_started_is_waited_for) {
  auto gate = weft::make_chan<int>();
  const auto parent = [](weft::chan<int> g) -> co::task<int> {
    auto child = co::fork([](weft::chan<int> in) -> co::task<int> { co_return (co_await co::recv(in)).value(); }, g);
    co_await co::sleep_for(1ms);  // meanwhile the processor starts it
    EXPECT_FALSE(child.is_done());
    co::go([](weft::chan<int> out) -> co::task<> { co_await co::send(out, 5); }, g);
    co_return co_await child;
  };
  EXPECT_EQ(parent(gate).join(), 5);
}
