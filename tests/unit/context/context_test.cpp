// context_test.cpp: the tree of cancellation: who is done when, why, and what it leaves behind.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/context.hpp>

#include "support/support.hpp"

using namespace weft::test;
using weft::context;
using weft::errc;

namespace {

bool is_done(const context& ctx) { return ctx.done() && ctx.done().try_recv().error() == errc::channel_closed; }
bool is_live(const context& ctx) { return !ctx.err() && !is_done(ctx) && !ctx.cause(); }

std::string text_of(const std::exception_ptr& e) {
  if (!e) return "null";
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  }
}
std::exception_ptr reason(const char* text) { return std::make_exception_ptr(std::runtime_error(text)); }
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

// CONTEXT-06
WEFT_TEST(context, with_a_timeout_is_done_by_then_and_not_before) {
  const auto start = steady::now();
  const auto [ctx, cancel] = weft::with_timeout(weft::background(), 20ms);
  ASSERT_TRUE(ctx.deadline());
  EXPECT_GE(*ctx.deadline(), start + 20ms);
  ctx.done().recv();
  EXPECT_GE(steady::now(), *ctx.deadline());
  EXPECT_EQ(ctx.err(), errc::deadline_exceeded);
  EXPECT_EQ(ctx.err().message(), "context deadline exceeded");
  EXPECT_TRUE(weft::is_timeout(ctx.err()));
  EXPECT_EQ(text_of(ctx.cause()), "context deadline exceeded");
  for (const auto d : {0ns, -5ns}) {
    const auto [late, cancel_late] = weft::with_timeout(weft::background(), d);
    EXPECT_EQ(late.err(), errc::deadline_exceeded);
    EXPECT_TRUE(is_done(late));
    cancel_late();
    EXPECT_EQ(late.err(), errc::deadline_exceeded);
  }
}

// CONTEXT-06
WEFT_TEST(context, has_the_earlier_deadline_of_its_own_and_its_parents) {
  const auto t = steady::now() + 1h;
  const auto [outer, cancel_outer] = weft::with_deadline(weft::background(), t);
  const auto [later, cancel_later] = weft::with_deadline(outer, t + 1h);
  const auto [sooner, cancel_sooner] = weft::with_deadline(outer, t - 30min);
  const auto [plain, cancel_plain] = weft::with_cancel(sooner);
  EXPECT_EQ(outer.deadline(), t);
  EXPECT_EQ(later.deadline(), t);
  EXPECT_EQ(sooner.deadline(), t - 30min);
  EXPECT_EQ(plain.deadline(), t - 30min);
  EXPECT_FALSE(weft::with_timeout(weft::background(), std::chrono::hours::max()).ctx.deadline());
  const auto [parent, cancel_parent] = weft::with_timeout(weft::background(), 10ms);
  const auto [child, cancel_child] = weft::with_timeout(parent, 1h);
  child.done().recv();
  EXPECT_EQ(child.err(), errc::deadline_exceeded);
}

// CONTEXT-06: by hand first, and the timer is gone: nothing waits for an hour when the test ends.
WEFT_TEST(context, cancelled_before_its_time_is_cancelled) {
  const auto [ctx, cancel] = weft::with_timeout(weft::background(), 1h);
  cancel();
  EXPECT_EQ(ctx.err(), errc::canceled);
  for (int i = 0; i < scale(300, 30); ++i) {  // and in a race with it
    const auto [hot, cancel_hot] = weft::with_timeout(weft::background(), std::chrono::microseconds(i % 50));
    if (i % 2) weft::this_goroutine::yield();
    cancel_hot();
    EXPECT_TRUE(hot.err() == errc::canceled || hot.err() == errc::deadline_exceeded);
    EXPECT_TRUE(is_done(hot));
  }
}

