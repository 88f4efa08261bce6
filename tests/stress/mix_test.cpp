// mix_test.cpp: everything at random at the same time. Values prove themselves: each is counted once, and the sums agree.
// The seed is printed first; WEFT_TEST_SEED repeats the choices (the interleaving is the machine's, at procs 1 its own).
// weft-test: timeout=120
#include <array>
#include <atomic>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {

void give_way_somehow(rng& r) {
  switch (r.below(8)) {
    case 0: self::sleep_for(std::chrono::microseconds(r.below(100))); break;
    case 1:
    case 2: self::yield(); break;
    case 3: spin(std::chrono::nanoseconds(r.below(2'000))); break;
    default: break;
  }
}

}  // namespace

// Spawns, channels of all capacities, mutexes, sleeps and yields: sums that were sent and received agree.
WEFT_TEST(mix, of_everything_loses_and_doubles_nothing) {
  constexpr int channels = 6, mutexes = 3;
  std::array<weft::chan<std::int64_t>, channels> c;
  for (int i = 0; i < channels; ++i) c[static_cast<std::size_t>(i)] = weft::make_chan<std::int64_t>(i * i);
  std::array<weft::mutex, mutexes> m;
  std::array<std::int64_t, mutexes> plain{};
  std::atomic<std::int64_t> sent{0}, received{0}, sent_count{0}, received_count{0}, locked{0}, spawned{0};
  weft::wait_group senders, receivers;

  for (int k = 0; k < 24; ++k) {
    receivers.go([&, k] {
      rng r(1'000u + static_cast<unsigned>(k));
      auto& mine = c[static_cast<std::size_t>(k % channels)];
      for (;;) {
        if (r.one_in(8)) {
          if (auto v = mine.try_recv()) received += *v, ++received_count;
        } else if (r.one_in(4)) {
          if (auto v = mine.recv_for(std::chrono::microseconds(r.below(300)))) received += *v, ++received_count;
        } else {
          const auto v = mine.recv();
          if (!v) return;
          received += *v, ++received_count;
        }
        give_way_somehow(r);
      }
    });
  }
  const int steps = scale(20'000, 200);
  for (int k = 0; k < 24; ++k) {
    senders.go([&, k] {
      rng r(static_cast<unsigned>(k));
      for (int i = 0; i < steps; ++i) {
        const auto value = static_cast<std::int64_t>(r.next() >> 20);
        auto& out = c[static_cast<std::size_t>(r.below(channels))];
        switch (r.below(6)) {
          case 0:
            out.send(value), sent += value, ++sent_count;
            break;
          case 1:
            if (out.try_send(value)) sent += value, ++sent_count;
            break;
          case 2:
            if (out.send_for(value, std::chrono::microseconds(r.below(300)))) sent += value, ++sent_count;
            break;
          case 3: {
            const auto which = static_cast<std::size_t>(r.below(mutexes));
            const std::lock_guard hold(m[which]);
            const auto seen = plain[which];
            if (r.one_in(4)) give_way_somehow(r);
            plain[which] = seen + 1;
            ++locked;
            break;
          }
          case 4:
            ++spawned;
            senders.go([&, value, out] {
              rng mine(static_cast<std::uint64_t>(value));
              give_way_somehow(mine);
              out.send(value), sent += value, ++sent_count;
            });
            break;
          case 5: {
            auto t = weft::async([value] { return self::yield(), value; });
            if (t.join() != value) ADD_FAILURE() << "a stranger's result";
            break;
          }
        }
        give_way_somehow(r);
      }
    });
  }
  senders.wait();
  for (auto& x : c) x.close();
  receivers.wait();
  EXPECT_EQ(sent_count, received_count);
  EXPECT_EQ(sent, received);
  EXPECT_EQ(plain[0] + plain[1] + plain[2], locked);
}

// Each message says who sent it and which one it is: order from one sender is kept, and none is missing.
WEFT_TEST(mix, keeps_each_senders_order_through_any_channel) {
  struct message {
    int from, number;
  };
  rng r(77);
  for (int round = 0; round < scale(60, 2); ++round) {
    const int senders = 1 + r.below(8), each = scale(2'000, 100);
    auto c = weft::make_chan<message>(r.below(40));
    weft::wait_group done;
    for (int s = 0; s < senders; ++s) {
      done.go([=] {
        rng mine(static_cast<unsigned>(s * 31 + round));
        for (int i = 0; i < each; ++i) {
          c.send({s, i});
          if (mine.one_in(50)) give_way_somehow(mine);
        }
      });
    }
    weft::go([&done, c] { done.wait(), c.close(); });
    std::vector<int> next(static_cast<std::size_t>(senders));
    for (const message& m : c) ASSERT_EQ(m.number, next[static_cast<std::size_t>(m.from)]++);
    for (const int n : next) EXPECT_EQ(n, each);
    ASSERT_TRUE(eventually([] { return weft::goroutines() == 1; }));
  }
}

// Wake-up storms: all park, all are woken at once, again and again.
WEFT_TEST(mix, of_wake_up_storms_wakes_everybody_each_time) {
  const int n = scale(500, 100);
  std::atomic<int> woken{0};
  for (int round = 0; round < scale(1'000, 10); ++round) {
    auto gate = weft::make_chan<int>();
    weft::mutex m;
    weft::wait_group start, done;
    start.add(1);
    m.lock();
    for (int i = 0; i < n; ++i) {
      done.go([&, i] {
        if (i % 3 == 0) static_cast<void>(gate.recv());
        else if (i % 3 == 1) start.wait();
        else m.lock(), m.unlock();
        ++woken;
      });
    }
    if (round % 2 == 0) self::yield();
    gate.close();
    start.done();
    m.unlock();
    done.wait();
    ASSERT_EQ(woken, n * (round + 1));
  }
}

// SCHED-14. Two goroutines that the scheduler has every reason to put on two processors wake each other.
WEFT_TEST(mix, of_idle_and_wake_loses_no_wake_up) {
  for (const int procs : {2, 4}) {
    with_procs p(procs);
    auto there = weft::make_chan<int>(), back = weft::make_chan<int>();
    weft::wait_group done;
    done.go([&] {
      for (const int i : there) {
        if (i % 7 == 0) spin(5us);
        back.send(i);
      }
    });
    const int rounds = scale(100'000, 1'000);
    rng r(static_cast<unsigned>(procs));
    for (int i = 0; i < rounds; ++i) {
      there.send(i);
      if (r.one_in(16)) spin(std::chrono::nanoseconds(r.below(60'000)));
      ASSERT_EQ(back.recv(), i);
    }
    there.close();
    done.wait();
  }
}

// Design D7. Threads that weft did not make take part on equal terms, and the world's idle threads are woken for them.
WEFT_TEST(mix, of_plain_threads_and_goroutines_loses_nothing) {
  auto c = weft::make_chan<std::int64_t>(3);
  weft::mutex m;
  std::int64_t plain = 0;
  std::atomic<std::int64_t> sent{0}, received{0};
  weft::wait_group senders, receivers;
  const int each = scale(30'000, 300);
  const auto send = [&, each](unsigned stream) {
    rng r(stream);
    for (int i = 0; i < each; ++i) {
      const auto value = static_cast<std::int64_t>(r.next() >> 24);
      if (r.one_in(10)) {
        if (!c.send_for(value, 50us)) continue;
      } else {
        c.send(value);
      }
      sent += value;
      const std::lock_guard hold(m);
      ++plain;
    }
    senders.done();
  };
  const auto receive = [&] {
    for (;;) {
      const auto v = c.recv();
      if (!v) break;
      received += *v;
    }
    receivers.done();
  };
  senders.add(6);
  receivers.add(6);
  std::deque<plain_thread> threads;
  for (unsigned i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] { send(100 + i); });
    threads.emplace_back(receive);
    weft::go(send, 200 + i);
    weft::go(receive);
  }
  senders.wait();
  c.close();
  receivers.wait();
  EXPECT_EQ(sent, received);
  EXPECT_GT(plain, 0);
  for (auto& t : threads) t.join();
}

// Timed receives that give up at the very moment in which a value or the end arrives: it is one or the other.
WEFT_TEST(mix, of_time_outs_sends_and_closes_gives_each_value_to_one) {
  const int rounds = scale(10'000, 200);
  rng r(9);
  for (int round = 0; round < rounds; ++round) {
    auto c = weft::make_chan<std::unique_ptr<int>>(round % 2);
    std::atomic<int> got{0}, sent{0};
    weft::wait_group done;
    for (int k = 0; k < 2; ++k) {
      const auto patience = std::chrono::microseconds(r.below(60));
      done.go([&, patience] {
        auto v = c.recv_for(patience);
        if (v) {
          if (!*v || **v != 5) ADD_FAILURE() << "a value that nobody sent";
          ++got;
        } else if (v.error() != weft::errc::timed_out && v.error() != weft::errc::channel_closed) {
          ADD_FAILURE() << v.error().message();
        }
      });
    }
    const auto patience = std::chrono::microseconds(r.below(60));
    done.go([&, patience] {
      auto mine = std::make_unique<int>(5);
      try {
        if (c.send_for(std::move(mine), patience)) ++sent;
        else if (!mine || *mine != 5) ADD_FAILURE() << "not sent and not given back";
      } catch (const weft::closed_channel&) {
        if (!mine || *mine != 5) ADD_FAILURE() << "closed and not given back";
      }
    });
    if (r.one_in(2)) {
      done.go([&, d = std::chrono::microseconds(r.below(60))] {
        self::sleep_for(d);
        c.close();
      });
    }
    done.wait();
    int left = 0;
    while (c.try_recv()) ++left;
    ASSERT_EQ(sent, got + left) << "in round " << round;
  }
}

namespace {
std::int64_t random_tree(std::uint64_t shape, int depth) {
  rng r(shape);
  if (depth == 0 || r.one_in(6)) {
    if (r.one_in(20)) self::sleep_for(1us);
    return static_cast<std::int64_t>(shape % 1'000);
  }
  std::vector<weft::task<std::int64_t>> tasks;
  const int children = 1 + r.below(4);
  for (int i = 0; i < children; ++i) tasks.push_back(weft::async(random_tree, r.next(), depth - 1));
  std::int64_t sum = 0;
  if (r.one_in(2))
    for (auto& t : tasks) sum += t.join();
  else
    for (auto t = tasks.rbegin(); t != tasks.rend(); ++t) sum += t->join();
  return sum;
}
std::int64_t random_tree_in_turn(std::uint64_t shape, int depth) {
  rng r(shape);
  if (depth == 0 || r.one_in(6)) return static_cast<std::int64_t>(shape % 1'000);
  std::int64_t sum = 0;
  for (int children = 1 + r.below(4); children > 0; --children) sum += random_tree_in_turn(r.next(), depth - 1);
  return sum;
}
}  // namespace

// Design D12. Trees of tasks at random shapes, joined in both orders, give what plain calls give.
WEFT_TEST(mix, of_task_trees_gives_what_calls_give) {
  rng r(12);
  for (int round = 0; round < scale(300, 5); ++round) {
    const auto shape = r.next();
    const int depth = under_sanitizer ? 5 : 8;
    ASSERT_EQ(random_tree(shape, depth), random_tree_in_turn(shape, depth)) << "shape " << shape;
  }
}

WEFT_TEST(mix, of_task_trees_carries_exceptions_up) {
  struct failing {
    static int grow(std::uint64_t shape, int depth) {
      rng r(shape);
      if (depth == 0) {
        if (r.one_in(3)) throw std::runtime_error(std::to_string(shape));
        return 1;
      }
      auto a = weft::async(&failing::grow, r.next(), depth - 1);
      int sum = 0;
      try {
        sum += failing::grow(r.next(), depth - 1);
      } catch (const std::runtime_error&) {
        self::yield();
        sum += 1;
      }
      try {
        sum += a.join();
      } catch (const std::runtime_error& e) {
        if (std::string(e.what()).empty()) ADD_FAILURE();
        sum += 1;
      }
      return sum;
    }
  };
  const int depth = under_sanitizer ? 6 : 10;
  for (int round = 0; round < scale(100, 3); ++round) EXPECT_EQ(failing::grow(rng(static_cast<unsigned>(round)).next(), depth), 1 << depth);
}

// Exceptions on the way, in hand and in nested hands, over every kind of park, on whatever thread it goes on.
WEFT_TEST(mix, of_exceptions_and_parks_keeps_each_with_its_goroutine) {
  auto ping = weft::make_chan<int>(), pong = weft::make_chan<int>(2);
  weft::mutex m;
  weft::wait_group helpers, done;
  helpers.go([&] {
    while (ping.recv()) {
    }
  });
  helpers.go([&] {
    try {
      for (;;) pong.send(1);
    } catch (const weft::closed_channel&) {
    }
  });
  struct parks {
    static void somehow(rng& r, weft::chan<int>& ping, weft::chan<int>& pong, weft::mutex& m) {
      switch (r.below(5)) {
        case 0: ping.send(1); break;
        case 1: static_cast<void>(pong.recv()); break;
        case 2: {
          const std::lock_guard hold(m);
          self::yield();
          break;
        }
        case 3: self::sleep_for(std::chrono::microseconds(r.below(50))); break;
        default: self::yield();
      }
    }
  };
  struct guard {
    rng& r;
    weft::chan<int>&ping, &pong;
    weft::mutex& m;
    int uncaught;
    ~guard() {
      if (std::uncaught_exceptions() != uncaught) ADD_FAILURE() << "before the park";
      parks::somehow(r, ping, pong, m);
      if (std::uncaught_exceptions() != uncaught) ADD_FAILURE() << "after the park";
      try {  // an exception of its own while another is on its way
        throw uncaught;
      } catch (int v) {
        parks::somehow(r, ping, pong, m);
        if (v != uncaught || std::uncaught_exceptions() != uncaught) ADD_FAILURE() << "in the nested handler";
      }
    }
  };
  for (int k = 0; k < 40; ++k) {
    done.go([&, k] {
      rng r(300u + static_cast<unsigned>(k));
      for (int i = 0; i < scale(3'000, 40); ++i) {
        const std::string mine = std::to_string(k) + "/" + std::to_string(i);
        try {
          guard outer{r, ping, pong, m, 1};
          guard inner{r, ping, pong, m, 1};
          parks::somehow(r, ping, pong, m);
          throw std::runtime_error(mine);
        } catch (const std::runtime_error& e) {
          parks::somehow(r, ping, pong, m);
          if (e.what() != mine) ADD_FAILURE() << "caught " << e.what() << " for " << mine;
          try {
            throw;
          } catch (const std::exception& again) {
            parks::somehow(r, ping, pong, m);
            if (again.what() != mine) ADD_FAILURE() << "rethrown " << again.what() << " for " << mine;
          }
        }
        if (std::current_exception() || std::uncaught_exceptions() != 0) ADD_FAILURE() << "left over";
      }
    });
  }
  done.wait();
  ping.close();
  pong.close();
  helpers.wait();
}

// One processor has it all: the others come for it, also for what is started last, and nothing runs twice.
WEFT_TEST(mix, of_bursts_is_stolen_and_run_once) {
  rng r(4);
  for (int round = 0; round < scale(500, 8); ++round) {
    const int n = 1 + r.below(1'500);
    std::vector<std::atomic<int>> ran(static_cast<std::size_t>(n));
    weft::wait_group done;
    for (auto& slot : ran) {
      done.go([&slot, ns = r.below(3'000)] {
        ++slot;
        spin(std::chrono::nanoseconds(ns));
      });
    }
    if (round % 2 == 0) spin(200us);
    done.wait();
    for (auto& slot : ran) ASSERT_EQ(slot, 1);
  }
}

// The number of processors changes under all that.
WEFT_TEST(mix, goes_on_while_the_number_of_processors_changes) {
  const int before = weft::procs();
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> sent{0}, received{0};
  auto c = weft::make_chan<int>(2);
  weft::wait_group senders, receivers;
  for (int k = 0; k < 6; ++k) {
    senders.go([&, k] {
      rng r(static_cast<unsigned>(k));
      while (!stop) {
        c.send(1), ++sent;
        give_way_somehow(r);
      }
    });
    receivers.go([&] {
      while (c.recv()) ++received;
    });
  }
  rng r(55);
  for (int i = 0; i < scale(150, 20); ++i) {
    weft::set_procs(1 + r.below(6));
    self::sleep_for(std::chrono::microseconds(r.below(1'000)));
  }
  weft::set_procs(before);
  stop = true;
  senders.wait();
  c.close();
  receivers.wait();
  EXPECT_EQ(sent, received);
}
