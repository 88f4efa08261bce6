// chan_test.cpp: what a channel does, capacity by capacity, open and closed and nil, with a limit in time and for plain threads.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "support/support.hpp"
#include "unit/sync/started.hpp"

using namespace weft::test;

namespace {
bool is(const std::error_code& ec, weft::errc e) { return ec == weft::make_error_code(e); }
}  // namespace

// CHAN-01
WEFT_TEST(chan, waits_when_empty_and_when_full_and_says_so_when_asked_not_to_wait) {
  for (int capacity = 0; capacity < 200; capacity += capacity < 20 ? 1 : 20) {
    auto c = weft::make_chan<int>(capacity);
    EXPECT_TRUE(is(c.try_recv().error(), weft::errc::would_block));
    std::atomic<int> got{-1};
    auto receiver = started([&, c] { got = c.recv().value(); });
    give_way();
    EXPECT_FALSE(*receiver) << "capacity " << capacity;
    c.send(7);
    EXPECT_TRUE(eventually([&] { return receiver->load(); }));
    EXPECT_EQ(got, 7);

    for (int i = 0; i < capacity; ++i) EXPECT_TRUE(c.try_send(i));
    EXPECT_FALSE(c.try_send(-1));
    auto sender = started([c, capacity] { c.send(capacity); });
    give_way();
    EXPECT_FALSE(*sender) << "capacity " << capacity;
    for (int i = 0; i <= capacity; ++i) EXPECT_EQ(c.recv(), i);
    EXPECT_TRUE(eventually([&] { return sender->load(); }));
  }
}

// CHAN-02
WEFT_TEST(chan, knows_its_size_and_capacity) {
  for (const std::size_t n : {0u, 1u, 2u, 10u, 100u}) {
    auto c = weft::make_chan<int>(static_cast<int>(n));
    EXPECT_EQ(c.size(), 0u);
    EXPECT_EQ(c.capacity(), n);
    EXPECT_TRUE(c.empty());
    for (std::size_t i = 0; i < n; ++i) c.send(1);
    EXPECT_EQ(c.size(), n);
    EXPECT_EQ(c.capacity(), n);
    EXPECT_EQ(c.empty(), n == 0);
  }
  const weft::chan<int> nil;
  EXPECT_EQ(nil.size(), 0u);
  EXPECT_EQ(nil.capacity(), 0u);
}