// CONTEXT-07
WEFT_TEST(context, says_what_the_first_cancellation_said) {
  {
    const auto [ctx, cancel] = weft::with_cancel_cause(weft::background());
    cancel(reason("first"));
    cancel(reason("second"));
    EXPECT_EQ(ctx.err(), errc::canceled);
    EXPECT_EQ(text_of(ctx.cause()), "first");
  }
  {
    const auto [ctx, cancel] = weft::with_cancel_cause(weft::background());
    cancel(nullptr);
    EXPECT_EQ(text_of(ctx.cause()), "context canceled");
  }
  {
    const auto [ctx, cancel] = weft::with_cancel_cause(weft::background());
    cancel(errc::eof);
    EXPECT_EQ(text_of(ctx.cause()), "EOF");
  }
  {
    const auto [parent, cancel_parent] = weft::with_cancel_cause(weft::background());
    const auto [child, cancel_child] = weft::with_cancel_cause(parent);
    cancel_parent(reason("parent"));
    cancel_child(reason("child"));
    EXPECT_EQ(text_of(parent.cause()), "parent");
    EXPECT_EQ(text_of(child.cause()), "parent");
  }
  {
    const auto [parent, cancel_parent] = weft::with_cancel_cause(weft::background());
    const auto [child, cancel_child] = weft::with_cancel_cause(parent);
    cancel_child(reason("child"));
    cancel_parent(reason("parent"));
    EXPECT_EQ(text_of(parent.cause()), "parent");
    EXPECT_EQ(text_of(child.cause()), "child");
  }
}

// CONTEXT-08
WEFT_TEST(context, with_a_timeout_says_what_it_was_given) {
  const auto [ctx, cancel] = weft::with_timeout_cause(weft::background(), 1ms, reason("slow"));
  const auto [child, cancel_child] = weft::with_cancel_cause(ctx);
  EXPECT_FALSE(ctx.cause() && !ctx.err());
  child.done().recv();
  EXPECT_EQ(ctx.err(), errc::deadline_exceeded);
  EXPECT_EQ(text_of(ctx.cause()), "slow");
  EXPECT_EQ(child.err(), errc::deadline_exceeded);
  EXPECT_EQ(text_of(child.cause()), "slow");
  const auto [by_hand, cancel_by_hand] = weft::with_timeout_cause(weft::background(), 1h, reason("slow"));
  EXPECT_FALSE(by_hand.cause());
  cancel_by_hand();
  EXPECT_EQ(text_of(by_hand.cause()), "context canceled");
  const auto [past, cancel_past] = weft::with_deadline_cause(weft::background(), steady::now() - 1s, errc::eof);
  EXPECT_EQ(text_of(past.cause()), "EOF");
}

// CONTEXT-09
WEFT_TEST(context, without_cancel_keeps_only_the_values) {
  const auto [parent, cancel] = weft::with_timeout(weft::with_value(weft::background(), std::string("k"), 7), 1h);
  const context ctx = weft::without_cancel(parent);
  const auto [below, cancel_below] = weft::with_cancel(ctx);
  cancel();
  EXPECT_FALSE(ctx.done());
  EXPECT_FALSE(ctx.err());
  EXPECT_FALSE(ctx.cause());
  EXPECT_FALSE(ctx.deadline());
  EXPECT_EQ(*ctx.value<int>(std::string("k")), 7);
  EXPECT_TRUE(is_live(below));
  EXPECT_EQ(*below.value<int>(std::string("k")), 7);
}

namespace {
struct user_key {
  int number;
  friend bool operator==(const user_key&, const user_key&) = default;
};
struct other_key {
  int number;
  friend bool operator==(const other_key&, const other_key&) = default;
};
struct no_equality {};
template <class K>
concept may_be_key = requires(const context& c, K k) { weft::with_value(c, k, 1); };
static_assert(may_be_key<user_key> && !may_be_key<no_equality>);

constexpr weft::context_key<std::string> request_id{"request_id"};
constexpr weft::context_key<std::string> user_name{"user_name"};
}  // namespace

