// task_group_test.cpp: goroutines that end before their scope does.
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "sched/lap.hpp"
#include "support/support.hpp"

using namespace weft::test;

WEFT_TEST(task_group, wait_returns_when_all_children_have_ended) {
  weft::task_group g;
  std::atomic<int> ended{0};
  for (int i = 0; i < 100; ++i) {
    g.go([&, i] {
      if (i % 3 == 0) weft::this_goroutine::yield();
      if (i % 10 == 0) weft::this_goroutine::sleep_for(1ms);
      ++ended;
    });
  }
  g.wait();
  EXPECT_EQ(ended, 100);
  g.wait();  // again: nothing to wait for
  EXPECT_FALSE(g.cancelled());
}

WEFT_TEST(task_group, takes_arguments_and_drops_results) {
  int got = 0;
  weft::task_group g;
  g.go([&got](int a, const std::unique_ptr<int>& b) { return got = a + *b; }, 3, std::make_unique<int>(4));
  g.wait();
  EXPECT_EQ(got, 7);
}

WEFT_TEST(task_group, first_exception_cancels_the_others_and_wait_rethrows_it) {
  weft::task_group g;
  std::atomic<int> saw_it{0};
  for (int i = 0; i < 3; ++i) {
    g.go([&] {
      EXPECT_TRUE(eventually([&] { return g.cancelled(); }));
      ++saw_it;
      if (saw_it == 2) throw std::logic_error("second");
    });
  }
  g.go([] { throw std::runtime_error("first"); });
  try {
    g.wait();
    ADD_FAILURE() << "no exception";
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "first");
  }
  EXPECT_EQ(saw_it, 3);
  EXPECT_TRUE(g.cancelled());
  g.wait();  // it was rethrown once
}

WEFT_TEST(task_group, scope_that_is_left_by_an_exception_cancels_and_waits) {
  std::atomic<bool> ended{false};
  try {
    weft::task_group g;
    g.go([&] {
      EXPECT_TRUE(eventually([&] { return g.cancelled(); }));
      ended = true;
      throw std::logic_error("nobody hears this: another is under way");
    });
    throw std::runtime_error("mine");
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "mine");
  }
  EXPECT_TRUE(ended);
}

WEFT_TEST(task_group, destructor_cancels_and_waits) {
  std::atomic<int> ended{0};
  {
    weft::task_group g;
    for (int i = 0; i < 8; ++i) {
      g.go([&] {
        EXPECT_TRUE(eventually([&] { return g.cancelled(); }));
        ++ended;
        throw std::system_error(make_error_code(weft::errc::canceled));  // an answer, not a failure
      });
    }
  }
  EXPECT_EQ(ended, 8);
}

WEFT_TEST(task_group, children_start_children) {
  std::atomic<int> ran{0};
  weft::task_group g;
  struct grow {
    static void run(weft::task_group& g, std::atomic<int>& ran, int depth) {
      ++ran;
      if (depth % 3 == 0) weft::this_goroutine::yield();
      if (depth > 0)
        for (int i = 0; i < 2; ++i) g.go(run, std::ref(g), std::ref(ran), depth - 1);
    }
  };
  const int depth = under_sanitizer ? 7 : 11;
  g.go(grow::run, std::ref(g), std::ref(ran), depth);
  g.wait();
  EXPECT_EQ(ran, (2 << depth) - 1);
}

namespace {
long tree(int depth) {
  if (depth == 0) return 1;
  long a = 0, b = 0;
  weft::task_group g;
  g.go([&] { a = tree(depth - 1); });
  g.go([&] { b = tree(depth - 1); });
  g.wait();
  return a + b;
}
}  // namespace
WEFT_TEST(task_group, nested_groups_make_a_tree) {
  const int depth = under_sanitizer ? 9 : 14;
  EXPECT_EQ(tree(depth), 1L << depth);
}

WEFT_TEST(task_group, child_has_an_identity_of_its_own) {
  const auto mine = weft::this_goroutine::id();
  std::uint64_t child = mine;
  weft::task_group g;
  g.go([&] { child = weft::this_goroutine::id(); });
  g.wait();
  EXPECT_NE(child, mine);
  EXPECT_NE(child, 0u);
}

WEFT_TEST(task_group, limit_bounds_how_many_are_alive) {
  for (const int limit : {1, 2, 5}) {
    weft::task_group g(weft::task_group_options{.limit = limit});
    std::atomic<int> inside{0}, most{0}, ran{0};
    for (int i = 0; i < 60; ++i) {
      g.go([&, i] {
        const int n = ++inside;
        for (int m = most; n > m && !most.compare_exchange_weak(m, n);) {}
        if (i % 2 == 0) weft::this_goroutine::yield();
        if (i % 7 == 0) weft::this_goroutine::sleep_for(200us);
        --inside;
        ++ran;
      });
    }
    g.wait();
    EXPECT_EQ(ran, 60);
    EXPECT_LE(most, limit);
  }
}

