// tcp_test.cpp: streams and listeners over the loopback interface, in plain blocking style.
// weft-test: emulated=0
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <netinet/in.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace net = weft::net;
namespace self = weft::this_goroutine;

namespace {

struct connection {
  net::stream a, b;
};
connection connect_pair(net::listener& l) {
  connection c;
  weft::wait_group done;
  done.go([&] { c.b = l.accept(); });
  c.a = net::dial("tcp", l.address());
  done.wait();
  return c;
}
connection connect_pair() {
  auto l = net::listen("tcp", "127.0.0.1:0");
  return connect_pair(l);
}

std::span<std::byte> bytes(std::string& s) { return std::as_writable_bytes(std::span(s)); }
std::string read_text(net::stream& s, std::size_t at_most) {
  std::string text(at_most, '\0');
  text.resize(s.read_some(bytes(text)));
  return text;
}
std::string text_or_error(net::stream& s, std::size_t at_most) {
  std::string text(at_most, '\0');
  std::error_code ec;
  text.resize(s.read_some(bytes(text), ec));
  return ec ? ec.message() : text;
}
/// Closes with a reset, so that thousands of connections leave no TIME_WAIT behind.
void reset(net::stream& s) {
  const linger now{1, 0};
  setsockopt(s.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  s.close();
}
bool is(const std::error_code& ec, weft::errc e) { return ec == weft::make_error_code(e); }
std::uint64_t checksum(std::span<const std::byte> data, std::uint64_t sum = 0) {
  for (const std::byte b : data) sum = sum * 31 + static_cast<std::uint64_t>(b);
  return sum;
}

}  // namespace

// NETPOLL-01. The thread count is the difference to blocking calls on threads.
WEFT_TEST(tcp, reads_that_wait_hold_no_threads) {
  const int n = scale_alive(2'000);  // both ends are here: 4,000 descriptors. With 10,000: stress/net_test.cpp
  auto l = net::listen("tcp", "127.0.0.1:0");
  std::atomic<int> reading{0};
  std::vector<net::stream> clients;
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    clients.push_back(net::dial("tcp", l.address()));
    done.go(
        [&](net::stream s) {
          ++reading;
          std::array<std::byte, 8> buffer;
          std::error_code ec;
          EXPECT_EQ(s.read_some(buffer, ec), 0u);
        },
        l.accept());
  }
  ASSERT_TRUE(eventually([&] { return reading == n; }));
  self::sleep_for(10ms);
  EXPECT_LT(threads(), 50);
  for (auto& c : clients) reset(c);
  done.wait();
}

// NETPOLL-02
WEFT_TEST(tcp, echoes_every_byte_of_every_connection) {
  const int connections = scale_alive(200), messages = scale(100, 10);
  auto l = net::listen("tcp", "127.0.0.1:0");
  weft::go([l]() mutable {
    for (std::error_code ec;;) {
      auto s = l.accept(ec);
      if (ec) return;
      weft::go([s]() mutable {
        std::array<std::byte, 64> buffer;
        std::error_code ec;
        while (s.read_full(buffer, ec) == buffer.size() && s.write_all(buffer, ec) == buffer.size()) {
        }
      });
    }
  });
  std::atomic<int> right{0};
  weft::wait_group done;
  for (int i = 0; i < connections; ++i) {
    done.go([&, i] {
      auto s = net::dial("tcp", l.address());
      std::array<std::byte, 64> out, in;
      for (int k = 0; k < messages; ++k) {
        for (std::size_t b = 0; b < out.size(); ++b) out[b] = static_cast<std::byte>(i * 7 + k * 13 + static_cast<int>(b));
        s.write_all(out);
        s.read_full(in);
        if (in == out) ++right;
      }
      reset(s);
    });
  }
  done.wait();
  EXPECT_EQ(right, connections * messages);
  l.close();
}

// NETPOLL-03
WEFT_TEST(tcp, read_some_returns_what_is_there_and_nothing_for_ever_at_the_end) {
  auto [a, b] = connect_pair();
  a.write_all("hello");
  EXPECT_EQ(read_text(b, 100), "hello");
  a.write_all("world!");
  EXPECT_EQ(read_text(b, 3), "wor");
  EXPECT_EQ(read_text(b, 3), "ld!");
  EXPECT_EQ(b.read_some({}), 0u);
  a.write_all("last");
  a.close_write();
  EXPECT_EQ(read_text(b, 100), "last");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(read_text(b, 100), "");
  b.write_all("answer");  // only one direction has ended
  EXPECT_EQ(read_text(a, 100), "answer");
}

WEFT_TEST(tcp, read_full_says_when_the_stream_ends_before) {
  auto [a, b] = connect_pair();
  weft::wait_group done;
  done.go([&, a = a]() mutable {
    a.write_all("123");
    self::sleep_for(1ms);
    a.write_all("4567");
    a.close_write();
  });
  std::string five(5, '\0'), ten(10, '\0');
  EXPECT_EQ(b.read_full(bytes(five)), 5u);
  EXPECT_EQ(five, "12345");
  std::error_code ec;
  EXPECT_EQ(b.read_full(bytes(ten), ec), 2u);
  EXPECT_TRUE(is(ec, weft::errc::eof)) << ec.message();
  try {
    b.read_full(bytes(ten));
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& e) {
    EXPECT_TRUE(is(e.code(), weft::errc::eof));
  }
  done.wait();
}

// NETPOLL-04
WEFT_TEST(tcp, write_all_writes_all_of_it_to_a_slow_reader) {
  auto [a, b] = connect_pair();
  std::vector<std::byte> data(static_cast<std::size_t>(scale(16, 4)) << 20);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  std::atomic<bool> written{false};
  weft::wait_group done;
  done.go([&, a = a]() mutable {
    EXPECT_EQ(a.write_all(data), data.size());
    written = true;
    a.close_write();
  });
  self::sleep_for(20ms);
  EXPECT_FALSE(written) << "no socket's buffer is so large";
  std::vector<std::byte> chunk(64 << 10);
  std::uint64_t sum = 0;
  std::size_t got = 0;
  for (int k = 0;; ++k) {
    const std::size_t n = b.read_some(chunk);
    if (n == 0) break;
    sum = checksum(std::span(chunk).first(n), sum);
    got += n;
    if (k % 64 == 0) self::sleep_for(100us);
  }
  done.wait();
  EXPECT_EQ(got, data.size());
  EXPECT_EQ(sum, checksum(data));
}

// NETPOLL-04
WEFT_TEST(tcp, blocks_of_two_writers_are_not_mixed) {
  auto [a, b] = connect_pair();
  constexpr std::size_t block = 1 << 20;
  const int blocks = scale(4, 1);
  weft::wait_group done;
  for (const char mark : {'x', 'y'}) {
    done.go([=, a = a]() mutable {
      const std::string text(block, mark);
      for (int i = 0; i < blocks; ++i) a.write_all(text);
    });
  }
  std::string text(block, '\0');
  std::map<char, int> seen;
  for (int i = 0; i < 2 * blocks; ++i) {
    b.read_full(bytes(text));
    EXPECT_EQ(text.find_first_not_of(text[0]), std::string::npos) << "in block " << i;
    ++seen[text[0]];
  }
  EXPECT_EQ(seen['x'], blocks);
  EXPECT_EQ(seen['y'], blocks);
  done.wait();
}

// NETPOLL-05
WEFT_TEST(tcp, each_byte_goes_to_exactly_one_of_many_readers) {
  auto [a, b] = connect_pair();
  std::array<std::atomic<int>, 256> seen{};
  std::atomic<int> total{0};
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&, b = b]() mutable {
      std::array<std::byte, 333> buffer;
      for (;;) {
        const std::size_t n = b.read_some(buffer);
        if (n == 0) return;
        for (std::size_t k = 0; k < n; ++k) ++seen[static_cast<std::size_t>(buffer[k])];
        total += static_cast<int>(n);
      }
    });
  }
  const int n = scale(3'900, 100);  // times 256: 1e6 bytes
  std::string text(256, '\0');
  for (int i = 0; i < 256; ++i) text[static_cast<std::size_t>(i)] = static_cast<char>(i);
  for (int i = 0; i < n; ++i) a.write_all(text);
  a.close_write();
  done.wait();
  EXPECT_EQ(total, n * 256);
  for (auto& s : seen) EXPECT_EQ(s, n);
}

