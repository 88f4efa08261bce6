// deadline_test.cpp: time and the network: deadlines and timeouts of all that waits there, and timers that wait beside it.
// weft-test: emulated=0
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "support/support.hpp"
#include "unit/net/tcp.hpp"

using namespace weft::test;
namespace net = weft::net;
namespace self = weft::this_goroutine;

namespace {

std::string text_or_error(net::stream& s, std::size_t at_most) {
  std::string text(at_most, '\0');
  std::error_code ec;
  text.resize(s.read_some(bytes(text), ec));
  return ec ? ec.message() : text;
}

}  // namespace

// NETPOLL-08, NETPOLL-18
WEFT_TEST(tcp, read_past_its_deadline_fails_and_leaves_the_connection_usable) {
  auto [a, b] = connect_pair();
  std::array<std::byte, 16> buffer;
  const auto start = steady::now();
  b.set_read_deadline(start + 50ms);
  std::error_code ec;
  EXPECT_EQ(b.read_some(buffer, ec), 0u);
  EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
  EXPECT_TRUE(weft::is_timeout(ec));
  EXPECT_EQ(ec.message(), "i/o timeout");
  EXPECT_GE(steady::now() - start, 50ms);
  EXPECT_LT(steady::now() - start, limit(5s));
  a.write_all("x");
  EXPECT_EQ(b.read_some(buffer, ec), 0u) << "the deadline stays past until it is moved";
  try {
    static_cast<void>(b.read_some(buffer));
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& e) {
    EXPECT_TRUE(is(e.code(), weft::errc::timed_out));
    EXPECT_EQ(e.what(), "read tcp " + b.local_address() + "->" + b.remote_address() + ": i/o timeout");
  }
  b.set_read_deadline(net::no_deadline);
  EXPECT_EQ(read_text(b, 16), "x");
  b.set_read_deadline(steady::now() + 1h);
  a.write_all("y");
  EXPECT_EQ(read_text(b, 16), "y");
}

// NETPOLL-09
WEFT_TEST(tcp, read_deadline_of_any_length_ends_reading_from_one_that_sends_for_ever) {
  auto [a, b] = connect_pair();
  weft::wait_group done;
  done.go([a = a]() mutable {
    const std::string text(32 << 10, 'z');
    std::error_code ec;
    while (!ec) a.write_all(text, ec);
  });
  std::vector<std::byte> buffer(16 << 10);
  for (const auto d : {1ns, 2ns, 5ns, 50ns, 100ns, 200ns, 500ns, 750ns, 1'000ns, 5'000ns, 25'000ns, 250'000ns, 500'000ns, 5'000'000ns, 25'000'000ns,
                       100'000'000ns, 250'000'000ns}) {
    const auto start = steady::now();
    b.set_read_deadline(start + d);
    std::error_code ec;
    while (!ec) {
      static_cast<void>(b.read_some(buffer, ec));
      ASSERT_LT(steady::now() - start, limit(3s) + d);
    }
    EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
    EXPECT_GE(steady::now() - start, d);
  }
  b.close();
  done.wait();
}

// NETPOLL-10
WEFT_TEST(tcp, read_and_write_deadlines_do_not_touch_each_other) {
  auto [a, b] = connect_pair();
  const auto past = steady::now() - 1s;
  std::error_code ec;
  b.set_read_deadline(past);
  EXPECT_EQ(b.write_all("1", ec), 1u) << ec.message();
  EXPECT_EQ(read_text(a, 9), "1");
  b.set_read_deadline(net::no_deadline);
  b.set_write_deadline(past);
  EXPECT_EQ(b.write_all("2", ec), 0u);
  EXPECT_TRUE(is(ec, weft::errc::timed_out));
  a.write_all("3");
  EXPECT_EQ(read_text(b, 9), "3");
  b.set_deadline(past);
  std::string buffer(9, '\0');
  EXPECT_EQ(b.read_some(bytes(buffer), ec), 0u);
  EXPECT_TRUE(is(ec, weft::errc::timed_out));
  ec.clear();
  EXPECT_EQ(b.write_some(std::as_bytes(std::span("4", 1)), ec), 0u);
  EXPECT_TRUE(is(ec, weft::errc::timed_out));
  b.set_deadline(net::no_deadline);
  EXPECT_EQ(b.write_all("5", ec), 1u);
  EXPECT_EQ(read_text(a, 9), "5");
}

WEFT_TEST(tcp, write_deadline_ends_a_write_that_waits_for_room) {
  auto [a, b] = connect_pair();
  const std::string text(32 << 20, 'w');
  const auto start = steady::now();
  a.set_write_deadline(start + 30ms);
  std::error_code ec;
  const auto written = a.write_all(text, ec);
  EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
  EXPECT_LT(written, text.size());
  EXPECT_GE(steady::now() - start, 30ms);
}

