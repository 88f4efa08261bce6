// answers_test.cpp: what a context answers: until when it has time, why it has ended, what values it carries, and its name.
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <weft/context.hpp>

#include "support/support.hpp"
#include "unit/context/asking.hpp"

using namespace weft::test;
using weft::context;
using weft::errc;

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