// NETPOLL-06. SIGPIPE kills a server that forgot about it.
WEFT_TEST(tcp, write_to_a_connection_that_was_reset_is_an_error_and_no_signal) {
  auto [a, b] = connect_pair();
  reset(b);
  std::error_code ec;
  EXPECT_TRUE(eventually([&] {
    a.write_all("data", ec);
    return static_cast<bool>(ec);
  }));
  EXPECT_TRUE(ec == std::errc::broken_pipe || ec == std::errc::connection_reset) << ec.message();
  std::error_code again;
  a.write_all("data", again);
  EXPECT_TRUE(again == std::errc::broken_pipe || again == std::errc::connection_reset) << again.message();
}

// NETPOLL-07
WEFT_TEST(tcp, accepts_all_of_a_burst) {
  const int n = scale_alive(1'000);
  auto l = net::listen("tcp", "127.0.0.1:0");
  std::atomic<int> accepted{0};
  weft::go([&, l]() mutable {
    for (std::error_code ec;; ++accepted) {
      static_cast<void>(l.accept(ec));
      if (ec) return;
    }
  });
  weft::wait_group done;
  for (int i = 0; i < n; ++i) {
    done.go([&] {
      auto s = net::dial("tcp", l.address());
      EXPECT_TRUE(s);
      std::array<std::byte, 1> buffer;
      std::error_code ec;
      static_cast<void>(s.read_some(buffer, ec));  // the other side is dropped at once
    });
  }
  done.wait();
  EXPECT_TRUE(eventually([&] { return accepted == n; }));
  l.close();
}

// NETPOLL-07, NETPOLL-18
WEFT_TEST(tcp, dial_to_a_port_without_listener_is_refused) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  const std::string address = l.address();
  l.close();
  std::error_code ec;
  auto s = net::dial("tcp", address, {}, ec);
  EXPECT_EQ(ec, std::errc::connection_refused) << ec.message();
  EXPECT_FALSE(s);
  try {
    static_cast<void>(net::dial("tcp", address));
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::connection_refused);
    EXPECT_EQ(e.what(), "dial tcp " + address + ": connect: connection refused");
  }
}

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

