// context_test.cpp: the tree of cancellation: who is done when, why, and what it leaves behind.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <numeric>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <weft/context.hpp>

#include "support/support.hpp"
#include "unit/context/asking.hpp"

using namespace weft::test;
using weft::context;
using weft::errc;

namespace {

/// Each step, for all of a vector, in random order.
std::vector<int> shuffled(int n, rng& r) {
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int i = n - 1; i > 0; --i) std::swap(order[i], order[r.below(i + 1)]);
  return order;
}

}  // namespace

// CONTEXT-01
WEFT_TEST(context, of_the_root_is_never_done) {
  for (const context& ctx : {weft::background(), weft::todo()}) {
    EXPECT_FALSE(ctx.done());
    EXPECT_FALSE(ctx.err());
    EXPECT_FALSE(ctx.deadline());
    EXPECT_FALSE(ctx.cause());
    EXPECT_EQ(ctx.done_core(), nullptr);
    EXPECT_EQ(ctx.value<int>(std::string("key")), nullptr);
    EXPECT_FALSE(ctx.get_stop_token().stop_possible());
  }
  EXPECT_EQ(to_string(weft::background()), "context.Background");
  EXPECT_EQ(to_string(weft::todo()), "context.TODO");
  EXPECT_NE(weft::background(), weft::todo());
}

// CONTEXT-02
WEFT_TEST(context, that_is_cancelled_is_done_and_says_so) {
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  EXPECT_TRUE(is_live(ctx));
  EXPECT_EQ(ctx.done(), ctx.done());
  weft::wait_group all;
  for (int i = 0; i < 20; ++i) all.go([&cancel = cancel] { cancel(); });
  all.wait();
  EXPECT_TRUE(is_done(ctx));
  EXPECT_EQ(ctx.err(), errc::canceled);
  EXPECT_EQ(ctx.err().message(), "context canceled");
  EXPECT_FALSE(weft::is_timeout(ctx.err()));
  cancel();
  EXPECT_EQ(ctx.err(), errc::canceled);
  EXPECT_TRUE(ctx.done_core()->done.load());
}

// A cancellation that is forgotten is the leak that Go's vet looks for: here the scope sees to it.
WEFT_TEST(context, is_cancelled_when_its_canceler_goes) {
  context outer, moved, detached;
  const auto [top, cancel_top] = weft::with_cancel(weft::background());
  {
    auto [ctx, cancel] = weft::with_cancel(weft::background());
    outer = ctx;
    auto [second, cancel_second] = weft::with_cancel(weft::background());
    moved = second;
    {
      const weft::canceler taken = std::move(cancel_second);
      EXPECT_TRUE(is_live(moved));
    }
    EXPECT_EQ(moved.err(), errc::canceled);
    auto [third, cancel_third] = weft::with_cancel(top);
    detached = third;
    cancel_third.detach();
    EXPECT_TRUE(is_live(outer));
  }
  EXPECT_EQ(outer.err(), errc::canceled);
  EXPECT_TRUE(is_live(detached));
  cancel_top();
  EXPECT_EQ(detached.err(), errc::canceled);
}

// CONTEXT-03
WEFT_TEST(context, takes_its_descendants_along) {
  const auto [root, cancel_root] = weft::with_cancel(weft::background());
  const auto [left, cancel_left] = weft::with_cancel(root);
  const auto [right, cancel_right] = weft::with_timeout(root, 1h);
  const context valued = weft::with_value(left, std::string("k"), 1);
  const auto [leaf, cancel_leaf] = weft::with_cancel(valued);
  cancel_left();
  EXPECT_TRUE(is_done(left) && is_done(leaf) && is_done(valued));
  EXPECT_TRUE(is_live(root) && is_live(right));
  cancel_root();
  EXPECT_TRUE(is_done(root) && is_done(right));
  EXPECT_EQ(right.err(), errc::canceled);
}

