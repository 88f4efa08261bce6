// fixes_test.cpp: what once went wrong in src/net, each as the sentence that holds now.
// weft-test: emulated=0
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "net/fd_mutex.hpp"
#include "support/support.hpp"

using namespace weft::test;
namespace net = weft::net;
namespace self = weft::this_goroutine;

namespace {

struct connection {
  net::stream a, b;
};
connection connect_pair() {
  const auto l = net::listen("tcp", "127.0.0.1:0");
  connection c;
  c.a = net::dial("tcp", l.address());
  c.b = l.accept();
  return c;
}
std::string read_text(const net::stream& s, std::error_code& ec) {
  std::string text(64, '\0');
  text.resize(s.read_some(std::as_writable_bytes(std::span(text)), ec));
  return text;
}
/// A read that fails, instead of waiting for ever, when the data is not noticed.
std::string read_soon(const net::stream& s) {
  s.set_read_deadline(steady::now() + limit(2s));
  std::error_code ec;
  std::string text = read_text(s, ec);
  return ec ? ec.message() : text;
}
bool is(const std::error_code& ec, weft::errc e) { return ec == weft::make_error_code(e); }
int option(const net::stream& s, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(s.native_handle(), level, name, &value, &size);
  return value;
}
std::string unix_path(const char* name) { return testing::TempDir() + "weft_" + name + std::to_string(getpid()) + ".sock"; }
bool has_v6() {
  std::error_code ec;
  static_cast<void>(net::listen("tcp6", "[::1]:0", {}, ec));
  return !ec;
}

}  // namespace

// A read that found the stream empty waits before it tries. When that wait failed, it took the news of the data with it.
WEFT_TEST(net_fixes, deadline_that_is_past_loses_no_data) {
  const auto [a, b] = connect_pair();
  std::error_code ec;
  a.write_all("hi");
  EXPECT_EQ(read_soon(b), "hi");
  b.set_read_deadline(steady::now() + 1ms);
  EXPECT_EQ(read_text(b, ec), "");
  EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
  a.write_all("world");
  self::sleep_for(20ms);
  ec.clear();
  EXPECT_EQ(read_text(b, ec), "");
  EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
  EXPECT_EQ(read_soon(b), "world");
}

WEFT_TEST(net_fixes, data_that_comes_with_the_deadline_is_found_by_the_next_read) {
  const auto [a, b] = connect_pair();
  const int n = scale(3'000, 200);
  weft::wait_group done;
  done.go([a = a, n] {
    rng r(1);
    for (int i = 0; i < n; ++i) {
      self::sleep_for(std::chrono::microseconds(20 + r.below(100)));
      a.write_all("x");
    }
  });
  int got = 0;
  while (got < n) {
    b.set_read_deadline(steady::now() + 60us);
    std::error_code ec;
    std::string text = read_text(b, ec);
    if (ec) text = read_soon(b);
    ASSERT_EQ(text.find_first_not_of('x'), text.npos) << text;
    got += static_cast<int>(text.size());
  }
  done.wait();
}

// recv stops at an urgent byte, with data behind it: a short read does not mean that there is no more.
WEFT_TEST(net_fixes, data_behind_an_urgent_byte_is_read) {
  const with_procs one(1);  // all of it is there before the reader goes on
  const auto [a, b] = connect_pair();
  weft::wait_group done;
  std::array<std::string, 2> parts;
  done.go([&, b = b] {
    for (auto& p : parts) p = read_soon(b);
  });
  self::sleep_for(10ms);
  ASSERT_EQ(send(a.native_handle(), "abcd", 4, MSG_OOB), 4);
  ASSERT_EQ(send(a.native_handle(), "ef", 2, 0), 2);
  done.wait();
  EXPECT_EQ(parts[0], "abc");
  EXPECT_EQ(parts[1], "ef");
}

// close() used to return while somebody in accept() still held the descriptor.
WEFT_TEST(net_fixes, address_is_free_when_close_returns) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  const std::string address = l.address();
  weft::wait_group done;
  const auto accept = [&](const net::listener& on) {
    done.go([on] {
      std::error_code ec;
      static_cast<void>(on.accept(ec));
      EXPECT_TRUE(is(ec, weft::errc::closed)) << ec.message();
    });
  };
  for (int i = 0; i < scale(200, 20); ++i) {
    accept(l);
    if (i % 2) accept(l);
    for (int k = i % 3; k >= 0; --k) self::yield();
    l.close();
    std::error_code ec;
    l = net::listen("tcp", address, {}, ec);
    ASSERT_FALSE(ec) << ec.message() << " in round " << i;
  }
  done.wait();
}

