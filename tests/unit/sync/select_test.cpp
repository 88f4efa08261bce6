// select_test.cpp: what a select does, in its compile-time form and as a selector.
// weft-test: timeout=120
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <weft/test/bubble.hpp>

#include "support/support.hpp"

using namespace weft::test;
using weft::on_default;
using weft::on_recv;
using weft::on_send;
using weft::on_timeout;
namespace self = weft::this_goroutine;

namespace {

// By all; stays 0 under the sanitizers that have an operator new of their own.
std::atomic<std::int64_t> allocations{0};

/// Starts f and gives back whether it has ended.
template <class F>
std::shared_ptr<std::atomic<bool>> started(F f) {
  auto ended = std::make_shared<std::atomic<bool>>(false);
  weft::go([f = std::move(f), ended]() mutable { f(), *ended = true; });
  return ended;
}
bool ends(const std::shared_ptr<std::atomic<bool>>& what) {
  return eventually([&] { return what->load(); });
}
/// Lets others run for a while that would be enough to block, or to end.
void give_way() {
  for (int i = 0; i < 20; ++i) self::yield();
  self::sleep_for(1ms);
}

}  // namespace

#if !defined(WEFT_TEST_TSAN) && !defined(WEFT_TEST_ASAN)
// Not inlined, or g++ compares a new expression with free().
[[gnu::noinline]] void* operator new(std::size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif

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

// SELECT-08. One look after the other misses a value that is always in one of the two.
WEFT_TEST(select, with_a_default_sees_all_channels_at_one_moment) {
  const int rounds = scale(100'000, 1'000);
  for (const bool closes : {false, true}) {
    auto start = weft::make_chan<std::array<weft::chan<int>, 2>>(1);
    auto next = weft::make_chan<int>();
    auto other = started([=] {
      for (auto& c : start) {
        if (closes) c[1].close();
        else c[1].send(2);
        static_cast<void>(c[0].try_recv());
        next.send(0);
      }
    });
    int missed = 0;
    for (int i = 0; i < rounds; ++i) {
      auto c1 = weft::make_chan<int>(1), c2 = weft::make_chan<int>(1);
      c1.send(1);
      start.send({c1, c2});
      missed += weft::select(on_recv(c1), on_recv(c2), on_default()) == 2;
      static_cast<void>(next.recv());
    }
    start.close();
    EXPECT_EQ(missed, 0);
    EXPECT_TRUE(ends(other));
  }
}

// SELECT-09
WEFT_TEST(select, of_ten_goroutines_over_four_channels_loses_nothing) {
  const int n = scale(100'000, 1'000);
  const std::array c = {weft::make_chan<int>(0), weft::make_chan<int>(0), weft::make_chan<int>(2), weft::make_chan<int>(3)};
  std::array<std::atomic<int>, 4> received{};
  weft::wait_group done;
  for (std::size_t i = 0; i < 4; ++i) {
    done.go([&, i] {
      for (int k = 0; k < n; ++k) c[i].send(k);
    });
    done.go([&, i] {
      for (int k = 0; k < n; ++k) static_cast<void>(c[i].recv().value()), ++received[i];
    });
  }
  done.go([&] {
    auto open = c;  // nil once all is sent
    std::array<int, 4> sent{};
    for (int left = 4 * n; left > 0; --left) {
      const auto k = static_cast<std::size_t>(weft::select(on_send(open[0], sent[0]), on_send(open[1], sent[1]), on_send(open[2], sent[2]), on_send(open[3], sent[3])));
      if (++sent[k] == n) open[k] = {};
    }
  });
  done.go([&] {
    auto open = c;
    std::array<int, 4> got{};
    for (int left = 4 * n; left > 0; --left) {
      const auto k = static_cast<std::size_t>(weft::select(on_recv(open[0]), on_recv(open[1]), on_recv(open[2]), on_recv(open[3])));
      ++received[k];
      if (++got[k] == n) open[k] = {};
    }
  });
  done.wait();
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(received[i], 2 * n) << i;
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

// SELECT-12
WEFT_TEST(selector, of_a_thousand_channels_takes_each_once) {
  constexpr int n = 1'000;
  std::vector<weft::chan<int>> c;
  std::optional<int> got;
  weft::selector s;
  for (int i = 0; i < n; ++i) {
    c.push_back(weft::make_chan<int>(1));
    EXPECT_EQ(s.recv(c.back(), got), i);
  }
  EXPECT_EQ(s.try_wait(), -1);
  std::vector<bool> taken(n);
  for (int i = 0; i < n; ++i) c[static_cast<std::size_t>(i)].send(i);
  for (int i = 0; i < n; ++i) {
    const int k = s.wait();
    EXPECT_EQ(got, k);
    EXPECT_FALSE(taken[static_cast<std::size_t>(k)]);
    taken[static_cast<std::size_t>(k)] = true;
  }
  EXPECT_EQ(s.wait_for(1ms), -1);
  // The same while it waits, and with sends.
  auto senders = started([&] {
    for (int i = 0; i < n; ++i) c[static_cast<std::size_t>(i * 7 % n)].send(i * 7 % n);
  });
  std::int64_t sum = 0;
  for (int i = 0; i < n; ++i) {
    EXPECT_EQ(s.wait(), *got);
    sum += *got;
  }
  EXPECT_EQ(sum, n * (n - 1) / 2);
  EXPECT_TRUE(ends(senders));
  s.clear();
  for (int i = 0; i < n; ++i) EXPECT_EQ(s.send(c[static_cast<std::size_t>(i)], i), i);
  for (int i = 0; i < n; ++i) static_cast<void>(s.wait());
  EXPECT_EQ(s.try_wait(), -1) << "each is sent once";
  for (int i = 0; i < n; ++i) EXPECT_EQ(c[static_cast<std::size_t>(i)].recv(), i);
}
// SELECT-12
WEFT_TEST(selector, has_room_for_65536_cases_and_throws_for_one_more) {
  std::vector<weft::chan<int>> c;
  for (int i = 0; i < 10'000; ++i) c.push_back(weft::make_chan<int>());
  weft::selector s;
  std::optional<int> got;
  for (int i = 0; i < 65'536; ++i) s.recv(c[static_cast<std::size_t>(i) * 7 % c.size()], got);
  EXPECT_EQ(s.try_wait(), -1);
  try {
    s.recv(c[0]);
    ADD_FAILURE() << "no exception";
  } catch (const weft::panic& e) {
    EXPECT_STREQ(e.what(), "select: too many cases (max 65536)");
  }
  EXPECT_EQ(s.size(), 65'536);
  auto sender = started([&] {
    give_way();
    for (int i = 0; i < 3; ++i) c[static_cast<std::size_t>(i) * 3'333].send(i);
  });
  for (int i = 0; i < 3; ++i) {
    const int k = s.wait();
    EXPECT_EQ(got, i);
    EXPECT_EQ(static_cast<std::size_t>(k) * 7 % c.size(), static_cast<std::size_t>(i) * 3'333);
  }
  EXPECT_TRUE(ends(sender));
}

// SELECT-13
WEFT_TEST(select, puts_values_in_the_right_place_after_a_change_of_thread) {
  const with_procs four(4);
  const int n = scale(10'000, 500);
  auto a = weft::make_chan<std::int64_t>(), b = weft::make_chan<std::int64_t>();
  auto big = weft::make_chan<std::string>();
  weft::wait_group load;
  std::atomic<bool> stop{false};
  for (int i = 0; i < 8; ++i) {
    load.go([&] {
      while (!stop) self::yield();
    });
  }
  weft::wait_group senders;
  senders.go([=] {
    for (std::int64_t i = 0; i < n; ++i) a.send(i), self::yield();
  });
  senders.go([=] {
    for (std::int64_t i = 0; i < n; ++i) b.send(-i), self::yield();
  });
  senders.go([=] {
    for (int i = 0; i < n; ++i) big.send("a string that is too long to lie in itself " + std::to_string(i));
  });
  std::int64_t up = 0, down = 0;
  int text = 0;
  for (int i = 0; i < 3 * n; ++i) {
    weft::select(on_recv(a, [&](std::optional<std::int64_t> v) { EXPECT_EQ(v, up++); }), on_recv(b, [&](std::optional<std::int64_t> v) { EXPECT_EQ(v, -down++); }),
                 on_recv(big, [&](std::optional<std::string> v) { EXPECT_EQ(v, "a string that is too long to lie in itself " + std::to_string(text++)); }));
  }
  stop = true;
  senders.wait();
  load.wait();
}

// SELECT-14
WEFT_TEST(select, times_out_not_before_its_time) {
  auto c = weft::make_chan<int>();
  for (int i = 0; i < 20; ++i) {
    const auto d = std::chrono::microseconds(100 * i);
    const auto start = steady::now();
    bool timed_out = false;
    EXPECT_EQ(weft::select(on_recv(c), on_timeout(d, [&] { timed_out = true; }), on_send(c, 1)), 1);
    EXPECT_GE(steady::now() - start, d);
    EXPECT_TRUE(timed_out);
  }
  EXPECT_EQ(weft::select(on_timeout(1ms)), 0) << "a sleep";
  EXPECT_EQ(weft::select(on_timeout(-1s), on_recv(c)), 0);
  const auto start = steady::now();
  EXPECT_EQ(weft::select(on_timeout(start + 3ms), on_recv(c)), 0);
  EXPECT_GE(steady::now() - start, 3ms);
  weft::selector s;
  s.recv(c);
  EXPECT_EQ(s.wait_for(1ms), -1);
  EXPECT_EQ(s.wait_until(steady::now() + 1ms), -1);
}
// SELECT-14
WEFT_TEST(select, that_ends_before_its_time_leaves_no_timer_behind) {
  auto c = weft::make_chan<int>(1), waited = weft::make_chan<int>();
  const auto before = resident_bytes();
  for (int i = 0; i < scale(1'000'000, 20'000); ++i) {
    c.send(i);
    weft::select(on_recv(c), on_timeout(1h));
  }
  const int n = scale(100'000, 5'000);
  auto sender = started([=] {
    for (int i = 0; i < n; ++i) waited.send(i);
  });
  for (int i = 0; i < n; ++i) EXPECT_EQ(weft::select(on_timeout(1h), on_recv(waited)), 1);
  EXPECT_TRUE(ends(sender));
  EXPECT_LT(resident_bytes() - std::min(before, resident_bytes()), (under_sanitizer ? 400u : 50u) << 20);
}

// SELECT-15. Locks in two orders would lock up within a few rounds.
WEFT_TEST(select, of_two_crosswise_never_locks_up) {
  const int rounds = scale(100'000, 2'000);
  auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
  weft::wait_group done;
  std::atomic<int> sent{0}, received{0};
  std::atomic<bool> one_ended{false};
  const auto loop = [&](weft::chan<int> out, weft::chan<int> in) {
    for (int i = 0; i < rounds; ++i) {
      const int k = weft::select(on_send(out, i, [&] { ++sent; }), on_recv(in, [&](std::optional<int> v) {
                                   EXPECT_TRUE(v);
                                   ++received;
                                 }), on_timeout(one_ended ? 0ms : 60'000ms));
      if (k == 2) {
        EXPECT_TRUE(one_ended) << "nobody moves";
        break;
      }
    }
    one_ended = true;
  };
  done.go([&] { loop(a, b); });
  done.go([&] { loop(b, a); });
  done.wait();
  EXPECT_EQ(sent, received);
  EXPECT_GE(sent + received, 2 * rounds - 1);
}

// SELECT-16
WEFT_TEST(select, returns_by_its_timer_though_a_channel_is_always_busy) {
  auto c = weft::make_chan<int>(), after = weft::make_chan<int>(1);
  std::atomic<bool> stop{false};
  weft::wait_group busy;
  for (int i = 0; i < 2; ++i) {
    busy.go([&] {
      while (!stop) weft::select(on_send(c, 1), on_recv(c), on_timeout(10ms));
    });
  }
  auto start = steady::now();
  weft::go([after] {
    self::sleep_for(20ms);
    after.send(1);
  });
  while (weft::select(on_recv(c), on_recv(after)) != 1) {
  }
  EXPECT_GE(steady::now() - start, 20ms);
  EXPECT_LT(steady::now() - start, limit(1s));
  start = steady::now();
  while (weft::select(on_recv(c), on_timeout(start + 20ms)) != 1) {
  }
  EXPECT_GE(steady::now() - start, 20ms);
  EXPECT_LT(steady::now() - start, limit(1s));
  stop = true;
  busy.wait();
}

// ---- C++'s side ----

// CHAN-22, CHAN-05: a value is moved from only when it was sent.
WEFT_TEST(select, moves_a_value_only_when_it_sends_it) {
  const auto alive = counted::alive.load();
  {
    auto a = weft::make_chan<std::unique_ptr<int>>(1), b = weft::make_chan<std::unique_ptr<int>>(1);
    auto values = weft::make_chan<counted>(1);
    for (int i = 0; i < 100; ++i) {
      auto one = std::make_unique<int>(1), two = std::make_unique<int>(2);
      const int k = weft::select(on_send(a, std::move(one)), on_send(b, std::move(two)));
      EXPECT_EQ(one == nullptr, k == 0);
      EXPECT_EQ(two == nullptr, k == 1);
      EXPECT_EQ(weft::select(on_recv(a, [](std::optional<std::unique_ptr<int>> v) { EXPECT_EQ(**v, 1); }), on_recv(b, [](auto v) { EXPECT_EQ(**v, 2); })), k);
      counted mine(i);
      if (i % 2 == 0) values.send(7);
      EXPECT_EQ(weft::select(on_send(values, std::move(mine)), on_default()), i % 2 == 0 ? 1 : 0);
      EXPECT_EQ(mine.value, i % 2 == 0 ? i : -1);
      EXPECT_EQ(weft::select(on_recv(values, [&](std::optional<counted> v) { EXPECT_EQ(v->value, i % 2 == 0 ? 7 : i); })), 0);
      const counted copied(3);
      EXPECT_EQ(weft::select(on_send(values, copied)), 0);
      EXPECT_EQ(copied.value, 3);
      EXPECT_EQ(weft::select(on_recv(values)), 0) << "dropped";
    }
  }
  EXPECT_EQ(counted::alive, alive);
}
// A throw while the cases are made: what an earlier case has already taken in is given back.
WEFT_TEST(select, gives_values_back_when_a_later_one_throws) {
  struct refuses {
    refuses() = default;
    refuses(const refuses&) { throw std::runtime_error("no copy"); }
  };
  auto a = weft::make_chan<std::string>(1);
  auto b = weft::make_chan<refuses>(1);
  std::string text(100, 'x');
  const refuses bad;
  EXPECT_THROW(weft::select(on_send(a, std::move(text)), on_send(b, bad)), std::runtime_error);
  EXPECT_EQ(text, std::string(100, 'x'));
  EXPECT_EQ(a.size() + b.size(), 0u);
  EXPECT_THROW(weft::select(on_send(a, "from a literal", [] { throw std::runtime_error("a handler's own"); })), std::runtime_error);
  EXPECT_EQ(a.recv(), "from a literal");
}

WEFT_TEST(select, takes_one_way_handles_temporaries_and_events) {
  auto c = weft::make_chan<int>(1);
  const weft::sender<int> to = c;
  const weft::receiver<int> from = c;
  EXPECT_EQ(weft::select(on_send(to, 1)), 0);
  EXPECT_EQ(weft::select(on_recv(from, [](std::optional<int> v) { EXPECT_EQ(v, 1); })), 0);
  EXPECT_EQ(weft::select(on_send(weft::sender<int>(c), 'a')), 0);  // converted
  EXPECT_EQ(weft::select(on_recv(weft::receiver<int>(c), [](std::optional<int> v) { EXPECT_EQ(v, 'a'); }), on_recv(weft::make_chan<std::string>())), 0);

  auto event = weft::make_chan<void>(1);
  int ran = 0;
  EXPECT_EQ(weft::select(on_send(event, [&] { ++ran; })), 0);
  EXPECT_EQ(weft::select(on_send(event), on_default()), 1);
  EXPECT_EQ(weft::select(on_recv(event, [&](bool open) { ran += open; })), 0);
  event.close();
  EXPECT_EQ(weft::select(on_recv(weft::receiver<void>(event), [&](bool open) { ran += open ? 100 : 1; })), 0);
  EXPECT_EQ(weft::select(on_recv(event, [&] { ++ran; })), 0);
  EXPECT_EQ(ran, 4);
  EXPECT_THROW(weft::select(on_send(weft::sender<void>(event))), weft::closed_channel);
  static_assert(!std::is_invocable_v<decltype([](auto h) -> decltype(on_send(h, 1)) { return on_send(h, 1); }), weft::receiver<int>>);
}

// The last handle goes while a select waits: whoever waits last destroys the channel.
WEFT_TEST(select, outlives_the_handles_of_its_channels) {
  const auto alive = counted::alive.load();
  for (int i = 0; i < 50; ++i) {
    bubble([i] {  // in which one can tell that a goroutine waits
      auto holder = std::make_unique<std::array<weft::chan<counted>, 2>>();
      for (auto& c : *holder) c = weft::make_chan<counted>();
      auto stays = weft::make_chan<int>();
      int k = -1;
      weft::go([&c = *holder, stays, i, &k] {
        k = i % 2 == 0 ? weft::select(on_recv(c[0]), on_recv(c[1]), on_recv(c[0]), on_recv(stays))
                       : weft::select(on_recv(c[0]), on_send(c[1], counted(1)), on_timeout(3ms));
      });
      weft::test::wait();
      holder.reset();
      if (i % 2 == 0) stays.send(1);
      else self::sleep_for(1s);
      weft::test::wait();
      EXPECT_EQ(k, i % 2 == 0 ? 3 : 2);
    });
  }
  EXPECT_EQ(counted::alive, alive);
}

WEFT_TEST(select, works_on_threads_that_weft_did_not_make) {
  const int n = scale(2'000, 100);
  auto a = weft::make_chan<int>(), b = weft::make_chan<int>(), back = weft::make_chan<int>();
  auto go_on = weft::make_chan<void>();
  plain_thread t([=] {
    EXPECT_EQ(weft::select(on_recv(a), on_recv(b), on_timeout(2ms)), 2);
    EXPECT_EQ(weft::select(on_recv(a), on_recv(b), on_default()), 2);
    go_on.close();
    int sum = 0;
    for (int i = 0; i < 2 * n; ++i) weft::select(on_recv(a, [&](auto v) { sum += *v; }), on_recv(b, [&](auto v) { sum -= *v; }));
    EXPECT_EQ(weft::select(on_send(back, sum), on_recv(weft::chan<int>())), 0);
  });
  auto senders = started([=] {
    static_cast<void>(go_on.recv());
    for (int i = 0; i < n; ++i) {
      if (i < 2) self::sleep_for(5ms);  // the thread waits by then, mostly
      a.send(i + 1), b.send(i);
    }
  });
  EXPECT_EQ(back.recv(), n);
  EXPECT_TRUE(ends(senders));
  t.join();
}

WEFT_TEST(select, allocates_nothing_up_to_16_cases) {
  std::array<weft::chan<int>, 16> c;
  for (auto& x : c) x = weft::make_chan<int>();
  auto go_on = weft::make_chan<int>(1);
  auto sender = started([=] {
    for (int i = 0; i < 1'000; ++i) {
      static_cast<void>(go_on.recv());
      c[static_cast<std::size_t>(i % 8)].send(i);
    }
  });
  weft::selector s;
  std::optional<int> got;
  for (auto& x : c) s.recv(x, got);
  go_on.send(0);
  EXPECT_EQ(s.wait(), 0);
  const auto before = allocations.load();
  for (int i = 1; i < 1'000; ++i) {
    go_on.send(0);
    if (i % 2 == 0) {
      s.clear();
      for (auto& x : c) s.recv(x, got);
      EXPECT_EQ(s.wait(), i % 8);
    } else {
      EXPECT_EQ(weft::select(on_recv(c[0]), on_recv(c[1]), on_recv(c[2]), on_recv(c[3]), on_recv(c[4]), on_recv(c[5]), on_recv(c[6]), on_recv(c[7]), on_send(c[8], 1),
                             on_recv(c[9]), on_recv(c[10]), on_recv(c[11]), on_recv(c[12]), on_recv(c[13]), on_recv(c[14]), on_send(c[15], 1)),
                i % 8);
    }
  }
  EXPECT_LT(allocations - before, 100) << "of a thousand selects";  // a new thread of the scheduler may come to be meanwhile
  EXPECT_TRUE(ends(sender));
}

// A select that looked again and again instead of waiting would be seen here.
WEFT_TEST(select, takes_no_time_of_the_processor_while_it_waits) {
  auto c = weft::make_chan<int>(), d = weft::make_chan<int>();
  const auto before = cpu_time();
  weft::select(on_recv(c), on_recv(d), on_timeout(200ms));
  if (under_chaos) return;  // the scheduler itself is busy then
  EXPECT_LT(cpu_time() - before, 100ms);
}

// ---- selector ----

WEFT_TEST(selector, keeps_its_receives_and_sends_each_value_once) {
  auto in = weft::make_chan<std::string>(2), out = weft::make_chan<std::string>(2);
  auto numbers = weft::make_chan<int>(2);
  weft::selector s;
  std::optional<std::string> got;
  const int receive = s.recv(in, got), send = s.send(out, "a"), number = s.send(numbers, 5);
  int sent = s.wait() + s.wait();
  EXPECT_EQ(sent, send + number);
  EXPECT_EQ(s.try_wait(), -1);
  EXPECT_EQ(out.recv(), "a");
  EXPECT_EQ(numbers.recv(), 5);
  in.send("b");
  in.send("c");
  EXPECT_EQ(s.wait(), receive);
  EXPECT_EQ(got, "b");
  EXPECT_EQ(s.wait(), receive);
  EXPECT_EQ(got, "c");
  in.close();
  EXPECT_EQ(s.wait(), receive);
  EXPECT_EQ(got, std::nullopt);
  s.remove(receive);
  EXPECT_EQ(s.try_wait(), -1);
  EXPECT_EQ(s.size(), 3);
  s.clear();
  bool open = false;
  auto event = weft::make_chan<void>(1);
  EXPECT_EQ(s.recv(event, open), 0);
  EXPECT_EQ(s.send(event), 1);
  EXPECT_EQ(s.wait(), 1);
  EXPECT_EQ(s.wait(), 0);
  EXPECT_TRUE(open);
  event.close();
  EXPECT_EQ(s.wait(), 0);
  EXPECT_FALSE(open);
}

WEFT_TEST(selector, owns_the_values_that_it_has_not_sent) {
  const auto alive = counted::alive.load();
  struct big {
    std::array<std::int64_t, 8> v;
  };
  struct alignas(32) aligned {
    int v;
  };
  {
    auto never = weft::make_chan<counted>(), room = weft::make_chan<counted>(8);
    auto bigs = weft::make_chan<big>(1);
    auto aligneds = weft::make_chan<aligned>(1);
    weft::selector s;
    for (int i = 0; i < 40; ++i) s.send(never, counted(i));  // grows past what lies in it
    for (int i = 0; i < 3; ++i) s.send(room, counted(i));
    s.send(bigs, big{{1, 2, 3, 4, 5, 6, 7, 8}});
    s.send(aligneds, aligned{3});
    for (int i = 0; i < 5; ++i) EXPECT_GE(s.wait(), 40);
    EXPECT_EQ(s.try_wait(), -1);
    EXPECT_EQ(bigs.recv()->v[7], 8);
    EXPECT_EQ(aligneds.recv()->v, 3);
    s.remove(3);
    std::optional<counted> got;
    s.recv(room, got);
    EXPECT_EQ(s.wait(), 45);
    EXPECT_LT(got->value, 3);
    room.close();
  }
  EXPECT_EQ(counted::alive, alive);
}

// With a timer among the cases it looks at all of them again, whose handles may have gone meanwhile.
WEFT_TEST(select, keeps_its_channels_when_their_handles_go) {
  int chosen = -1;
  bubble([&] {
    auto c = std::make_unique<weft::chan<int>>(weft::make_chan<int>());
    auto t = std::make_unique<weft::timer>(1s);
    weft::go([&, from = c.get(), after = t.get()] { chosen = weft::select(weft::on_recv(*from), weft::on_recv(after->c)); });
    weft::test::wait();
    c.reset(), t.reset();
    std::vector<weft::chan<int>> others;  // in the memory that was theirs
    for (int i = 0; i < 100; ++i) others.push_back(weft::make_chan<int>());
    weft::this_goroutine::sleep_for(1min);
  });
  EXPECT_EQ(chosen, 1);
}