WEFT_TEST(task_group, try_go_refuses_at_the_limit) {
  weft::task_group g(weft::task_group_options{.limit = 2});
  auto release = weft::make_chan<void>();
  auto value = std::make_unique<int>(1);
  EXPECT_TRUE(g.try_go([=] { release.recv(); }));
  EXPECT_TRUE(g.try_go([=] { release.recv(); }));
  EXPECT_FALSE(g.try_go([](std::unique_ptr<int>) {}, std::move(value)));
  EXPECT_TRUE(value) << "what is refused is not moved";
  release.close();
  g.wait();
  EXPECT_TRUE(g.try_go([](std::unique_ptr<int>) {}, std::move(value)));
  EXPECT_FALSE(value);
  g.wait();
}

// Several wait for a place, and each place is given to one of them.
WEFT_TEST(task_group, many_may_wait_at_the_limit) {
  weft::task_group all, g(weft::task_group_options{.limit = 2});
  std::atomic<int> ran{0};
  const int n = scale(300, 30);
  for (int i = 0; i < 8; ++i) {
    all.go([&] {
      for (int k = 0; k < n; ++k) g.go([&, k] { (k % 5 == 0 ? weft::this_goroutine::yield() : void()), ++ran; });
    });
  }
  all.wait();
  g.wait();
  EXPECT_EQ(ran, 8 * n);
}

WEFT_TEST(task_group, wait_for_gives_up_and_children_go_on) {
  weft::task_group g;
  auto release = weft::make_chan<void>();
  std::atomic<int> ended{0};
  for (int i = 0; i < 3; ++i) g.go([&, release] { release.recv(), ++ended; });
  const auto begin = steady::now();
  EXPECT_FALSE(g.wait_for(3ms));
  EXPECT_GE(steady::now() - begin, 3ms);
  EXPECT_EQ(ended, 0);
  EXPECT_FALSE(g.wait_for(0s));
  g.go([&] { ++ended; });
  release.close();
  EXPECT_TRUE(g.wait_for(60s));
  EXPECT_EQ(ended, 4);
  g.go([] { throw 7; });
  EXPECT_THROW(static_cast<void>(g.wait_for(60s)), int);
}

// The end of the last child and the end of the wait, at the same time: whoever wins, the group may be destroyed at once.
WEFT_TEST(task_group, wait_for_that_ends_with_the_last_child_is_safe) {
  rng r(1);
  for (int i = 0; i < scale(300, 50); ++i) {
    auto g = std::make_unique<weft::task_group>();
    std::atomic<int> ended{0};
    g->go([&, us = r.below(80)] { weft::this_goroutine::sleep_for(std::chrono::microseconds(us)), ++ended; });
    const bool in_time = g->wait_for(std::chrono::microseconds(40));
    EXPECT_TRUE(!in_time || ended == 1);
    g.reset();
    ASSERT_EQ(ended, 1);
  }
}

WEFT_TEST(task_group, what_a_child_captured_is_gone_when_wait_returns) {
  const auto before = counted::alive.load();
  for (int i = 0; i < scale(300, 50); ++i) {
    auto shared = std::make_shared<int>(0);
    weft::task_group g;
    for (int k = 0; k < 4; ++k) g.go([shared, c = counted(k)](const counted&) {}, counted(5));
    if (i % 2 == 0) weft::this_goroutine::yield();
    g.wait();
    ASSERT_EQ(shared.use_count(), 1);
  }
  EXPECT_EQ(counted::alive, before);
}

