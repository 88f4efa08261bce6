// async_test.cpp: goroutines with a result.
#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

WEFT_TEST(async, join_gives_what_the_function_returned) {
  auto a = weft::async([] { return 42; });
  auto b = weft::async([](int x, const std::string& s) { return s + std::to_string(x); }, 7, std::string("v"));
  auto c = weft::async([] { return std::make_unique<int>(3); });
  auto d = weft::async([] {});
  static_assert(std::is_void_v<decltype(d.join())>);
  d.join();
  EXPECT_EQ(*c.join(), 3);
  EXPECT_EQ(b.join(), "v7");
  EXPECT_EQ(a.join(), 42);
  EXPECT_FALSE(a.valid());
}

WEFT_TEST(async, join_rethrows_what_the_function_threw) {
  auto t = weft::async([]() -> int { throw std::runtime_error("inside"); });
  try {
    static_cast<void>(t.join());
    ADD_FAILURE() << "no exception";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "inside");
  }
  EXPECT_FALSE(t.valid());
  auto v = weft::async([] { throw 5; });
  EXPECT_THROW(v.join(), int);
}

// A task among other things that one waits for.
WEFT_TEST(async, done_is_a_channel_for_select) {
  const auto gate = weft::make_chan<void>();
  auto waits = weft::async([gate] { return gate.recv() ? 1 : 2; });
  auto quick = weft::async([] { return 3; });
  EXPECT_EQ(weft::select(weft::on_join(waits), weft::on_join(quick)), 1);
  EXPECT_TRUE(quick.is_done());
  EXPECT_EQ(quick.join(), 3);
  EXPECT_EQ(weft::select(weft::on_join(waits), weft::on_timeout(1ms)), 1);
  EXPECT_EQ(waits.done(), waits.done());
  gate.send();
  EXPECT_EQ(waits.join(), 1);
  EXPECT_FALSE(waits.done());

  auto here = weft::async([] { return 4; });  // run by join() itself
  const auto done = here.done();
  EXPECT_EQ(here.join(), 4);
  EXPECT_EQ(done.try_recv().error(), weft::errc::channel_closed);
  auto failed = weft::async([]() -> int { throw std::runtime_error("inside"); });
  failed.done().recv();
  EXPECT_THROW(static_cast<void>(failed.join()), std::runtime_error);
  weft::receiver<void> later;
  { later = weft::async([gate] { gate.recv(); }).done(); }  // detached
  EXPECT_EQ(later.try_recv().error(), weft::errc::would_block);
  gate.send();
  EXPECT_FALSE(later.recv());
  for (int i = 0; i < scale(500, 50); ++i) {  // done() and the end at the same time
    auto t = weft::async([] {});
    for (int k = 0; k < i % 4; ++k) weft::this_goroutine::yield();
    t.done().recv();
    t.join();
  }
}

// It runs also when nobody joins: a task is a goroutine, not a deferred call.
WEFT_TEST(async, runs_without_a_join) {
  std::atomic<int> ran{0};
  auto kept = weft::async([&] { ++ran; });
  static_cast<void>(weft::async([&] { ++ran; }));
  EXPECT_TRUE(eventually([&] { return ran == 2; }));
  EXPECT_TRUE(eventually([&] { return kept.is_done(); }));
  kept.join();
}

WEFT_TEST(async, task_that_waits_for_others_is_joined_all_the_same) {
  auto c = weft::make_chan<int>();
  auto receiver = weft::async([=] { return c.recv().value(); });
  auto sender = weft::async([=] { c.send(8); });
  EXPECT_EQ(receiver.join(), 8);
  sender.join();
  const auto gate = weft::make_chan<void>();
  auto late = weft::async([gate] { gate.recv(); });
  EXPECT_FALSE(late.is_done());
  gate.close();
  late.join();
}