// CONTEXT-03: nothing of ended children stays with a parent that lives on.
WEFT_TEST(context, forgets_children_that_have_ended) {
  const auto [root, cancel_root] = weft::with_cancel(weft::background());
  const auto make = [&, &root = root](int n) {
    std::vector<weft::cancelable> children;
    for (int i = 0; i < n; ++i) children.push_back(weft::with_timeout(root, 1h));
    for (auto& c : children) c.cancel();
  };
  make(1'000);
  const auto before = resident_bytes();
  for (int i = 0; i < scale(50, 3); ++i) make(10'000);
  if (!under_sanitizer) { EXPECT_LT(resident_bytes(), before + (24u << 20)); }
  EXPECT_TRUE(is_live(root));
}

// CONTEXT-04
WEFT_TEST(context, of_a_parent_that_is_done_is_done_at_once) {
  const auto [root, cancel_root] = weft::with_cancel_cause(weft::background());
  cancel_root(reason("too late"));
  const auto [child, cancel_child] = weft::with_cancel(root);
  EXPECT_EQ(child.err(), errc::canceled);
  EXPECT_TRUE(is_done(child));
  EXPECT_EQ(text_of(child.cause()), "too late");
  const auto [timed, cancel_timed] = weft::with_timeout(child, 1h);
  EXPECT_TRUE(is_done(timed));
  EXPECT_EQ(text_of(timed.cause()), "too late");
}

// CONTEXT-04
WEFT_TEST(context, made_while_its_parent_is_cancelled_is_cancelled_too) {
  for (int i = 0; i < 100; ++i) {
    const auto [root, cancel_root] = weft::with_cancel_cause(weft::background());
    weft::wait_group both;
    context child;
    weft::canceler keep;
    both.go([&cancel = cancel_root] { cancel(reason("race")); });
    both.go([&, &root = root] {
      auto made = weft::with_cancel(root);
      child = made.ctx;
      keep = std::move(made.cancel);
    });
    both.wait();
    EXPECT_EQ(child.err(), errc::canceled);
    EXPECT_EQ(text_of(child.cause()), "race");
  }
}

// CONTEXT-08: who asks while it is being cancelled sees nothing yet, or all of it.
WEFT_TEST(context, may_be_asked_for_its_cause_while_it_is_cancelled) {
  for (int i = 0; i < scale(1000, 100); ++i) {
    const auto [ctx, cancel] = weft::with_cancel_cause(weft::background());
    weft::wait_group both;
    both.go([&cancel = cancel] { cancel(reason("race")); });
    both.go([&ctx = ctx] {
      std::exception_ptr why = ctx.cause();
      while (!why) {
        weft::this_goroutine::yield();
        why = ctx.cause();
      }
      EXPECT_EQ(text_of(why), "race");
      EXPECT_EQ(ctx.err(), errc::canceled);
    });
    both.wait();
  }
}

// A chain of contexts may be longer than a stack is deep.
WEFT_TEST(context, chain_of_any_length_is_cancelled) {
  const int n = scale(100'000, 20'000);
  std::vector<weft::cancelable> chain;
  chain.push_back(weft::with_cancel(weft::background()));
  for (int i = 1; i < n; ++i) chain.push_back(weft::with_cancel(chain.back().ctx));
  int ran = 0;
  weft::wait_group function;
  function.add(1);
  const auto stop = weft::after_func(chain.back().ctx, [&] { ++ran, function.done(); });
  chain.front().cancel();
  function.wait();
  EXPECT_EQ(ran, 1);
  for (int i = 0; i < n; i += 1'000) EXPECT_EQ(chain[static_cast<std::size_t>(i)].ctx.err(), errc::canceled);
  EXPECT_EQ(chain.back().ctx.err(), errc::canceled);
}

// CONTEXT-05
WEFT_TEST(context, trees_are_cancelled_by_many_at_once) {
  rng r(5);
  for (int round = 0; round < scale(20, 3); ++round) {
    constexpr int n = 100;
    std::vector<weft::cancelable> all;
    all.push_back(weft::with_cancel(weft::background()));
    for (int i = 1; i < n; ++i) {
      const context parent = all[r.below(i)].ctx;
      all.push_back(r.one_in(3) ? weft::with_timeout(parent, 1h) : weft::with_cancel(parent));
    }
    weft::wait_group done;
    for (const int i : shuffled(n, r)) {
      done.go([&c = all[i]] {
        c.cancel();
        c.ctx.done().recv();
        EXPECT_EQ(c.ctx.err(), errc::canceled);
      });
    }
    done.wait();
  }
}

// CONTEXT-05
WEFT_TEST(context, child_may_be_cancelled_by_who_sees_its_parent_done) {
  for (int i = 0; i < scale(200, 20); ++i) {
    const auto [root, cancel_root] = weft::with_cancel(weft::background());
    const auto [child, cancel_child] = weft::with_cancel(root);
    weft::wait_group done;
    done.go([&root = root, &cancel = cancel_child] {
      root.done().recv();
      cancel();
    });
    cancel_root();
    done.wait();
    EXPECT_TRUE(is_done(child));
  }
}

// CONTEXT-12
WEFT_TEST(context, whose_error_is_set_has_its_channel_closed) {
  for (int i = 0; i < scale(200, 10); ++i) {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::wait_group done;
    done.go([&ctx = ctx] {
      const auto channel = ctx.done();
      while (!ctx.err()) weft::this_goroutine::yield();
      EXPECT_EQ(channel.try_recv().error(), errc::channel_closed);
    });
    done.go([&cancel = cancel, i] {
      for (int k = 0; k < i % 5; ++k) weft::this_goroutine::yield();
      cancel();
    });
    done.wait();
  }
}

// Any thread may do any of it, also before run().
TEST(context, works_on_plain_threads_before_run) {
  const auto [root, cancel_root] = weft::with_cancel(weft::background());
  const auto [timed, cancel_timed] = weft::with_timeout(root, 1h);
  const auto [soon, cancel_soon] = weft::with_timeout(weft::background(), 1ms);
  std::atomic<int> ran{0};
  weft::after_func(soon, [&] { ++ran; });
  std::thread other([&timed = timed] { timed.done().recv(); });
  cancel_root();
  other.join();
  EXPECT_EQ(timed.err(), errc::canceled);
  EXPECT_FALSE(soon.err());  // its timer has no processor yet
  run_in_weft([&, &soon = soon] {
    soon.done().recv();
    EXPECT_EQ(soon.err(), errc::deadline_exceeded);
    EXPECT_TRUE(eventually([&] { return ran == 1; }));
  });
}

// The parent's cancellation finds a child whose last handle has just gone.
WEFT_TEST(context, may_be_dropped_while_its_parent_is_cancelled) {
  for (int round = 0; round < scale(5'000, 500); ++round) {
    const auto [parent, cancel] = weft::with_cancel(weft::background());
    context child;
    {
      auto made = weft::with_cancel(parent);
      child = made.ctx;
      made.cancel.detach();
    }
    const std::stop_token token = child.get_stop_token();
    std::vector<weft::cancelable> later;  // which are cancelled before it
    for (int i = 0; i < 16; ++i) later.push_back(weft::with_cancel(parent));
    std::atomic<bool> here{false}, start{false};
    weft::wait_group dropped;
    dropped.go([&] {
      here = true;
      while (!start) weft::this_goroutine::yield();
      spin(std::chrono::nanoseconds(round % 64 * 32));
      child = {};
    });
    while (!here) weft::this_goroutine::yield();
    start = true;
    cancel();
    dropped.wait();
  }
}