// NETPOLL-11
WEFT_TEST(tcp, deadline_takes_effect_on_a_read_that_waits) {
  auto [a, b] = connect_pair();
  for (const auto& [first, second] : {std::pair{1h, 20ms}, std::pair{0h, 20ms}}) {
    b.set_read_deadline(first == 0h ? net::no_deadline : steady::now() + first);
    std::atomic<bool> timed_out{false};
    weft::wait_group done;
    done.go([&, b = b]() mutable {
      std::array<std::byte, 4> buffer;
      std::error_code ec;
      static_cast<void>(b.read_some(buffer, ec));
      timed_out = is(ec, weft::errc::timed_out);
    });
    self::sleep_for(5ms);
    const auto start = steady::now();
    b.set_read_deadline(start + second);
    done.wait();
    EXPECT_TRUE(timed_out);
    EXPECT_GE(steady::now() - start, second);
  }
  // Lengthened: the first time passes without an effect.
  const auto first = steady::now() + 50ms;
  b.set_read_deadline(first);
  std::string got;
  weft::wait_group done;
  done.go([&, b = b]() mutable { got = text_or_error(b, 4); });
  self::sleep_for(5ms);
  b.set_read_deadline(steady::now() + 1h);
  const bool in_time = steady::now() < first;  // the machine may be busy
  self::sleep_for(70ms);
  a.write_all("late");
  done.wait();
  if (in_time) { EXPECT_EQ(got, "late"); }
}

// NETPOLL-12
WEFT_TEST(tcp, deadline_that_is_moved_forward_never_fires) {
  auto [a, b] = connect_pair();
  weft::wait_group done;
  auto due = steady::now() + limit(1s);
  b.set_read_deadline(due);
  std::string got;
  done.go([&, b = b]() mutable { got = text_or_error(b, 4); });
  bool in_time = true;  // the machine may be busy: what counts is that it is moved before it is due
  const auto move_to = [&](steady::time_point next) {
    b.set_read_deadline(next);
    in_time &= steady::now() < due;
    due = next;
  };
  for (int i = 0; i < 20; ++i) {
    move_to(steady::now() + limit(40ms));
    self::sleep_for(limit(5ms));
  }
  move_to(net::no_deadline);
  a.write_all("end");
  done.wait();
  if (in_time) { EXPECT_EQ(got, "end"); }
}

// NETPOLL-13
WEFT_TEST(tcp, reads_writes_and_deadlines_at_once_neither_hang_nor_crash) {
  auto [a, b] = connect_pair();
  std::atomic<bool> stop{false};
  weft::wait_group done;
  const auto fine = [](const std::error_code& ec) {
    if (ec && !is(ec, weft::errc::timed_out)) ADD_FAILURE() << ec.message();
  };
  for (auto* s : {&a, &b}) {
    for (int i = 0; i < 3; ++i) {
      done.go([&, s = *s]() mutable {
        std::array<std::byte, 512> buffer;
        while (!stop) {
          std::error_code ec;
          static_cast<void>(s.read_some(buffer, ec));
          fine(ec);
          self::yield();
        }
      });
      done.go([&, s = *s]() mutable {
        std::array<std::byte, 256> buffer{};
        while (!stop) {
          std::error_code ec;
          static_cast<void>(s.write_some(buffer, ec));
          fine(ec);
          self::yield();
        }
      });
    }
    done.go([&, s = *s]() mutable {
      rng r(7);
      while (!stop) {
        s.set_deadline(steady::now() + std::chrono::microseconds(r.below(500) - 50));
        self::sleep_for(10us);
      }
    });
  }
  self::sleep_for(500ms);
  stop = true;
  // With no one to move them any more: everything ends by one last time that is past.
  EXPECT_TRUE(eventually([&] {
    a.set_deadline(steady::now() - 1s);
    b.set_deadline(steady::now() - 1s);
    return weft::goroutines() == 1;
  }));
  done.wait();
}

// NETPOLL-17. Network and sleep wait in one place; a thread's timer must shorten that wait.
WEFT_TEST(tcp, timers_and_network_share_one_wait) {
  auto [a, b] = connect_pair();
  weft::wait_group done;
  done.go([b = b]() mutable { EXPECT_EQ(read_text(b, 9), "go"); });
  const auto start = steady::now();
  self::sleep_for(50ms);
  EXPECT_GE(steady::now() - start, 50ms);
  EXPECT_LT(steady::now() - start, limit(5s));
  const int rounds = scale(300, 20);
  std::atomic<int> woke{0};
  plain_thread t([&] {
    for (int i = 0; i < rounds; ++i) {
      weft::go([&] { self::sleep_for(50us), ++woke; });
      while (woke <= i) std::this_thread::yield();
    }
  });
  self::sleep_for(1ms);
  t.join();
  EXPECT_EQ(woke, rounds);
  a.write_all("go");
  done.wait();
}

WEFT_TEST(tcp, accept_has_a_deadline) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  const auto start = steady::now();
  l.set_deadline(start + 20ms);
  std::error_code ec;
  static_cast<void>(l.accept(ec));
  EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
  EXPECT_GE(steady::now() - start, 20ms);
  l.set_deadline(net::no_deadline);
  auto [a, b] = connect_pair(l);
  EXPECT_TRUE(a && b);
}

WEFT_TEST(tcp, dial_gives_up_after_its_timeout) {
  auto l = net::listen("tcp", "127.0.0.1:0", {.backlog = 1});
  // A listener whose queue is full does not answer.
  std::vector<net::stream> filling;
  std::error_code ec;
  const auto start = steady::now();
  for (int i = 0; i < 20 && !ec; ++i) filling.push_back(net::dial("tcp", l.address(), {.timeout = 50ms}, ec));
  EXPECT_TRUE(weft::is_timeout(ec)) << ec.message();
  EXPECT_GE(steady::now() - start, 50ms);
}