// CONTEXT-10
WEFT_TEST(context, finds_the_nearest_value_of_a_key) {
  const context one = weft::with_value(weft::background(), user_key{1}, std::string("outer"));
  const context two = weft::with_value(one, other_key{1}, std::string("other type"));
  const context three = weft::with_value(two, user_key{2}, std::string("other key"));
  const context four = weft::with_value(three, user_key{1}, std::string("inner"));
  EXPECT_EQ(*three.value<std::string>(user_key{1}), "outer");
  EXPECT_EQ(*four.value<std::string>(user_key{1}), "inner");
  EXPECT_EQ(*four.value<std::string>(other_key{1}), "other type");
  EXPECT_EQ(*four.value<std::string>(user_key{2}), "other key");
  EXPECT_EQ(four.value<std::string>(user_key{3}), nullptr);
  EXPECT_EQ(four.value<int>(user_key{1}), nullptr);
  EXPECT_EQ(weft::background().value<std::string>(user_key{1}), nullptr);
  const context keyed = weft::with_value(four, request_id, "r-1");
  EXPECT_EQ(*keyed.value(request_id), "r-1");
  EXPECT_EQ(keyed.value(user_name), nullptr);
  const char* nil = nullptr;
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(i ? weft::with_value(one, nil, 1) : weft::with_value(one, nullptr, 1));
      ADD_FAILURE() << "an empty key was taken";
    } catch (const weft::panic& p) {
      EXPECT_STREQ(p.what(), "nil key");
    }
  }
}