WEFT_TEST(net_fixes, address_is_free_when_close_returns_with_plain_threads) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  const std::string address = l.address();
  for (int i = 0; i < 3; ++i) {
    std::atomic<bool> accepting{false};
    const auto accept = [l, &accepting] {
      accepting = true;
      std::error_code ec;
      static_cast<void>(l.accept(ec));
      EXPECT_TRUE(is(ec, weft::errc::closed)) << ec.message();
    };
    const auto close = [&] {
      while (!accepting) std::this_thread::yield();
      std::this_thread::sleep_for(2ms);
      l.close();
      std::error_code ec;
      l = net::listen("tcp", address, {}, ec);
      EXPECT_FALSE(ec) << ec.message();
    };
    if (i == 0) {
      weft::wait_group done;
      done.go(accept);
      plain_thread t(close);
      t.join();
      done.wait();
    } else if (i == 1) {
      plain_thread t(accept);
      EXPECT_TRUE(eventually([&] { return accepting.load(); }));
      close();
      t.join();
    } else {
      plain_thread t(accept), u(close);
      t.join();
      u.join();
    }
  }
}

WEFT_CHILD(close_after_run) {
  net::listener l = net::listen("tcp", "127.0.0.1:0");
  weft::run([&] {
    weft::go([l] {
      std::error_code ec;
      static_cast<void>(l.accept(ec));
    });
    self::sleep_for(10ms);
  });
  l.close();
  return 0;
}
TEST(net_fixes, close_after_run_does_not_wait_for_goroutines_that_do_not_go_on) { EXPECT_TRUE(ended_with(child("close_after_run"), 0)); }

WEFT_CHILD(deadline_before_run) {
  const auto l = net::listen("tcp", "127.0.0.1:0");
  const auto start = steady::now();
  l.set_deadline(start + 50ms);
  return weft::run([&] {
    weft::go([] {
      self::sleep_for(limit(5s));
      weft::exit(3);
    });
    std::error_code ec;
    static_cast<void>(l.accept(ec));
    return is(ec, weft::errc::timed_out) && steady::now() - start >= 50ms ? 0 : 1;
  });
}
TEST(net_fixes, deadline_set_before_run_holds) { EXPECT_TRUE(ended_with(child("deadline_before_run"), 0)); }

WEFT_TEST(net_fixes, dial_takes_a_timeout_beyond_the_clock) {
  const auto l = net::listen("tcp", "127.0.0.1:0");
  std::error_code ec;
  EXPECT_TRUE(net::dial("tcp", l.address(), {.timeout = std::chrono::nanoseconds::max()}, ec)) << ec.message();
  EXPECT_TRUE(net::dial("tcp", l.address(), {.timeout = std::chrono::nanoseconds::max() / 2}, ec)) << ec.message();
}

WEFT_TEST(net_fixes, dial_waits_for_room_in_the_queue_of_a_unix_listener) {
  const auto l = net::listen("unix", unix_path("queue"), {.backlog = 1});
  std::vector<net::stream> all;
  std::error_code ec;
  const auto start = steady::now();
  while (!ec && all.size() < 10) all.push_back(net::dial("unix", l.address(), {.timeout = 30ms}, ec));
  EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
  EXPECT_GE(steady::now() - start, 30ms);
  weft::wait_group done;
  done.go([&] { EXPECT_TRUE(net::dial("unix", l.address())); });
  self::sleep_for(10ms);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_TRUE(l.accept());
  done.wait();
}

// The kernel may give a dialing socket the port that it dials: it is connected to itself then.
WEFT_CHILD(dial_own_port) {
  if (unshare(CLONE_NEWNET) != 0) return 77;  // a network of our own, where there is only that port to give
  ifreq lo{.ifr_ifrn = {"lo"}, .ifr_ifru = {}};
  lo.ifr_flags = IFF_UP | IFF_RUNNING;
  const int s = socket(AF_INET, SOCK_DGRAM, 0);
  if (ioctl(s, SIOCSIFFLAGS, &lo) != 0) return 77;
  close(s);
  if (!(std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "45678 45679" << std::flush)) return 77;
  return weft::run([] {
    for (int i = 0; i < 20; ++i) {
      std::error_code ec;
      const auto c = net::dial("tcp", "127.0.0.1:4567" + std::to_string(8 + i % 2), {}, ec);
      if (c || (ec != std::errc::connection_refused && ec != std::errc::address_not_available)) return 1;
    }
    return 0;
  });
}
TEST(net_fixes, dial_does_not_reach_itself) {
  const auto r = child("dial_own_port");
  if (r.status == 77) GTEST_SKIP() << "needs a network namespace";
  EXPECT_TRUE(ended_with(r, 0));
}