// NETPOLL-19. The kernel gives the same number again at once: what was meant for its last owner may not reach the next.
WEFT_TEST(tcp, descriptor_that_is_used_again_gets_nothing_of_the_one_before) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  const int rounds = scale(3'000, 100);
  for (int i = 0; i < rounds; ++i) {
    auto [a, b] = connect_pair(l);
    if (i % 2 == 0) b.set_deadline(steady::now() + 50us);
    weft::wait_group done;
    done.go([&, b = b]() mutable {
      std::array<std::byte, 8> buffer;
      std::error_code ec;
      const auto n = b.read_some(buffer, ec);
      if (i % 2 == 1) {
        EXPECT_TRUE(n == 1 || is(ec, weft::errc::closed)) << "round " << i << ": " << n << " " << ec.message();
      }
    });
    a.write_all("x");
    if (i % 3 == 0) self::yield();
    reset(b);
    done.wait();
    reset(a);
  }
}

// Close is how a server tells those who wait to end.
WEFT_TEST(tcp, close_wakes_who_waits_with_errc_closed) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  auto [a, b] = connect_pair(l);
  std::atomic<int> woken{0};
  weft::wait_group done;
  for (int i = 0; i < 3; ++i) {
    done.go([&, b = b]() mutable {
      std::array<std::byte, 8> buffer;
      std::error_code ec;
      static_cast<void>(b.read_some(buffer, ec));
      if (is(ec, weft::errc::closed)) ++woken;
    });
    done.go([&, b = b]() mutable {
      const std::string text(8 << 20, 'c');
      std::error_code ec;
      b.write_all(text, ec);
      if (is(ec, weft::errc::closed)) ++woken;
    });
    done.go([&, l]() mutable {
      std::error_code ec;
      static_cast<void>(l.accept(ec));
      if (is(ec, weft::errc::closed)) ++woken;
    });
  }
  self::sleep_for(20ms);
  EXPECT_EQ(woken, 0);
  b.close();
  l.close();
  done.wait();
  EXPECT_EQ(woken, 9);
  std::error_code ec;
  b.close(ec);
  EXPECT_TRUE(is(ec, weft::errc::closed));
  EXPECT_EQ(b.native_handle(), -1);
  EXPECT_EQ(ec.message(), "use of closed network connection");
}

WEFT_TEST(tcp, operations_on_a_default_made_stream_fail_with_closed) {
  net::stream s;
  EXPECT_FALSE(s);
  std::array<std::byte, 4> buffer{};
  std::error_code ec;
  static_cast<void>(s.read_some(buffer, ec));
  EXPECT_TRUE(is(ec, weft::errc::closed));
  s.write_all(buffer, ec);
  EXPECT_TRUE(is(ec, weft::errc::closed));
  s.set_deadline(steady::now());
  s.close();
  EXPECT_EQ(s.local_address(), "");
  EXPECT_THROW(static_cast<void>(s.read_some(buffer)), std::system_error);
}

WEFT_TEST(tcp, knows_its_addresses) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  EXPECT_NE(l.port(), 0);
  EXPECT_EQ(l.address(), "127.0.0.1:" + std::to_string(l.port()));
  auto [a, b] = connect_pair(l);
  EXPECT_EQ(a.remote_address(), l.address());
  EXPECT_EQ(b.local_address(), l.address());
  EXPECT_EQ(a.local_address(), b.remote_address());
  EXPECT_GE(a.native_handle(), 0);
}

