// waiters_test.cpp: how many goroutines wait in the poller. One too many, and a thread sits there for nobody and no deadlock is seen;
// one too few, and nobody looks at the network.
#include <array>
#include <string>
#include <vector>

#include "support/support.hpp"
#include "work/netpoll.hpp"

using namespace weft::test;
namespace net = weft::net;

// NETPOLL-20: however a wait ends: by data, by a deadline, by a cancellation, by close.
WEFT_TEST(netpoll, counts_no_waiters_when_all_network_goroutines_have_ended) {
  EXPECT_EQ(weft::netpoll_waiters(), 0);
  const auto l = net::listen("tcp", "127.0.0.1:0");
  const int n = 8;
  for (int round = 0; round < scale(5, 2); ++round) {
    std::vector<net::stream> ours, theirs;
    for (int i = 0; i < n; ++i) {
      ours.push_back(net::dial("tcp", l.address()));
      theirs.push_back(l.accept());
    }
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::wait_group done;
    for (int i = 0; i < n; ++i) {
      done.go([&, i, ctx = ctx] {
        std::array<std::byte, 8> buffer;
        std::error_code ec;
        static_cast<void>(ours[static_cast<std::size_t>(i)].read_some(buffer, ctx, ec));
        EXPECT_EQ(static_cast<bool>(ec), i % 4 != 0) << i;
      });
    }
    done.go([&] {
      std::error_code ec;
      static_cast<void>(l.accept(ctx, ec));
      EXPECT_TRUE(ec);
    });
    EXPECT_TRUE(eventually([&] { return weft::netpoll_waiters() == n + 1; }));
    for (int i = 0; i < n; ++i) {
      const auto k = static_cast<std::size_t>(i);
      if (i % 4 == 0) theirs[k].write_all("data");
      if (i % 4 == 1) ours[k].set_deadline(std::chrono::steady_clock::now());
      if (i % 4 == 2) ours[k].close();
    }
    EXPECT_TRUE(eventually([&] { return weft::netpoll_waiters() == n / 4 + 1; }));
    cancel();
    done.wait();
    EXPECT_EQ(weft::netpoll_waiters(), 0);
  }
}