WEFT_TEST(net_fixes, addresses_that_are_none_are_refused) {
  using namespace std::literals;
  for (const std::string_view address : {"127.0.0.1:70000"sv, "127.0.0.1:65536"sv, "127.0.0.1:-1"sv, "127.0.0.1: 80"sv, "127.0.0.1:+80"sv,
                                         "127.0.0.1:99999999999999999999"sv, "127.0.0.1:"sv, "127.0.0.1\0.example.org:0"sv, "127.0.0.1:0\0"sv}) {
    std::error_code ec;
    static_cast<void>(net::listen("tcp", address, {}, ec));
    EXPECT_EQ(ec, std::errc::invalid_argument) << address << ": " << ec.message();
    static_cast<void>(net::dial("tcp", address, {}, ec));
    EXPECT_EQ(ec, std::errc::invalid_argument) << address << ": " << ec.message();
  }
  std::error_code ec;
  static_cast<void>(net::listen("unix", "/tmp/a\0b"sv, {}, ec));
  EXPECT_EQ(ec, std::errc::invalid_argument) << ec.message();
}

WEFT_TEST(net_fixes, empty_host_listens_on_both_versions) {
  if (!has_v6()) GTEST_SKIP();
  const auto l = net::listen("tcp", ":0");
  EXPECT_TRUE(starts_with(l.address(), "[::]:")) << l.address();
  const std::string port = ":" + std::to_string(l.port());
  const auto v4 = net::dial("tcp", "127.0.0.1" + port);
  EXPECT_EQ(l.accept().remote_address(), v4.local_address());
  const auto v6 = net::dial("tcp", "[::1]" + port);
  EXPECT_EQ(l.accept().remote_address(), v6.local_address());

  const auto only = net::listen("tcp6", ":0");
  std::error_code ec;
  EXPECT_FALSE(net::dial("tcp4", "127.0.0.1:" + std::to_string(only.port()), {}, ec));
  EXPECT_EQ(ec, std::errc::connection_refused) << ec.message();
  EXPECT_TRUE(starts_with(net::listen("tcp4", ":0").address(), "0.0.0.0:"));
}

