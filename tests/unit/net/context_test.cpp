// context_test.cpp: operations on sockets end with their context, alone, and leave the socket as it was.
// weft-test: emulated=0
#include <array>
#include <atomic>
#include <string>
#include <system_error>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
using weft::errc;
namespace net = weft::net;

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

/// As in tests/unit/context/waits_test.cpp: it does not end by itself, and then as its context does.
template <class Wait>
void ends_with_its_context(Wait wait) {
  {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    const auto ended = weft::make_chan<std::error_code>(1);
    weft::go([&wait, &ctx = ctx, ended] { ended.send(wait(ctx)); });
    EXPECT_EQ(ended.recv_for(5ms).error(), errc::timed_out);
    cancel();
    EXPECT_EQ(ended.recv(), errc::canceled);
    EXPECT_EQ(wait(ctx), errc::canceled);
  }
  {
    const auto [ctx, cancel] = weft::with_timeout(weft::background(), 3ms);
    EXPECT_EQ(wait(ctx), errc::deadline_exceeded);
    EXPECT_GE(steady::now(), *ctx.deadline());
  }
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  plain_thread waits([&wait, &ctx = ctx] { EXPECT_EQ(wait(ctx), errc::canceled); });
  weft::this_goroutine::sleep_for(1ms);
  cancel();
  waits.join();
}

std::array<std::byte, 16> room;
std::string get(const net::stream& s) {
  std::error_code ec;
  const std::size_t n = s.read_some(room, ec);
  return ec ? ec.message() : std::string(reinterpret_cast<const char*>(room.data()), n);
}

}  // namespace

WEFT_TEST(net_context, reads_end_with_it_and_the_stream_goes_on) {
  const auto [a, b] = connect_pair();
  ends_with_its_context([&, &a = a](const weft::context& ctx) {
    std::array<std::byte, 4> buffer{};
    std::error_code ec;
    static_cast<void>(a.read_some(buffer, ctx, ec));
    return ec;
  });
  b.write_all("go on");
  EXPECT_EQ(get(a), "go on");
  b.write_all("with");
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  EXPECT_EQ(a.read_some(room, ctx), 4u);
  b.write_all("ab");
  std::array<std::byte, 3> three{};
  std::size_t n = 0;
  for (auto d = 2ms; n == 0 && d < 10s; d *= 2) {  // on a busy machine it may end before it has read
    const auto [soon, stop] = weft::with_cancel(weft::background());
    const auto stopped = weft::make_chan<void>();
    weft::after_func(d, [&stop = stop, stopped] { stop(), stopped.close(); });
    std::error_code ec;
    n = a.read_full(three, soon, ec);
    EXPECT_EQ(ec, errc::canceled);
    stopped.recv();
  }
  EXPECT_EQ(n, 2u);
  cancel();
  try {
    static_cast<void>(a.read_some(room, ctx));
    ADD_FAILURE() << "no error";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), errc::canceled);
    EXPECT_TRUE(contains(e.what(), "read tcp 127.0.0.1"));
    EXPECT_TRUE(contains(e.what(), "context canceled"));
  }
}

WEFT_TEST(net_context, writes_end_with_it) {
  const auto [a, b] = connect_pair();
  const std::vector<std::byte> much(8 << 20);
  ends_with_its_context([&, &a = a](const weft::context& ctx) {
    std::error_code ec;
    EXPECT_LT(a.write_all(much, ctx, ec), much.size());
    return ec;
  });
  std::error_code ec;
  const auto [ctx, cancel] = weft::with_timeout(weft::background(), 2ms);
  while (!ec) static_cast<void>(a.write_some(much, ctx, ec));  // the kernel may have found more room meanwhile
  EXPECT_EQ(ec, errc::deadline_exceeded);
}

// The read of one ends, that of the other goes on: a deadline of the socket would end both.
WEFT_TEST(net_context, ends_only_its_own_operation) {
  const auto [a, b] = connect_pair();
  const auto first = weft::make_chan<std::string>(1);
  weft::go([&a = a, first] { first.send(get(a)); });
  weft::this_goroutine::sleep_for(2ms);
  ends_with_its_context([&a = a](const weft::context& ctx) {  // waits for its turn
    std::error_code ec;
    static_cast<void>(a.read_some(room, ctx, ec));
    return ec;
  });
  EXPECT_FALSE(first.try_recv());
  b.write_all("first");
  EXPECT_EQ(first.recv(), "first");
  b.write_all("next");
  EXPECT_EQ(get(a), "next");
}

WEFT_TEST(net_context, accept_ends_with_it) {
  const auto l = net::listen("tcp", "127.0.0.1:0");
  ends_with_its_context([&](const weft::context& ctx) {
    std::error_code ec;
    EXPECT_FALSE(l.accept(ctx, ec));
    return ec;
  });
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  const auto s = net::dial("tcp", l.address(), ctx);
  EXPECT_TRUE(l.accept(ctx));
  EXPECT_TRUE(s);
}

// A port whose queue is full answers nothing: the dial waits.
WEFT_TEST(net_context, dial_ends_with_it) {
  const auto l = net::listen("tcp", "127.0.0.1:0", {.backlog = 1});
  std::vector<net::stream> full;
  for (int refused = 0; refused < 3 && full.size() < 64;) {  // one that was held up for 50 ms shows nothing
    std::error_code ec;
    auto s = net::dial("tcp", l.address(), {.timeout = 50ms}, ec);
    if (ec) ++refused;
    else full.push_back(std::move(s)), refused = 0;
  }
  ends_with_its_context([&](const weft::context& ctx) {
    std::error_code ec;
    EXPECT_FALSE(net::dial("tcp", l.address(), ctx, {}, ec));
    return ec;
  });
}

// Cancellation, data and close all at once: each operation ends, and says one thing.
WEFT_TEST(net_context, operations_end_in_any_order_of_events) {
  for (int i = 0; i < scale(60, 10); ++i) {
    const auto [a, b] = connect_pair();
    std::atomic<int> bytes{0};
    weft::wait_group readers, others;
    for (int k = 0; k < 4; ++k) {
      readers.go([&, &a = a, k] {
        for (std::error_code ec; !ec;) {
          const auto [ctx, cancel] = weft::with_timeout(weft::background(), std::chrono::microseconds(200 * (k + 1)));
          std::array<std::byte, 2> buffer{};
          const std::size_t n = a.read_some(buffer, ctx, ec);
          bytes += static_cast<int>(n);
          if (ec == errc::deadline_exceeded) ec.clear();
          else if (n == 0) break;
        }
      });
    }
    others.go([&b = b] {
      for (int k = 0; k < 50; ++k) b.write_all("x"), weft::this_goroutine::yield();
      b.close_write();
    });
    others.wait();
    readers.wait();
    EXPECT_EQ(bytes, 50);
  }
}