// Joining the oldest first is the order in which nothing can be run in place from the top of the stack of tasks.
WEFT_TEST(async, tasks_are_joined_in_any_order) {
  for (int way = 0; way < 3; ++way) {
    std::vector<weft::task<int>> tasks;
    for (int i = 0; i < 200; ++i) tasks.push_back(weft::async([i] { return i; }));
    long sum = 0;
    if (way == 0)
      for (auto& t : tasks) sum += t.join();
    if (way == 1)
      for (auto t = tasks.rbegin(); t != tasks.rend(); ++t) sum += t->join();
    if (way == 2) {
      rng r(3);
      while (!tasks.empty()) {
        std::swap(tasks[static_cast<std::size_t>(r.below(static_cast<int>(tasks.size())))], tasks.back());
        sum += tasks.back().join();
        tasks.pop_back();
      }
    }
    EXPECT_EQ(sum, 199L * 200 / 2);
  }
}

namespace {
long fib(int n) {
  if (n < 2) return n;
  auto left = weft::async(fib, n - 1);
  const long right = fib(n - 2);
  return left.join() + right;
}
}  // namespace
WEFT_TEST(async, tree_gives_the_sum_of_its_leaves) {
  const int n = under_sanitizer ? 14 : 20;
  EXPECT_EQ(fib(n), under_sanitizer ? 377 : 6765);
}

WEFT_TEST(async, destroys_function_arguments_and_result) {
  const auto before = counted::alive.load();
  {
    auto t = weft::async([c = counted(1)](const counted& a) { return counted(a.value + c.value); }, counted(2));
    EXPECT_EQ(t.join().value, 3);
    static_cast<void>(weft::async([c = counted(1)] { return counted(5); }));
    auto u = weft::async([] { return counted(1); });
    u = weft::async([] { return counted(2); });
    EXPECT_EQ(u.join().value, 2);
  }
  EXPECT_TRUE(eventually([&] { return counted::alive == before; }));
}

WEFT_TEST(async, handles_move) {
  weft::task<int> empty;
  EXPECT_FALSE(empty.valid());
  auto a = weft::async([] { return 1; });
  weft::task<int> b = std::move(a);
  EXPECT_FALSE(a.valid());
  EXPECT_TRUE(b.valid());
  EXPECT_EQ(b.join(), 1);
}

// Under ThreadSanitizer: what the task wrote is there after the join, wherever it ran.
WEFT_TEST(async, end_of_the_task_happens_before_join_returns) {
  for (int i = 0; i < scale(5'000, 500); ++i) {
    int plain = 0;
    auto t = weft::async([&] { plain = i; });
    if (i % 3 == 0) weft::this_goroutine::yield();
    t.join();
    ASSERT_EQ(plain, i);
  }
}

WEFT_TEST(async, task_may_be_joined_by_another_goroutine) {
  for (int i = 0; i < scale(1'000, 100); ++i) {
    auto t = weft::async([i] { return weft::this_goroutine::yield(), i; });
    weft::wait_group done;
    done.go([i](weft::task<int> mine) { EXPECT_EQ(mine.join(), i); }, std::move(t));
    done.wait();
  }
}

// Design D7
WEFT_TEST(async, works_on_plain_threads) {
  plain_thread t([] {
    auto a = weft::async([] { return weft::this_goroutine::id() != 0; });
    EXPECT_TRUE(a.join());
  });
  t.join();
}

WEFT_TEST(async, copy_that_throws_starts_nothing) {
  struct throws {
    throws() = default;
    throws(const throws&) { throw std::runtime_error("copy"); }
    void operator()() const {}
  } f;
  EXPECT_THROW(static_cast<void>(weft::async(f)), std::runtime_error);
  EXPECT_EQ(weft::goroutines(), 1);
}

// Where a task runs cannot be told from inside: it is a goroutine of its own, also when it runs on the joiner's stack.
WEFT_TEST(async, task_has_an_identity_of_its_own) {
  const auto mine = weft::this_goroutine::id();
  auto t = weft::async([] { return weft::this_goroutine::id(); });
  EXPECT_NE(t.join(), mine);
}

// An exception in flight at the joiner is not the task's: std::uncaught_exceptions and `throw;` inside start anew.
WEFT_TEST(async, task_does_not_see_the_joiners_exception) {
  try {
    throw std::runtime_error("joiner's");
  } catch (const std::runtime_error&) {
    auto t = weft::async([] { return std::current_exception() == nullptr; });
    EXPECT_TRUE(t.join());
    EXPECT_NE(std::current_exception(), nullptr);
  }
}
