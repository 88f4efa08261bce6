// chan_test.cpp: what a channel does, capacity by capacity, open and closed and nil.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <weft/test/bubble.hpp>

#include "support/support.hpp"

using namespace weft::test;

namespace {
bool is(const std::error_code& ec, weft::errc e) { return ec == weft::make_error_code(e); }

/// Starts f and gives back whether it has ended, for things that should wait and things that should not.
template <class F>
std::shared_ptr<std::atomic<bool>> started(F f) {
  auto ended = std::make_shared<std::atomic<bool>>(false);
  weft::go([f = std::move(f), ended]() mutable { f(), *ended = true; });
  return ended;
}
/// Lets others run for a while that would be enough to end.
void give_way() {
  for (int i = 0; i < 20; ++i) weft::this_goroutine::yield();
  weft::this_goroutine::sleep_for(1ms);
}
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

// CHAN-10
WEFT_TEST(chan, keeps_the_order_of_one_sender) {
  for (const int capacity : {0, 1, 10, 128}) {
    auto c = weft::make_chan<int>(capacity);
    weft::go([c] {
      for (int i = 0; i < 1'000; ++i) c.send(i);
      c.close();
    });
    int expected = 0;
    for (const int i : c) ASSERT_EQ(i, expected++);
    EXPECT_EQ(expected, 1'000);
  }
}

// CHAN-11. In a bubble, where one can tell that a goroutine is blocked.
WEFT_TEST(chan, serves_blocked_receivers_in_the_order_in_which_they_came) {
  for (int round = 0; round < scale(100, 10); ++round) {
    bubble([] {
      auto c = weft::make_chan<int>();
      std::array<int, 10> got{};
      weft::wait_group done;
      for (std::size_t i = 0; i < got.size(); ++i) {
        done.go([&, i] { got[i] = c.recv().value(); });
        weft::test::wait();
      }
      for (int i = 0; i < 10; ++i) c.send(i);
      done.wait();
      for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], static_cast<int>(i));
    });
  }
}

// CHAN-11, CHAN-17: the other direction.
WEFT_TEST(chan, serves_blocked_senders_in_the_order_in_which_they_came) {
  for (int round = 0; round < scale(100, 10); ++round) {
    bubble([] {
      auto c = weft::make_chan<int>();
      weft::wait_group done;
      for (int i = 0; i < 10; ++i) {
        done.go([&, i] { c.send(i); });
        weft::test::wait();
      }
      for (int i = 0; i < 10; ++i) EXPECT_EQ(c.recv(), i);
      done.wait();
    });
  }
}

// CHAN-12. A receive that took the blocked sender's value first would turn the order round.
WEFT_TEST(chan, takes_the_oldest_of_a_full_buffer_and_appends_the_blocked_senders) {
  auto c = weft::make_chan<int>(3);
  for (int i = 0; i < 3; ++i) c.send(i);
  weft::wait_group done;
  done.go([c] {
    for (int i = 3; i < 100; ++i) c.send(i);
  });
  give_way();
  EXPECT_EQ(c.size(), 3u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(c.recv(), i);
  done.wait();
}

// CHAN-13
WEFT_TEST(chan, delivers_each_value_of_many_senders_to_one_of_many_receivers) {
  const int values = scale(1'000, 100);
  for (int capacity = 0; capacity < 20; ++capacity) {
    auto c = weft::make_chan<int>(capacity);
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(values));
    weft::wait_group senders, receivers;
    for (int k = 0; k < 4; ++k) {
      senders.go([&] {
        for (int i = 0; i < values; ++i) c.send(i);
      });
      receivers.go([&] {
        for (const int i : c) ++seen[static_cast<std::size_t>(i)];
      });
    }
    senders.wait();
    c.close();
    receivers.wait();
    for (auto& s : seen) ASSERT_EQ(s, 4) << "capacity " << capacity;
  }
}

// CHAN-14
WEFT_TEST(chan, carries_work_to_23_workers_and_their_results_back) {
  const int items = scale(271'828, 2'000);
  constexpr std::array<int, 10> primes = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};
  auto work = weft::make_chan<int>(69), results = weft::make_chan<int>(69);
  weft::wait_group workers;
  for (int i = 0; i < 23; ++i) {
    workers.go([=] {
      for (const int p : work) results.send(p * p);
    });
  }
  weft::go([&, results] { workers.wait(), results.close(); });
  weft::go([=] {
    for (int i = 0; i < items; ++i) work.send(primes[static_cast<std::size_t>(i) % 10]);
    work.close();
  });
  std::int64_t count = 0, sum = 0, expected = 0;
  for (const int r : results) ++count, sum += r;
  for (int i = 0; i < items; ++i) expected += primes[static_cast<std::size_t>(i) % 10] * primes[static_cast<std::size_t>(i) % 10];
  EXPECT_EQ(count, items);
  EXPECT_EQ(sum, expected);
}

// CHAN-15. "Empty" and "not closed" are two reads: between them the channel may have been closed with a value in it.
WEFT_TEST(chan, try_recv_never_misses_a_value_while_the_channel_is_being_closed) {
  with_procs two(std::max(2, weft::procs()));
  const int rounds = scale(10'000, 500);
  for (int i = 0; i < rounds; ++i) {
    auto c = weft::make_chan<int>(1);
    c.send(1);
    weft::wait_group closed;
    closed.go([&] { c.close(); });
    const auto r = c.try_recv();
    ASSERT_TRUE(r) << "in round " << i;
    EXPECT_EQ(*r, 1);
    closed.wait();
    EXPECT_TRUE(is(c.try_recv().error(), weft::errc::channel_closed));
  }
}

// CHAN-18
WEFT_TEST(chan, hands_a_value_directly_to_a_waiting_receiver) {
  for (const int capacity : {0, 1, 5}) {
    auto c = weft::make_chan<int>(capacity);
    std::atomic<int> got{0};
    auto receiver = started([&, c] { got = c.recv().value(); });
    // Only a receiver that waits makes a send to an unbuffered channel possible; a buffered one is given time.
    if (capacity == 0) {
      EXPECT_TRUE(eventually([&] { return c.try_send(5); }));
    } else {
      give_way();
      c.send(5);
      EXPECT_TRUE(eventually([&] { return c.empty(); }));
    }
    EXPECT_EQ(c.size(), 0u);
    EXPECT_TRUE(eventually([&] { return receiver->load(); }));
    EXPECT_EQ(got, 5);
  }
}

// CHAN-19
WEFT_TEST(chan, receive_from_an_unbuffered_one_happens_before_the_send_returns) {
  auto c = weft::make_chan<int>();
  const int rounds = scale(10'000, 1'000);
  int plain = -1;
  auto next = weft::make_chan<int>();
  weft::wait_group done;
  done.go([&] {
    for (int i = 0; i < rounds; ++i) {
      plain = i;
      static_cast<void>(c.recv());
      static_cast<void>(next.recv());
    }
  });
  for (int i = 0; i < rounds; ++i) {
    c.send(0);
    ASSERT_EQ(plain, i);
    next.send(0);
  }
  done.wait();
}

// CHAN-20
WEFT_TEST(chan, is_a_counting_semaphore_of_its_capacity) {
  auto places = weft::make_chan<int>(3);
  std::atomic<int> inside{0}, most{0};
  weft::wait_group done;
  const int each = scale(1'000, 20);
  for (int i = 0; i < 100; ++i) {
    done.go([&] {
      for (int k = 0; k < each; ++k) {
        places.send(1);
        const int now = ++inside;
        for (int m = most; now > m && !most.compare_exchange_weak(m, now);) {
        }
        if (k % 8 == 0) weft::this_goroutine::yield();
        --inside;
        static_cast<void>(places.recv());
      }
    });
  }
  done.wait();
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 1);
}

// CHAN-21
WEFT_TEST(chan, send_and_close_happen_before_what_they_wake) {
  const int rounds = scale(10'000, 1'000);
  for (const int capacity : {0, 1, 16}) {
    auto c = weft::make_chan<int>(capacity);
    std::vector<int> plain(static_cast<std::size_t>(rounds));
    weft::go([&plain, c, rounds] {
      for (int i = 0; i < rounds; ++i) {
        plain[static_cast<std::size_t>(i)] = i + 1;
        c.send(i);
      }
    });
    for (int i = 0; i < rounds; ++i) {
      ASSERT_EQ(c.recv(), i);
      ASSERT_EQ(plain[static_cast<std::size_t>(i)], i + 1);
    }
  }
  for (int i = 0; i < rounds / 10; ++i) {
    auto c = weft::make_chan<int>();
    int plain = 0;
    weft::wait_group done;
    for (int k = 0; k < 2; ++k) {
      done.go([&] {
        static_cast<void>(c.recv());
        EXPECT_EQ(plain, 1);
      });
    }
    plain = 1;
    c.close();
    done.wait();
  }
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

// CHAN-24. The last handle may be dropped by the one who sends, while the receiver still waits on it.
WEFT_TEST(chan, lives_while_a_handle_or_a_blocked_goroutine_refers_to_it) {
  for (int i = 0; i < scale(2'000, 100); ++i) {
    auto c = weft::make_chan<int>();
    weft::wait_group done;
    done.go([c] { EXPECT_EQ(c.recv(), 9); });
    done.go([c = std::move(c)] { c.send(9); });
    EXPECT_FALSE(c);
    done.wait();
  }
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

// CHAN-26
WEFT_TEST(chan, ring_of_503_passes_its_token_on_to_the_right_place) {
  constexpr int n = 503;
  const int hops = scale(1'000'000, 10'000);
  auto last = weft::make_chan<int>();
  auto first = weft::make_chan<int>();
  auto in = first;
  for (int i = 1; i <= n; ++i) {
    auto out = i == n ? first : weft::make_chan<int>();
    weft::go([=] {
      for (const int left : in) {
        if (left == 0) {
          last.send(i);
          break;
        }
        out.send(left - 1);
      }
      if (out != first) out.close();
    });
    in = out;
  }
  first.send(hops);
  EXPECT_EQ(last.recv(), hops % n + 1);
  // Who got the token has gone and closed its right neighbour; the wave ends before `first`, whose receiver is told here.
  first.close();
}

// CHAN-26
WEFT_TEST(chan, sieve_finds_the_primes) {
  const int wanted = under_sanitizer ? 100 : 500;
  const int expected = under_sanitizer ? 541 : 3571;
  auto source = weft::make_chan<int>();
  auto stop = std::make_shared<std::atomic<bool>>(false);
  weft::go([=] {
    for (int i = 2; !*stop; ++i) source.send(i);
    source.close();
  });
  auto in = source;
  int prime = 0;
  for (int k = 0; k < wanted; ++k) {
    prime = in.recv().value();
    auto out = weft::make_chan<int>();
    weft::go([in, out, prime] {
      for (const int i : in)
        if (i % prime != 0) out.send(i);
      out.close();
    });
    in = out;
  }
  EXPECT_EQ(prime, expected);
  *stop = true;
  for ([[maybe_unused]] const int i : in) {
  }
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