// Under ThreadSanitizer: what children wrote is there after the wait, wherever they ran.
WEFT_TEST(task_group, end_of_children_happens_before_wait_returns) {
  for (int i = 0; i < scale(2'000, 200); ++i) {
    int plain[3] = {};
    weft::task_group g;
    for (int& p : plain) g.go([&p, i] { p = i; });
    if (i % 3 == 0) weft::this_goroutine::yield();
    g.wait();
    for (const int p : plain) ASSERT_EQ(p, i);
  }
}

WEFT_TEST(task_group, copy_that_throws_starts_nothing) {
  struct throws {
    throws() = default;
    throws(const throws&) { throw std::runtime_error("copy"); }
    void operator()() const {}
  } f;
  weft::task_group g(weft::task_group_options{.limit = 1});
  EXPECT_THROW(g.go(f), std::runtime_error);
  EXPECT_THROW(static_cast<void>(g.try_go(f)), std::runtime_error);
  EXPECT_TRUE(g.try_go([] {})) << "its place is free again";
  g.wait();
  EXPECT_EQ(weft::goroutines(), 1);
}

WEFT_TEST(task_group, misuse_is_told) {
  weft::task_group g;
  EXPECT_THROW(g.set_limit(-1), std::invalid_argument);
  auto release = weft::make_chan<void>();
  g.go([=] { release.recv(); });
  EXPECT_THROW(g.set_limit(3), weft::panic);
  const weft::g* us = weft::current_g();
  g.go([&, release] {  // it would wait for itself: told to whoever comes second, so let us be first, on whose stack it perhaps runs
    EXPECT_TRUE(eventually([&] { return weft::current_g() == us || us->status.load() == weft::g_status::waiting; }));
    EXPECT_THROW(g.wait(), weft::panic);
    release.close();
  });
  g.wait();
  g.set_limit(3);
  g.set_limit(0);
}

WEFT_TEST(task_group, may_be_handed_to_another_goroutine) {
  for (int i = 0; i < scale(300, 50); ++i) {
    auto g = std::make_unique<weft::task_group>();
    std::atomic<int> ran{0};
    for (int k = 0; k < 3; ++k) g->go([&] { ++ran; });
    weft::async([g = std::move(g), &ran]() mutable {
      g->go([&] { ++ran; });
      g->wait();
      EXPECT_EQ(ran, 4);
    }).join();
  }
}

WEFT_TEST(task_group, context_is_done_when_the_group_is_cancelled_and_at_its_end) {
  weft::context kept;
  {
    weft::task_group g;
    kept = g.context();
    auto never = weft::make_chan<int>();
    for (int i = 0; i < 4; ++i) g.go([&g, never] { EXPECT_EQ(never.recv(g.context()).error(), weft::errc::canceled); });
    EXPECT_FALSE(kept.err());
    g.go([] { throw 5; });
    EXPECT_THROW(g.wait(), int);
    EXPECT_EQ(kept.err(), weft::errc::canceled);
    weft::task_group late;
    late.cancel();
    EXPECT_EQ(late.context().err(), weft::errc::canceled) << "made after it was cancelled";
    weft::task_group well;
    kept = well.context();
    well.go([] {});
    well.wait();
    EXPECT_FALSE(kept.err());
  }
  EXPECT_EQ(kept.err(), weft::errc::canceled);
}

WEFT_TEST(task_group, parent_cancels_it_and_waits_take_contexts) {
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::task_group g(ctx);
  auto release = weft::make_chan<void>();
  g.go([&] { release.recv(); });
  auto [soon, stop] = weft::with_timeout(weft::background(), 2ms);
  EXPECT_EQ(g.wait(soon).error(), weft::errc::deadline_exceeded);
  EXPECT_EQ(g.wait(soon).error(), weft::errc::deadline_exceeded);
  EXPECT_FALSE(g.cancelled());
  cancel();
  EXPECT_TRUE(g.cancelled());
  EXPECT_EQ(g.context().err(), weft::errc::canceled);
  release.close();
  EXPECT_TRUE(g.wait(weft::background()));
}

// Design D7
WEFT_TEST(task_group, works_on_plain_threads) {
  plain_thread t([] {
    std::atomic<int> ran{0};
    {
      weft::task_group g(weft::task_group_options{.limit = 3});
      for (int i = 0; i < 20; ++i) g.go([&] { weft::this_goroutine::yield(), ++ran; });
      EXPECT_TRUE(g.wait_for(60s));
      EXPECT_EQ(ran, 20);
      g.set_limit(0);
      for (int i = 0; i < 20; ++i) g.go([&] { ++ran; });
      g.wait();
    }
    EXPECT_EQ(ran, 40);
  });
  t.join();
}

WEFT_CHILD(unseen_exception) {
  return weft::run([] {
    weft::task_group g;
    g.go([] { throw std::runtime_error("unseen"); });
  });
}
// An exception that nobody saw would be a goroutine that vanished without a word.
TEST(task_group, exception_that_nobody_saw_is_a_panic) {
  const auto r = child("unseen_exception");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: unseen\n\ngoroutine 1 ")) << r.err;
}

// Without a processor there is no list of unstarted children to take one from.
WEFT_TEST(task_group, may_be_waited_for_in_a_blocking_call) {
  weft::task_group g;
  std::atomic<int> ended{0};
  for (int i = 0; i < 10; ++i) g.go([&] { ++ended; });
  weft::blocking([&] { g.wait(); });
  EXPECT_EQ(ended.load(), 10);
}
