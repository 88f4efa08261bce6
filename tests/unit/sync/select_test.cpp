// select_test.cpp: which case a select takes, in its compile-time form and as a selector, and what becomes of the others.
// weft-test: timeout=120
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/support.hpp"
#include "unit/sync/started.hpp"

using namespace weft::test;
using weft::on_default;
using weft::on_recv;
using weft::on_send;
using weft::on_timeout;
namespace self = weft::this_goroutine;

// SELECT-01. A choice that prefers anybody starves the others for ever.
WEFT_TEST(select, takes_each_of_the_ready_cases_with_the_same_chance) {
  auto a = weft::make_chan<int>(1), b = weft::make_chan<int>(1);
  const auto never = weft::make_chan<int>();
  const weft::chan<int> nil;
  std::array<int, 4> count{};
  for (int i = 0; i < 10'000; ++i) {
    static_cast<void>(a.try_send(1));
    static_cast<void>(b.try_send(2));
    const int k = weft::select(on_recv(never), on_recv(a), on_recv(nil), on_recv(b));
    ++count[static_cast<std::size_t>(k)];
  }
  EXPECT_EQ(count[0] + count[2], 0);
  EXPECT_NEAR(count[1], 5'000, 500);
  EXPECT_NEAR(count[3], 5'000, 500);
}

// SELECT-01. A random start and then the first that is ready would give the one behind the gap three times its share.
WEFT_TEST(select, is_uniform_whatever_lies_between_the_ready_cases) {
  std::vector<weft::chan<int>> c;
  for (int i = 0; i < 8; ++i) c.push_back(weft::make_chan<int>(1));
  const std::array ready = {0, 1, 2, 7};
  std::array<int, 8> count{}, listed{};
  weft::selector s;
  for (auto& x : c) s.recv(x);
  for (int i = 0; i < 10'000; ++i) {
    for (const int r : ready) static_cast<void>(c[static_cast<std::size_t>(r)].try_send(1));
    const int k = weft::select(on_recv(c[0]), on_recv(c[1]), on_recv(c[2]), on_recv(c[3]), on_recv(c[4]), on_recv(c[5]), on_recv(c[6]), on_recv(c[7]));
    ++count[static_cast<std::size_t>(k)];
    for (const int r : ready) static_cast<void>(c[static_cast<std::size_t>(r)].try_send(1));
    ++listed[static_cast<std::size_t>(s.wait())];
  }
  for (const int r : ready) {
    EXPECT_NEAR(count[static_cast<std::size_t>(r)], 2'500, 300) << r;
    EXPECT_NEAR(listed[static_cast<std::size_t>(r)], 2'500, 300) << r;
  }
}

// SELECT-02
WEFT_TEST(select, chooses_among_sends_on_one_channel_too) {
  for (const int capacity : {0, 100}) {
    auto c = weft::make_chan<int>(capacity);
    auto sender = started([c] {
      for (int i = 0; i < 100; ++i) weft::select(on_send(c, 0), on_send(c, 1));
    });
    int ones = 0;
    for (int i = 0; i < 100; ++i) ones += c.recv().value();
    EXPECT_GT(ones, 10) << "capacity " << capacity;
    EXPECT_LT(ones, 90) << "capacity " << capacity;
    EXPECT_TRUE(ends(sender));
  }
}
// SELECT-02. Blocked with several entries on one list, the first of them is served: it must not always be the same case.
WEFT_TEST(select, that_waits_on_one_channel_twice_prefers_neither_case) {
  auto c = weft::make_chan<int>();
  std::array<int, 2> count{};
  auto receiver = started([&, c] {
    for (int i = 0; i < 400; ++i) ++count[static_cast<std::size_t>(weft::select(on_recv(c), on_recv(c)))];
  });
  for (int i = 0; i < 400; ++i) {
    c.send(i);
    self::yield();  // it waits again
  }
  EXPECT_TRUE(ends(receiver));
  EXPECT_GT(count[0], 100);
  EXPECT_GT(count[1], 100);
}

// SELECT-03
WEFT_TEST(select, runs_its_default_only_when_nothing_is_ready_and_then_at_once) {
  auto in = weft::make_chan<int>(1);
  auto out = weft::make_chan<int>(1);
  out.send(0);
  int defaults = 0;
  EXPECT_EQ(weft::select(on_recv(in), on_default([&] { ++defaults; }), on_send(out, 1)), 1);
  EXPECT_EQ(defaults, 1);
  EXPECT_EQ(weft::select(on_default()), 0);
  EXPECT_EQ(weft::select(on_timeout(1h), on_default()), 1) << "a select with a default never waits";
  in.send(5);
  EXPECT_EQ(weft::select(on_default([&] { ++defaults; }), on_recv(in, [](std::optional<int> v) { EXPECT_EQ(v, 5); })), 1);
  EXPECT_EQ(out.recv(), 0);
  EXPECT_EQ(weft::select(on_default([&] { ++defaults; }), on_send(out, 6)), 1);
  EXPECT_EQ(out.recv(), 6);
  EXPECT_EQ(defaults, 1);
}

// SELECT-04, what comes back: who waits for ever is in death/deadlock_test.cpp.
WEFT_TEST(select, never_takes_a_nil_channel) {
  const weft::chan<int> nil;
  const weft::receiver<std::string> nil_receiver;
  auto c = weft::make_chan<int>(1);
  EXPECT_EQ(weft::select(on_recv(nil), on_send(nil, 1), on_default()), 2);
  EXPECT_EQ(weft::select(on_recv(nil), on_timeout(5ms), on_recv(nil_receiver)), 1);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(weft::select(on_recv(nil), on_send(nil, 1), on_send(c, i), on_recv(nil_receiver)), 2);
    EXPECT_EQ(weft::select(on_recv(nil), on_recv(c), on_recv(nil_receiver)), 1);
  }
  auto waits = started([&, c] { EXPECT_EQ(weft::select(on_recv(nil), on_recv(c), on_send(nil, 1)), 1); });
  give_way();
  EXPECT_FALSE(*waits);
  c.send(1);
  EXPECT_TRUE(ends(waits));
}

// SELECT-05. In which order the arguments of a function are evaluated is the compiler's choice; a selector has the program's.
WEFT_TEST(select, evaluates_channels_and_values_once_and_before_it_chooses) {
  auto full = weft::make_chan<int>(1), empty = weft::make_chan<int>(1), room = weft::make_chan<int>(1);
  full.send(7);
  int evaluated = 0, ran = 0;
  const auto counted_one = [&](auto& c) -> auto& {
    EXPECT_EQ(ran, 0);
    return ++evaluated, c;
  };
  const auto value = [&](int v) {
    EXPECT_EQ(ran, 0);
    return ++evaluated, v;
  };
  const int k = weft::select(on_recv(counted_one(full), [&](auto) { ++ran; }), on_recv(counted_one(empty), [&](auto) { ++ran; }),
                             on_send(counted_one(room), value(9), [&] { ++ran; }));
  EXPECT_EQ(evaluated, 4);
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(full.size() + room.size(), k == 0 ? 0u : 2u);

  std::vector<int> order;
  weft::selector s;
  std::optional<int> first = -1, second = -1;
  const auto noted = [&](int i, auto& c) -> auto& { return order.push_back(i), c; };
  static_cast<void>(full.try_send(7));
  s.recv(noted(1, full), first);
  s.recv(noted(2, empty), second);
  s.send(noted(3, empty), 4);
  const int chosen = s.wait();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  EXPECT_EQ(first, chosen == 0 ? 7 : -1) << "what was not chosen is not written";
  EXPECT_EQ(second, -1);
}

// SELECT-06
WEFT_TEST(select, never_receives_what_it_sends_itself) {
  auto c = weft::make_chan<int>();
  EXPECT_EQ(weft::select(on_recv(c), on_send(c, 1), on_default()), 2);
  EXPECT_EQ(weft::select(on_recv(c), on_send(c, 1), on_timeout(2ms)), 2);
  for (const int capacity : {0, 10}) {
    auto both = weft::make_chan<int>(capacity);
    weft::wait_group done;
    std::atomic<int> sent{0}, received{0};
    for (int k = 0; k < 2; ++k) {
      done.go([&, both, k] {
        for (int i = 0; i < 1'000; ++i) {
          weft::select(on_send(both, k, [&] { ++sent; }), on_recv(both, [&, k](std::optional<int> v) {
                         ++received;
                         if (both.capacity() == 0) {
                           EXPECT_EQ(v, 1 - k) << "its own value";
                         }
                       }));
        }
      });
    }
    // With an unbuffered channel the last select of one may be left alone: only pairs end.
    EXPECT_TRUE(eventually([&] { return sent + received == 2'000; }));
    done.wait();
    EXPECT_EQ(static_cast<std::size_t>(sent - received), both.size());
  }
}

// SELECT-07. An entry that stays behind takes a later value with it.
WEFT_TEST(select, leaves_all_other_queues_when_it_wakes) {
  for (int round = 0; round < 200; ++round) {
    auto c = weft::make_chan<int>(), d = weft::make_chan<int>();
    auto a = started([=] { EXPECT_EQ(weft::select(on_recv(c), on_recv(c), on_recv(d)), 2); });
    self::yield();
    auto b = started([=] { EXPECT_EQ(c.recv(), 2); });
    if (round % 20 == 0) give_way();
    else self::yield();
    d.send(1);
    EXPECT_TRUE(ends(a));
    c.send(2);
    EXPECT_TRUE(ends(b));
  }
}

// SELECT-10
WEFT_TEST(select, takes_a_closed_channel_every_time_with_nothing) {
  auto closed = weft::make_chan<int>(3), open = weft::make_chan<int>(3);
  closed.send(1);
  closed.close();
  EXPECT_EQ(weft::select(on_recv(open), on_recv(closed, [](std::optional<int> v) { EXPECT_EQ(v, 1); })), 1) << "what is buffered comes first";
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(weft::select(on_recv(open), on_recv(closed, [](std::optional<int> v) { EXPECT_FALSE(v); }), on_default()), 1);
  }
  auto later = weft::make_chan<std::string>();
  auto waits = started([=] { EXPECT_EQ(weft::select(on_recv(later, [](std::optional<std::string> v) { EXPECT_FALSE(v); }), on_recv(open)), 0); });
  give_way();
  later.close();
  EXPECT_TRUE(ends(waits));
}

// SELECT-11, CHAN-05, CHAN-06
WEFT_TEST(select, that_waits_to_send_throws_when_its_channel_closes_and_has_left_the_others) {
  auto a = weft::make_chan<std::unique_ptr<int>>(), b = weft::make_chan<std::unique_ptr<int>>();
  auto waits = started([=] {
    auto one = std::make_unique<int>(1), two = std::make_unique<int>(2);
    try {
      weft::select(on_send(a, std::move(one)), on_send(b, std::move(two)), on_recv(b));
      ADD_FAILURE() << "no exception";
    } catch (const weft::closed_channel& e) {
      EXPECT_STREQ(e.what(), "send on closed channel");
    }
    ASSERT_TRUE(one && two) << "what was not sent is still ours";
    EXPECT_EQ(*one + *two, 3);
  });
  give_way();
  a.close();
  EXPECT_TRUE(ends(waits));
  EXPECT_FALSE(b.try_send(nullptr)) << "a receiver that is gone";
  EXPECT_FALSE(b.try_recv()) << "a sender that is gone";
  auto receiver = started([=] { EXPECT_EQ(**b.recv(), 5); });
  give_way();
  b.send(std::make_unique<int>(5));
  EXPECT_TRUE(ends(receiver));
}
// CHAN-06
WEFT_TEST(select, throws_for_a_send_on_a_closed_channel_with_and_without_default) {
  for (const int capacity : {0, 1}) {
    auto c = weft::make_chan<int>(capacity);
    const auto never = weft::make_chan<int>();
    c.close();
    EXPECT_THROW(weft::select(on_send(c, 1)), weft::closed_channel);
    EXPECT_THROW(weft::select(on_send(c, 1), on_recv(never)), weft::closed_channel);
    EXPECT_THROW(weft::select(on_recv(never), on_send(c, 1), on_default()), weft::closed_channel);
    EXPECT_THROW(weft::select(on_recv(never), on_send(c, 1), on_timeout(1h)), weft::closed_channel);
    weft::selector s;
    s.send(c, 1);
    EXPECT_THROW(static_cast<void>(s.try_wait()), weft::closed_channel);
    EXPECT_THROW(static_cast<void>(s.wait()), weft::closed_channel);
  }
}