WEFT_TEST(net_fixes, unix_listener_takes_its_path_with_it) {
  const std::string path = unix_path("path");
  {
    const auto l = net::listen("unix", path);
    EXPECT_EQ(access(path.c_str(), F_OK), 0);
    std::error_code ec;
    static_cast<void>(net::listen("unix", path, {}, ec));
    EXPECT_EQ(ec, std::errc::address_in_use);
    EXPECT_EQ(access(path.c_str(), F_OK), 0) << "it is the other's";
    l.close();
    EXPECT_NE(access(path.c_str(), F_OK), 0);
    EXPECT_EQ(l.address(), path);
    const auto again = net::listen("unix", path);  // and the handle's end
    EXPECT_TRUE(net::dial("unix", path));
    EXPECT_EQ(access(path.c_str(), F_OK), 0) << "a connection's end is not the listener's";
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

bool is_default(int signal) {
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  return now.sa_handler == SIG_DFL;
}
WEFT_CHILD(sigpipe) {
  return weft::run([] {
    const auto [a, b] = connect_pair();
    std::error_code ec;
    b.close();
    for (int i = 0; i < 1000 && !ec; ++i) a.write_all("data", ec);
    if (!ec || !is_default(SIGPIPE)) return 1;
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 3; ++i) {
      a.send_file(file, 0, 1000, ec);
      if (ec != std::errc::broken_pipe) return 2;
    }
    if (!is_default(SIGPIPE)) return 4;
    // Whatever else has had its hands on the signal meanwhile.
    const auto c = weft::make_chan<int>(4);
    weft::signal::notify(c, {SIGPIPE});
    a.send_file(file, 0, 1000, ec);
    if (ec != std::errc::broken_pipe) return 5;
    weft::signal::stop(c);
    a.send_file(file, 0, 1000, ec);
    if (ec != std::errc::broken_pipe) return 6;
    close(file);
    // A child process dies of a closed pipe, as programs do that were not written for anything else.
    return std::system("sh -c 'kill -PIPE $$; exit 5'") == SIGPIPE || std::system("sh -c 'kill -PIPE $$; exit 5'") == (128 + SIGPIPE) << 8 ? 0 : 3;
  });
}
// Ignoring it for all would be inherited by child processes, and take its end from `program | head`.
TEST(net_fixes, sigpipe_is_left_alone) { EXPECT_TRUE(ended_with(child("sigpipe"), 0)); }

WEFT_CHILD(too_many_references) {
  weft::net::detail::fd_mutex m;
  for (;;) static_cast<void>(m.add_ref());
}
TEST(net_fixes, too_many_for_one_descriptor_is_fatal) {
  const auto r = child("too_many_references");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_NE(r.err.find("fatal error: net: too many goroutines wait for one descriptor"), r.err.npos) << r.err;
}

// NETPOLL-18
WEFT_TEST(net_fixes, error_texts_name_the_addresses_after_close_and_reset) {
  {
    const auto [a, b] = connect_pair();
    const std::string addresses = b.local_address() + "->" + b.remote_address();
    std::string parked, later;
    const auto read = [b = b](std::string& what) {
      try {
        std::array<std::byte, 4> buffer;
        static_cast<void>(b.read_some(buffer));
      } catch (const std::system_error& e) {
        what = e.what();
      }
    };
    weft::wait_group done;
    done.go([&] { read(parked); });
    self::sleep_for(5ms);
    b.close();
    done.wait();
    read(later);
    EXPECT_EQ(parked, "read tcp " + addresses + ": use of closed network connection");
    EXPECT_EQ(later, parked);
    EXPECT_EQ(b.local_address() + "->" + b.remote_address(), addresses);
  }
  const auto [a, b] = connect_pair();
  const std::string addresses = b.local_address() + "->" + b.remote_address();
  const linger now{1, 0};
  setsockopt(a.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  a.close();
  try {
    std::array<std::byte, 4> buffer;
    static_cast<void>(b.read_some(buffer));
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.what(), "read tcp " + addresses + ": read: connection reset by peer");
    EXPECT_EQ(e.code(), std::errc::connection_reset);
  }
  const auto l = net::listen("tcp", "127.0.0.1:0");
  try {
    static_cast<void>(net::listen("tcp", l.address()));
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.what(), "listen tcp " + l.address() + ": bind: address already in use");
    EXPECT_EQ(e.code(), std::errc::address_in_use);
  }
  try {
    static_cast<void>(net::dial("tcp", "127.0.0.1"));
    ADD_FAILURE() << "no exception";
  } catch (const std::system_error& e) {
    EXPECT_STREQ(e.what(), "dial tcp 127.0.0.1: invalid argument");
  }
}

// Set on the listener, which saves calls for each connection: that is only right while the kernel hands them down.
WEFT_TEST(net_fixes, connections_have_no_delay_and_keep_alive) {
  const auto [a, b] = connect_pair();
  for (const auto& s : {a, b}) {
    EXPECT_EQ(option(s, IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(option(s, SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(option(s, IPPROTO_TCP, TCP_KEEPIDLE), 15);
    EXPECT_EQ(option(s, IPPROTO_TCP, TCP_KEEPINTVL), 15);
  }
}

// A descriptor's number, read without a reference, may be another connection's by the time of the call.
WEFT_TEST(net_fixes, close_write_and_port_touch_no_other_socket) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  const std::uint16_t port = l.port();
  std::atomic<bool> stop{false};
  plain_thread t([&stop, l, port] {
    while (!stop) EXPECT_TRUE(l.port() == port || l.port() == 0);
  });
  for (int i = 0; i < scale(300, 20); ++i) {
    const auto [a, b] = connect_pair();
    std::atomic<bool> go_on{false};
    weft::wait_group done;
    done.go([&, a = a] {
      std::error_code ec;
      while (!go_on) self::yield();
      a.close_write(ec);
    });
    go_on = true;
    if (i % 2) self::yield();
    a.close();
    const auto [c, d] = connect_pair();  // with a's number
    done.wait();
    c.write_all("x");
    EXPECT_EQ(read_soon(d), "x");
  }
  l.close();
  EXPECT_EQ(l.port(), 0);
  stop = true;
}