// CONTEXT-11
WEFT_TEST(context, cannot_be_made_from_an_empty_one) {
  const context nil;
  const auto panics = [](auto make) {
    try {
      make();
    } catch (const weft::panic& p) {
      EXPECT_STREQ(p.what(), "cannot create context from nil parent");
      return;
    }
    ADD_FAILURE() << "no panic";
  };
  panics([&] { static_cast<void>(weft::with_cancel(nil)); });
  panics([&] { static_cast<void>(weft::with_cancel_cause(nil)); });
  panics([&] { static_cast<void>(weft::with_timeout(nil, 1s)); });
  panics([&] { static_cast<void>(weft::with_timeout(nil, std::chrono::hours::max())); });
  panics([&] { static_cast<void>(weft::with_deadline(nil, steady::now())); });
  panics([&] { static_cast<void>(weft::with_value(nil, user_key{1}, 1)); });
  panics([&] { static_cast<void>(weft::without_cancel(nil)); });
  panics([&] { static_cast<void>(weft::with_stop_token(nil, {})); });
  EXPECT_THROW(static_cast<void>(nil.done()), weft::panic);
  EXPECT_THROW(static_cast<void>(nil.err()), weft::panic);
  EXPECT_EQ(to_string(nil), "<nil>");
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

// CONTEXT-13
WEFT_TEST(context, after_func_runs_once_after_the_end) {
  const auto ran = weft::make_chan<int>(10);
  {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    const auto stop = weft::after_func(ctx, [ran] { ran.send(1); });
    const auto stopped = weft::after_func(ctx, [ran] { ran.send(2); });
    EXPECT_FALSE(ran.recv_for(5ms));
    EXPECT_TRUE(stopped());
    EXPECT_FALSE(stopped());
    cancel();
    EXPECT_EQ(ran.recv(), 1);
    EXPECT_FALSE(stop());
    weft::after_func(ctx, [ran] { ran.send(3); });  // done already: at once
    EXPECT_EQ(ran.recv(), 3);
  }
  const auto never = weft::after_func(weft::background(), [ran] { ran.send(4); });
  EXPECT_TRUE(never());
  EXPECT_FALSE(never());
  const auto [slow, cancel_slow] = weft::with_cancel(weft::background());
  const auto go_on = weft::make_chan<void>();
  weft::after_func(slow, [go_on, ran] { go_on.recv(), ran.send(5); });
  cancel_slow();  // does not wait for f
  go_on.send();
  EXPECT_EQ(ran.recv(), 5);
  EXPECT_EQ(ran.size(), 0u);
}

// CONTEXT-13: what was never run is destroyed, and stop() and the end decide between them.
WEFT_TEST(context, after_func_either_runs_or_is_stopped) {
  const auto before = counted::alive.load();
  {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    auto stop = weft::after_func(ctx, [c = counted(1)] { static_cast<void>(c); });
    EXPECT_TRUE(stop());
    EXPECT_EQ(counted::alive.load(), before);
  }
  {
    auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::after_func(ctx, [c = counted(1)] { static_cast<void>(c); });
    cancel.detach();
  }
  EXPECT_EQ(counted::alive.load(), before);
  for (int i = 0; i < scale(300, 30); ++i) {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    std::atomic<int> ran{0};
    const auto stop = weft::after_func(ctx, [&ran] { ++ran; });
    bool stopped = false;
    weft::wait_group both;
    both.go([&cancel = cancel] { cancel(); });
    both.go([&] { stopped = stop(); });
    both.wait();
    if (!stopped) { EXPECT_TRUE(eventually([&] { return ran == 1; })); }
    else { EXPECT_EQ(ran, 0); }
  }
}

// CONTEXT-14
WEFT_TEST(context, layers_pass_values_and_ends_down) {
  rng r(14);
  for (int round = 0; round < scale(50, 5); ++round) {
    for (const bool in_time : {true, false}) {
      context ctx = weft::background();
      std::vector<weft::canceler> cancels;
      std::vector<std::pair<user_key, int>> values;
      int timeouts = 0;
      for (int layer = 0; layer < 30; ++layer) {
        switch (r.below(3)) {
          case 0: {
            values.push_back({user_key{layer}, layer * 3});
            ctx = weft::with_value(ctx, user_key{layer}, layer * 3);
            break;
          }
          case 1: {
            auto made = weft::with_cancel(ctx);
            ctx = made.ctx, cancels.push_back(std::move(made.cancel));
            break;
          }
          default: {
            auto made = weft::with_timeout(ctx, in_time ? std::chrono::nanoseconds(1h) : std::chrono::nanoseconds(1ms));
            ctx = made.ctx, cancels.push_back(std::move(made.cancel)), ++timeouts;
          }
        }
      }
      const auto check_values = [&] {
        for (const auto& [k, v] : values) EXPECT_EQ(*ctx.value<int>(k), v);
      };
      check_values();
      if (in_time && !cancels.empty()) {
        EXPECT_TRUE(is_live(ctx));
        cancels[r.below(static_cast<int>(cancels.size()))]();
        EXPECT_TRUE(is_done(ctx));
        EXPECT_EQ(ctx.err(), errc::canceled);
      } else if (timeouts) {
        ctx.done().recv();
        EXPECT_EQ(ctx.err(), errc::deadline_exceeded);
      }
      check_values();
    }
  }
}

// CONTEXT-15
WEFT_TEST(context, has_the_name_of_its_makers) {
  const auto [c, cancel_c] = weft::with_cancel(weft::background());
  EXPECT_EQ(to_string(c), "context.Background.WithCancel");
  EXPECT_EQ(to_string(weft::with_value(c, std::string("key"), std::string("value"))), "context.Background.WithCancel.WithValue(key, value)");
  EXPECT_EQ(to_string(weft::with_value(weft::todo(), user_key{1}, 42)), "context.TODO.WithValue((anonymous namespace)::user_key, int)");
  EXPECT_EQ(to_string(weft::with_value(weft::todo(), request_id, "r-1")), "context.TODO.WithValue(request_id, r-1)");
  EXPECT_EQ(to_string(weft::without_cancel(c)), "context.Background.WithCancel.WithoutCancel");
  const auto [t, cancel_t] = weft::with_timeout(weft::background(), 90min);
  EXPECT_TRUE(starts_with(to_string(t), "context.Background.WithDeadline(20"));
  EXPECT_TRUE(contains(to_string(t), " [1h29m59."));
  // As far away as there are nanoseconds.
  EXPECT_TRUE(contains(to_string(weft::with_deadline(weft::background(), steady::time_point::min()).ctx), " [-"));
  EXPECT_TRUE(contains(to_string(weft::with_timeout(weft::background(), std::chrono::hours(24 * 365 * 260)).ctx), " [22775"));
  EXPECT_TRUE(to_string(t).ends_with("s])"));
}

namespace {
/// A context of the user's own: done when it is told to.
struct own_context final : weft::custom_context {
  weft::chan<void> closed = weft::make_chan<void>();
  std::atomic<bool> over{false};
  void finish() {
    over = true;
    closed.close();
  }
  weft::receiver<void> done() const override { return closed; }
  std::error_code err() const override { return over ? make_error_code(errc::eof) : std::error_code(); }
  std::string name() const override { return "own"; }
};
/// Done, and cannot say why.
struct throwing_context final : weft::custom_context {
  weft::chan<void> closed = weft::make_chan<void>();
  throwing_context() { closed.close(); }
  weft::receiver<void> done() const override { return closed; }
  std::error_code err() const override { throw std::runtime_error("no error"); }
};
/// One that wraps a context of the library.
struct wrapping_context final : weft::custom_context {
  context inner;
  explicit wrapping_context(context c) : inner(std::move(c)) {}
  std::optional<std::chrono::steady_clock::time_point> deadline() const override { return inner.deadline(); }
  weft::receiver<void> done() const override { return inner.done(); }
  std::error_code err() const override { return inner.err(); }
  weft::context_value_view value(const weft::context_key_view& key) const override { return inner.find(key); }
};
}  // namespace

// Nothing stays behind: the leak checker would see it.
WEFT_TEST(context, of_the_users_own_making_may_throw) {
  const context ctx(std::make_shared<throwing_context>());
  EXPECT_THROW(static_cast<void>(weft::after_func(ctx, [] {})), std::runtime_error);
  EXPECT_THROW(static_cast<void>(ctx.get_stop_token()), std::runtime_error);
  EXPECT_THROW(static_cast<void>(weft::with_cancel(ctx)), std::runtime_error);
  EXPECT_THROW(static_cast<void>(ctx.done_core()), std::runtime_error);
  EXPECT_THROW(weft::parallel_for(0, 8, [](int) {}, {.ctx = ctx}), std::runtime_error);
  EXPECT_THROW(static_cast<void>(weft::make_chan<int>().recv(ctx)), std::runtime_error);
  EXPECT_THROW(weft::task_group{ctx}, std::runtime_error);
  EXPECT_THROW(static_cast<void>(weft::this_goroutine::sleep_for(1h, ctx)), std::runtime_error);
  weft::mutex m;
  EXPECT_THROW(static_cast<void>(m.lock(ctx)), std::runtime_error);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// CONTEXT-13, CONTEXT-16. To stop a function ends what was made to watch for it, and no more.
WEFT_TEST(context, stop_of_a_function_leaves_the_users_own_contexts_alone) {
  const auto user = std::make_shared<own_context>();
  const auto [ctx, cancel] = weft::with_cancel(context(user));
  for (const context& of : {context(user), ctx, weft::with_value(ctx, std::string("key"), 1)}) {
    const auto stop = weft::after_func(of, [] { ADD_FAILURE() << "it was stopped"; });
    EXPECT_TRUE(stop());
    EXPECT_FALSE(ctx.err()) << to_string(of);
  }
  user->finish();
  EXPECT_TRUE(eventually([&] { return ctx.err() == errc::eof; }));
}

// CONTEXT-16
WEFT_TEST(context, of_the_users_own_making_is_a_parent_too) {
  const auto user = std::make_shared<own_context>();
  const context parent(user);
  const int before = weft::goroutines();
  {
    const auto [child, cancel] = weft::with_cancel(weft::with_value(parent, user_key{1}, 1));
    EXPECT_TRUE(is_live(child));
    EXPECT_EQ(to_string(child), "own.WithValue((anonymous namespace)::user_key, int).WithCancel");
    EXPECT_EQ(weft::goroutines(), before + 1);
    cancel();
    EXPECT_TRUE(eventually([&] { return weft::goroutines() == before; }));
  }
  {
    const auto ran = weft::make_chan<void>();
    const auto stop = weft::after_func(parent, [ran] { ran.send(); });
    EXPECT_TRUE(stop());
    EXPECT_TRUE(eventually([&] { return weft::goroutines() == before; }));
  }
  const auto [child, cancel] = weft::with_timeout(parent, 1h);
  const auto ran = weft::make_chan<void>(1);
  weft::after_func(parent, [ran] { ran.send(); });
  weft::detail::done_core* core = parent.done_core();
  ASSERT_NE(core, nullptr);
  EXPECT_EQ(core, parent.done_core());
  user->finish();
  child.done().recv();
  EXPECT_EQ(child.err(), errc::eof);
  EXPECT_EQ(text_of(child.cause()), "EOF");
  EXPECT_TRUE(ran.recv());
  EXPECT_TRUE(eventually([&] { return core->done.load(); }));
  EXPECT_EQ(parent.err(), errc::eof);
  EXPECT_TRUE(is_done(weft::with_cancel(parent).ctx));
  EXPECT_TRUE(eventually([&] { return weft::goroutines() == before; }));
}

// CONTEXT-16
WEFT_TEST(context, that_wraps_one_of_the_library_needs_no_goroutine) {
  const auto [inner, cancel_inner] = weft::with_timeout(weft::with_value(weft::background(), user_key{1}, 5), 1h);
  const context wrapped(std::make_shared<wrapping_context>(inner));
  const int before = weft::goroutines();
  const auto [child, cancel] = weft::with_cancel(wrapped);
  EXPECT_EQ(weft::goroutines(), before);
  EXPECT_EQ(child.deadline(), inner.deadline());
  EXPECT_EQ(*child.value<int>(user_key{1}), 5);
  EXPECT_EQ(wrapped.done_core(), inner.done_core());
  cancel_inner();
  EXPECT_TRUE(is_done(child));
  EXPECT_EQ(child.err(), errc::canceled);
}

// A std::stop_token from a context: as soon as the cancelling call has returned.
WEFT_TEST(context, gives_a_stop_token) {
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  const auto [child, cancel_child] = weft::with_cancel(ctx);
  const std::stop_token early = child.get_stop_token();
  int called = 0;
  const std::stop_callback on_stop(early, [&] {
    ++called;
    EXPECT_EQ(child.err(), errc::canceled);  // no lock is held
  });
  EXPECT_FALSE(early.stop_requested());
  cancel();
  EXPECT_TRUE(early.stop_requested());
  EXPECT_EQ(called, 1);
  EXPECT_TRUE(child.get_stop_token().stop_requested());
}

// And a context from a token.
WEFT_TEST(context, ends_with_a_stop_token) {
  const auto owner = std::make_unique<std::stop_source>();  // on the heap: g++ 12 warns of one on the stack
  std::stop_source& source = *owner;
  const auto [ctx, cancel] = weft::with_stop_token(weft::background(), source.get_token());
  const auto [other, cancel_other] = weft::with_stop_token(weft::background(), source.get_token());
  const auto [none, cancel_none] = weft::with_stop_token(weft::background(), {});
  cancel_other();
  EXPECT_TRUE(is_live(ctx));
  plain_thread([&] { source.request_stop(); }).join();
  ctx.done().recv();
  EXPECT_EQ(ctx.err(), errc::canceled);
  EXPECT_TRUE(is_live(none));
  EXPECT_TRUE(is_done(weft::with_stop_token(weft::background(), source.get_token()).ctx));
  for (int i = 0; i < scale(200, 20); ++i) {  // the context's end and the stop at the same time
    const auto own = std::make_unique<std::stop_source>();
    std::stop_source& s = *own;
    auto made = std::make_unique<weft::cancelable>(weft::with_stop_token(weft::background(), s.get_token()));
    weft::wait_group both;
    both.go([&] { s.request_stop(); });
    both.go([&] { made.reset(); });
    both.wait();
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
