// tcp_test.cpp: bytes over streams, in plain blocking style: all of them arrive, once and in order, and who waits holds no thread.
// weft-test: emulated=0
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "support/support.hpp"
#include "unit/net/tcp.hpp"

using namespace weft::test;
namespace net = weft::net;
namespace self = weft::this_goroutine;

namespace {

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