// CHAN-03
WEFT_TEST(chan, gives_what_is_buffered_and_then_nothing_for_ever_once_closed) {
  auto c = weft::make_chan<int>(10);
  for (int i = 0; i < 5; ++i) c.send(i);
  c.close();
  EXPECT_EQ(c.size(), 5u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(c.recv(), i);
  weft::wait_group done;
  for (int k = 0; k < 20; ++k) {
    done.go([c] {
      for (int i = 0; i < 20; ++i) EXPECT_EQ(c.recv(), std::nullopt);
      EXPECT_TRUE(is(c.try_recv().error(), weft::errc::channel_closed));
      EXPECT_TRUE(is(c.recv_for(1h).error(), weft::errc::channel_closed));
      EXPECT_TRUE(is(c.recv_for(0s).error(), weft::errc::channel_closed));
    });
  }
  done.wait();
}

// CHAN-04
WEFT_TEST(chan, close_wakes_all_blocked_receivers_with_nothing) {
  const int n = scale(1'000, 100);
  auto c = weft::make_chan<int>();
  std::atomic<int> woken{0};
  for (int i = 0; i < n; ++i) {
    weft::go([&, c] {
      EXPECT_EQ(c.recv(), std::nullopt);
      ++woken;
    });
  }
  give_way();
  EXPECT_EQ(woken, 0);
  c.close();
  EXPECT_TRUE(eventually([&] { return woken == n; }, 1s));
}

// CHAN-05
WEFT_TEST(chan, close_wakes_all_blocked_senders_with_an_exception_and_their_values) {
  const int n = scale(1'000, 100);
  auto c = weft::make_chan<std::unique_ptr<int>>();
  std::atomic<int> thrown{0};
  for (int i = 0; i < n; ++i) {
    weft::go([&, c, i] {
      auto value = std::make_unique<int>(i);
      try {
        c.send(std::move(value));
      } catch (const weft::closed_channel& e) {
        EXPECT_STREQ(e.what(), "send on closed channel");
        if (value && *value == i) ++thrown;  // it was not sent, so it is still ours
      }
    });
  }
  give_way();
  EXPECT_EQ(thrown, 0);
  c.close();
  EXPECT_TRUE(eventually([&] { return thrown == n; }));
  EXPECT_FALSE(c.recv().has_value());
}

// CHAN-06
WEFT_TEST(chan, send_on_a_closed_one_throws_even_with_room_in_the_buffer) {
  for (const int capacity : {0, 1, 10}) {
    auto c = weft::make_chan<int>(capacity);
    c.close();
    EXPECT_THROW(c.send(1), weft::closed_channel);
    EXPECT_THROW(static_cast<void>(c.try_send(1)), weft::closed_channel);
    EXPECT_THROW(static_cast<void>(c.send_for(1, 1ms)), weft::closed_channel);
    EXPECT_THROW(static_cast<void>(c.send_for(1, 0ms)), weft::closed_channel);
    EXPECT_EQ(c.size(), 0u);
  }
}

// CHAN-07
WEFT_TEST(chan, close_of_a_closed_or_nil_one_throws_and_disturbs_nothing) {
  auto c = weft::make_chan<int>(2);
  c.send(1);
  c.close();
  try {
    c.close();
    ADD_FAILURE() << "no exception";
  } catch (const weft::close_of_closed_channel& e) {
    EXPECT_STREQ(e.what(), "close of closed channel");
  }
  EXPECT_EQ(c.recv(), 1);
  EXPECT_EQ(c.recv(), std::nullopt);
  try {
    weft::chan<int>().close();
    ADD_FAILURE() << "no exception";
  } catch (const weft::close_of_nil_channel& e) {
    EXPECT_STREQ(e.what(), "close of nil channel");
  }
  static_assert(std::is_base_of_v<weft::panic, weft::close_of_closed_channel> && std::is_base_of_v<std::runtime_error, weft::panic>);
}

// CHAN-08, all that comes back: who waits for ever is in death/deadlock_test.cpp.
WEFT_TEST(chan, that_is_nil_is_never_ready) {
  const weft::chan<int> nil;
  EXPECT_FALSE(nil);
  EXPECT_FALSE(nil.try_send(1));
  EXPECT_TRUE(is(nil.try_recv().error(), weft::errc::would_block));
  const auto start = steady::now();
  EXPECT_TRUE(is(nil.recv_for(5ms).error(), weft::errc::timed_out));
  EXPECT_FALSE(nil.send_for(1, 5ms));
  EXPECT_GE(steady::now() - start, 10ms);
}

// CHAN-09
WEFT_TEST(chan, of_an_impossible_size_throws) {
  try {
    static_cast<void>(weft::make_chan<int>(-1));
    ADD_FAILURE() << "no exception";
  } catch (const weft::bad_chan_size& e) {
    EXPECT_STREQ(e.what(), "makechan: size out of range");
  }
  EXPECT_THROW(static_cast<void>(weft::make_chan<int>(INT64_MIN)), weft::bad_chan_size);
  EXPECT_THROW(static_cast<void>(weft::make_chan<std::int64_t>(INT64_MAX)), weft::bad_chan_size);
  EXPECT_THROW(static_cast<void>(weft::make_chan<std::string>(INT64_MAX / 2)), weft::bad_chan_size);
  EXPECT_THROW(static_cast<void>(weft::make_chan<std::int64_t>((INT64_MAX >> 3) + 2)), weft::bad_chan_size) << "the product wraps round";
  struct nothing {};
  auto wide = weft::make_chan<nothing>(std::int64_t{1} << 40);
  EXPECT_EQ(wide.capacity(), std::size_t{1} << 40);
  for (int i = 0; i < 1'000; ++i) wide.send({});
  EXPECT_EQ(wide.size(), 1'000u);
  auto events = weft::make_chan<void>(std::int64_t{1} << 40);
  EXPECT_TRUE(events.try_send());
}

// CHAN-24
WEFT_TEST(chan, handles_are_copies_of_one_channel_and_compare_by_identity) {
  auto a = weft::make_chan<int>(1), b = weft::make_chan<int>(1);
  auto copy = a;
  EXPECT_EQ(a, copy);
  EXPECT_NE(a, b);
  EXPECT_EQ(weft::chan<int>(), weft::chan<int>());
  EXPECT_NE(a, weft::chan<int>());
  copy.send(3);
  EXPECT_EQ(a.recv(), 3);
  weft::sender<int> in = a;
  weft::receiver<int> out = a;
  EXPECT_EQ(in, weft::sender<int>(copy));
  EXPECT_TRUE(in && out);
  auto moved = std::move(copy);
  EXPECT_EQ(moved, a);
  copy = moved;
  copy = *&copy;
  EXPECT_EQ(copy, a);
  static_assert(sizeof(weft::chan<int>) == sizeof(void*));
}

namespace {
template <class H>
concept can_send = requires(H h) { h.send(1); };
template <class H>
concept can_try_send = requires(H h) { h.try_send(1); };
template <class H>
concept can_send_for = requires(H h) { h.send_for(1, 1ms); };
template <class H>
concept can_close = requires(H h) { h.close(); };
template <class H>
concept can_recv = requires(H h) { h.recv(); };
template <class H>
concept can_try_recv = requires(H h) { h.try_recv(); };
template <class H>
concept can_iterate = requires(H h) { h.begin(), h.end(); };
template <class H>
concept sends = can_send<H> && can_try_send<H> && can_send_for<H> && can_close<H>;
template <class H>
concept sends_not = !can_send<H> && !can_try_send<H> && !can_send_for<H> && !can_close<H>;
template <class H>
concept receives = can_recv<H> && can_try_recv<H> && can_iterate<H>;
template <class H>
concept receives_not = !can_recv<H> && !can_try_recv<H> && !can_iterate<H>;
// CHAN-25
static_assert(sends<weft::chan<int>> && receives<weft::chan<int>>);
static_assert(sends<weft::sender<int>> && receives_not<weft::sender<int>>);
static_assert(sends_not<weft::receiver<int>> && receives<weft::receiver<int>>);
static_assert(std::is_convertible_v<weft::chan<int>, weft::sender<int>> && std::is_convertible_v<weft::chan<int>, weft::receiver<int>>);
static_assert(!std::is_convertible_v<weft::sender<int>, weft::chan<int>> && !std::is_convertible_v<weft::receiver<int>, weft::chan<int>>);
static_assert(!std::is_constructible_v<weft::chan<int>, weft::sender<int>> && !std::is_constructible_v<weft::chan<int>, weft::receiver<int>>);
static_assert(!std::is_convertible_v<weft::sender<int>, weft::receiver<int>> && !std::is_convertible_v<weft::receiver<int>, weft::sender<int>>);
static_assert(!std::is_convertible_v<weft::chan<int>, weft::sender<long>>);
}  // namespace

// CHAN-25
WEFT_TEST(chan, views_of_one_direction_are_the_same_channel) {
  auto c = weft::make_chan<int>(3);
  const auto produce = [](weft::sender<int> out) {
    for (int i = 0; i < 3; ++i) out.send(i);
    out.close();
  };
  const auto consume = [](weft::receiver<int> in) {
    int sum = 0;
    for (const int i : in) sum += i;
    return sum;
  };
  weft::go(produce, c);
  EXPECT_EQ(consume(c), 3);
}

// CHAN-27
WEFT_TEST(chan, range_ends_when_closed_and_drained_and_break_takes_nothing_more) {
  auto c = weft::make_chan<std::unique_ptr<int>>(10);
  for (int i = 0; i < 6; ++i) c.send(std::make_unique<int>(i));
  c.close();
  for (auto& p : c)
    if (*p == 2) break;
  EXPECT_EQ(c.size(), 3u);
  int sum = 0;
  for (auto& p : c) sum += *std::exchange(p, nullptr);
  EXPECT_EQ(sum, 3 + 4 + 5);
  for ([[maybe_unused]] auto& p : c) ADD_FAILURE() << "a value from nowhere";
}

WEFT_TEST(chan, of_void_carries_events) {
  auto c = weft::make_chan<void>();
  weft::go([c] {
    for (int i = 0; i < 10; ++i) c.send();
    c.close();
  });
  int events = 0;
  while (c.recv()) ++events;
  EXPECT_EQ(events, 10);
  EXPECT_TRUE(is(c.try_recv().error(), weft::errc::channel_closed));
  EXPECT_THROW(c.send(), weft::closed_channel);
  auto buffered = weft::make_chan<void>(2);
  EXPECT_TRUE(buffered.try_send());
  EXPECT_TRUE(buffered.send_for(1s));
  EXPECT_FALSE(buffered.try_send());
  EXPECT_FALSE(buffered.send_for(1ms));
  EXPECT_EQ(buffered.size(), 2u);
  EXPECT_TRUE(buffered.try_recv());
  EXPECT_TRUE(buffered.recv_for(1s));
  EXPECT_TRUE(is(buffered.recv_for(1ms).error(), weft::errc::timed_out));
}

// ---- timed forms ----

WEFT_TEST(chan_timed, recv_for_gives_up_not_before_its_time) {
  for (const int capacity : {0, 3}) {
    auto c = weft::make_chan<int>(capacity);
    const auto start = steady::now();
    const auto r = c.recv_for(20ms);
    EXPECT_GE(steady::now() - start, 20ms);
    ASSERT_FALSE(r);
    EXPECT_TRUE(is(r.error(), weft::errc::timed_out));
    EXPECT_TRUE(weft::is_timeout(r.error()));
    EXPECT_EQ(r.error(), std::errc::timed_out);
  }
}

WEFT_TEST(chan_timed, send_for_gives_up_and_leaves_the_value) {
  auto c = weft::make_chan<std::unique_ptr<int>>(1);
  c.send(std::make_unique<int>(1));
  auto value = std::make_unique<int>(2);
  const auto start = steady::now();
  EXPECT_FALSE(c.send_for(std::move(value), 20ms));
  EXPECT_GE(steady::now() - start, 20ms);
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, 2);
  EXPECT_FALSE(c.try_send(std::move(value)));
  ASSERT_TRUE(value);
  EXPECT_EQ(*c.recv().value(), 1);
  EXPECT_TRUE(c.send_for(std::move(value), 20ms));
  EXPECT_FALSE(value);
}

// Who has given up may not be found on the queue: the next value would go to a dead stack.
WEFT_TEST(chan_timed, leaves_the_queue_when_its_time_is_up) {
  auto c = weft::make_chan<int>();
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(c.recv_for(100us));
    EXPECT_FALSE(c.send_for(1, 100us));
    EXPECT_FALSE(c.try_send(1));
    EXPECT_FALSE(c.try_recv());
  }
  std::atomic<int> got{0};
  weft::go([&] { got = c.recv().value(); });
  c.send(4);
  EXPECT_TRUE(eventually([&] { return got == 4; }));
}

WEFT_TEST(chan_timed, returns_soon_when_a_partner_comes) {
  auto c = weft::make_chan<int>();
  const auto start = steady::now();
  weft::go([=] {
    weft::this_goroutine::sleep_for(2ms);
    c.send(1);
  });
  EXPECT_EQ(*c.recv_for(1h), 1);
  weft::go([=] {
    weft::this_goroutine::sleep_for(2ms);
    static_cast<void>(c.recv());
  });
  EXPECT_TRUE(c.send_for(2, std::chrono::hours::max()));
  EXPECT_LT(steady::now() - start, limit(5s));
}

WEFT_TEST(chan_timed, is_ended_by_close) {
  auto c = weft::make_chan<int>();
  std::atomic<int> ended{0};
  weft::go([&] {
    EXPECT_TRUE(is(c.recv_for(1h).error(), weft::errc::channel_closed));
    ++ended;
  });
  auto full = weft::make_chan<int>(1);
  full.send(1);
  weft::go([&] {
    EXPECT_THROW(static_cast<void>(full.send_for(1, 1h)), weft::closed_channel);
    ++ended;
  });
  give_way();
  EXPECT_EQ(ended, 0);
  c.close();
  full.close();
  EXPECT_TRUE(eventually([&] { return ended == 2; }));
}

WEFT_TEST(chan_timed, zero_or_less_looks_once) {
  auto c = weft::make_chan<int>(1);
  EXPECT_TRUE(is(c.recv_for(0s).error(), weft::errc::timed_out));
  EXPECT_TRUE(is(c.recv_for(-5s).error(), weft::errc::timed_out));
  EXPECT_TRUE(c.send_for(1, -1s));
  EXPECT_FALSE(c.send_for(1, 0s));
  EXPECT_EQ(*c.recv_for(0s), 1);
}

// ---- plain threads (design D7) ----

WEFT_TEST(chan_thread, may_send_and_receive_with_goroutines) {
  for (const int capacity : {0, 4}) {
    auto there = weft::make_chan<int>(capacity), back = weft::make_chan<int>(capacity);
    const int n = scale(2'000, 200);
    plain_thread t([=] {
      for (const int i : there) back.send(i + 1);
      back.close();
    });
    weft::go([=] {
      for (int i = 0; i < n; ++i) there.send(i);
      there.close();
    });
    int expected = 1;
    for (const int i : back) ASSERT_EQ(i, expected++);
    EXPECT_EQ(expected, n + 1);
    t.join();
  }
}

WEFT_TEST(chan_thread, is_woken_by_close_and_by_time) {
  auto c = weft::make_chan<int>();
  plain_thread receiver([=] { EXPECT_EQ(c.recv(), std::nullopt); });
  plain_thread sender([=] {
    auto full = weft::make_chan<int>(1);
    EXPECT_TRUE(full.try_send(1));
    EXPECT_FALSE(full.send_for(2, 5ms));
    const auto start = steady::now();
    EXPECT_TRUE(is(weft::make_chan<int>().recv_for(5ms).error(), weft::errc::timed_out));
    EXPECT_GE(steady::now() - start, 5ms);
  });
  give_way();
  c.close();
  receiver.join();
}
