// connection_test.cpp: how connections come to be and how they end: listen, dial, accept, close.
// weft-test: emulated=0
#include <array>
#include <atomic>
#include <cstddef>
#include <string>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "support/support.hpp"
#include "unit/net/tcp.hpp"

using namespace weft::test;
namespace net = weft::net;
namespace self = weft::this_goroutine;

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
