// chan_traffic_test.cpp: channels between many goroutines: whose turn it is, who gets each value, and what happens before what.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/test/bubble.hpp>

#include "support/support.hpp"
#include "unit/sync/started.hpp"

using namespace weft::test;

namespace {
bool is(const std::error_code& ec, weft::errc e) { return ec == weft::make_error_code(e); }
}  // namespace

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