WEFT_TEST(tcp, listen_reports_what_cannot_be) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  std::error_code ec;
  static_cast<void>(net::listen("tcp", l.address(), {}, ec));
  EXPECT_EQ(ec, std::errc::address_in_use) << ec.message();
  EXPECT_THROW(static_cast<void>(net::listen("tcp", "no port")), std::system_error);
  EXPECT_THROW(static_cast<void>(net::listen("carrier pigeon", "127.0.0.1:0")), std::system_error);
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

WEFT_TEST(tcp, speaks_version_6) {
  std::error_code ec;
  auto l = net::listen("tcp6", "[::1]:0", {}, ec);
  if (ec) return;  // a machine without it
  EXPECT_EQ(l.address(), "[::1]:" + std::to_string(l.port()));
  auto [a, b] = connect_pair(l);
  a.write_all("six");
  EXPECT_EQ(read_text(b, 9), "six");
}

WEFT_TEST(unix_stream, works_like_tcp) {
  const std::string path = testing::TempDir() + "weft_test_" + std::to_string(getpid()) + ".sock";
  unlink(path.c_str());
  auto l = net::listen("unix", path);
  EXPECT_EQ(l.address(), path);
  EXPECT_EQ(l.port(), 0);
  net::stream a, b;
  weft::wait_group done;
  done.go([&] { b = l.accept(); });
  a = net::dial("unix", path);
  done.wait();
  done.go([b = b]() mutable { b.write_all("from there"); });
  EXPECT_EQ(read_text(a, 100), "from there");
  done.wait();
  b.close();
  EXPECT_EQ(read_text(a, 100), "");
  l.close();
  unlink(path.c_str());
}

WEFT_TEST(tcp, send_file_sends_a_part_of_a_file) {
  auto [a, b] = connect_pair();
  const std::string path = testing::TempDir() + "weft_test_" + std::to_string(getpid()) + ".data";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0);
  std::string text(3 << 20, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  ASSERT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  weft::wait_group done;
  done.go([&, a = a]() mutable {
    EXPECT_EQ(a.send_file(file, 5, text.size() - 5), text.size() - 5);
    EXPECT_EQ(a.send_file(file, text.size() - 3, 100), 3u) << "the file ends before";
    a.close_write();
  });
  std::string got(text.size() - 5, '\0');
  b.read_full(bytes(got));
  EXPECT_TRUE(got == text.substr(5));
  EXPECT_EQ(read_text(b, 100), text.substr(text.size() - 3));
  EXPECT_EQ(read_text(b, 100), "");
  done.wait();
  close(file);
  unlink(path.c_str());
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

// Design D7: on a plain thread an operation blocks that thread.
WEFT_TEST(tcp, works_on_plain_threads) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  std::atomic<bool> timed_out{false};
  plain_thread client([&timed_out, address = l.address()] {
    auto s = net::dial("tcp", address);
    s.write_all("plain");
    EXPECT_EQ(read_text(s, 9), "go");
    s.set_read_deadline(steady::now() + 10ms);
    std::array<std::byte, 4> buffer;
    std::error_code ec;
    static_cast<void>(s.read_some(buffer, ec));
    EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
    timed_out = true;
    s.set_deadline(net::no_deadline);
    EXPECT_EQ(read_text(s, 9), "");
  });
  auto s = l.accept();
  EXPECT_EQ(read_text(s, 9), "plain");
  self::sleep_for(5ms);
  s.write_all("go");
  EXPECT_TRUE(eventually([&] { return timed_out.load(); }));
  s.close();
  client.join();
}

WEFT_CHILD(out_of_descriptors) {
  return weft::run([] {
    auto l = net::listen("tcp", "127.0.0.1:0");
    auto first = net::dial("tcp", l.address());
    auto s = l.accept();
    auto client = net::dial("tcp", l.address());  // waits in the kernel's queue
    rlimit few{64, 64};
    setrlimit(RLIMIT_NOFILE, &few);
    std::vector<int> all;
    for (int d; (d = dup(1)) >= 0;) all.push_back(d);
    std::atomic<bool> accepted{false};
    weft::go([&, l]() mutable {
      auto late = l.accept();
      late.write_all("late");
      accepted = true;
      for (;;) self::sleep_for(1h);
    });
    const auto before = cpu_time();
    self::sleep_for(200ms);
    if (accepted) return 1;
    if (cpu_time() - before > limit(100ms)) return 2;  // it spins
    for (const int d : all) close(d);
    if (!eventually([&] { return accepted.load(); }, 5s)) return 3;
    return read_text(client, 10) == "late" ? 0 : 4;
  });
}
// A server that ends, or spins, because there are too many clients for a moment, is worse than a slow one.
TEST(tcp, accept_survives_running_out_of_descriptors) {
  const auto r = child("out_of_descriptors");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_FALSE(r.err.empty()) << "it says so, once";
}
