// net_test.cpp: many connections.
// weft-test: timeout=120 serial=1 emulated=0
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <netinet/in.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace net = weft::net;

namespace {
/// How many connections one end of which is in this process: the limit on descriptors decides.
int affordable(int n) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return static_cast<int>(std::min<rlim_t>(static_cast<rlim_t>(scale_alive(n)), files.rlim_cur - 200));
}
void reset(net::stream& s) {
  const linger now{1, 0};
  setsockopt(s.native_handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  s.close();
}
}  // namespace

// Plain blocking sockets: connects args[1] of them to port args[0], then waits for the first one's end.
WEFT_CHILD(idle_clients) {
  affordable(1 << 30);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(args.at(0))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::vector<int> all;
  for (int i = 0; i < std::stoi(args.at(1)); ++i) {
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) return 1;
    all.push_back(s);
  }
  char end;
  static_cast<void>(!read(all[0], &end, 1));
  return 0;
}

// NETPOLL-01. The clients live in another process, for the sake of the limit on descriptors.
TEST(net, holds_ten_thousand_idle_connections_with_few_threads) {
  const int n = affordable(10'000);
  run_in_weft([&] {
    auto l = net::listen("tcp", "127.0.0.1:0");
    child_process clients("idle_clients", {.args = {std::to_string(l.port()), std::to_string(n)}, .within = 60s});
    std::atomic<int> reading{0};
    std::vector<net::stream> all;
    weft::wait_group done;
    for (int i = 0; i < n; ++i) {
      all.push_back(l.accept());
      done.go(
          [&](net::stream s) {
            ++reading;
            std::array<std::byte, 8> buffer;
            std::error_code ec;
            static_cast<void>(s.read_some(buffer, ec));
          },
          all.back());
    }
    ASSERT_TRUE(eventually([&] { return reading == n; }));
    weft::this_goroutine::sleep_for(100ms);
    EXPECT_LT(threads(), 50);
    const auto before = cpu_time();
    weft::this_goroutine::sleep_for(300ms);
    EXPECT_LT(cpu_time() - before, limit(60ms)) << "idle connections cost nothing";
    for (auto& s : all) reset(s);
    done.wait();
    EXPECT_TRUE(ended_with(clients.wait(), 0));
  });
}

// NETPOLL-02
WEFT_TEST(net, echoes_a_hundred_messages_over_each_of_a_thousand_connections) {
  const int connections = std::min(scale_alive(1'000), affordable(10'000) / 2), messages = scale(100, 10);
  auto l = net::listen("tcp", "127.0.0.1:0");
  weft::go([l]() mutable {
    for (std::error_code ec;;) {
      auto s = l.accept(ec);
      if (ec) return;
      weft::go([s]() mutable {
        std::array<std::byte, 64> buffer;
        std::error_code ec;
        for (std::size_t n; (n = s.read_some(buffer, ec)) > 0 && !ec;) s.write_all(std::span(buffer).first(n), ec);
      });
    }
  });
  std::atomic<int> right{0};
  weft::wait_group done;
  for (int i = 0; i < connections; ++i) {
    done.go([&, i] {
      auto s = net::dial("tcp", l.address());
      rng r(static_cast<unsigned>(i));
      std::array<std::byte, 64> out, in;
      for (int k = 0; k < messages; ++k) {
        for (auto& b : out) b = static_cast<std::byte>(r.next());
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

// NETPOLL-19, NETPOLL-13: connections come and go while others read, with deadlines and closes at random.
WEFT_TEST(net, survives_connections_that_come_and_go_at_random) {
  auto l = net::listen("tcp", "127.0.0.1:0");
  std::atomic<std::int64_t> sent{0}, received{0};
  weft::wait_group served;
  served.go([&, l]() mutable {
    for (std::error_code ec;;) {
      auto s = l.accept(ec);
      if (ec) return;
      served.go([&, s]() mutable {
        std::array<std::byte, 100> buffer;
        std::error_code ec;
        for (;;) {
          const auto n = s.read_some(buffer, ec);
          if (n == 0) return;
          received += static_cast<std::int64_t>(n);
        }
      });
    }
  });
  weft::wait_group done;
  for (int k = 0; k < 16; ++k) {
    done.go([&, k] {
      rng r(static_cast<unsigned>(k));
      for (int i = 0; i < scale(150, 10); ++i) {
        auto s = net::dial("tcp", l.address());
        if (r.one_in(3)) s.set_read_deadline(steady::now() + std::chrono::microseconds(r.below(300)));
        std::string text(static_cast<std::size_t>(1 + r.below(500)), 'm');
        sent += static_cast<std::int64_t>(s.write_all(text));
        weft::wait_group reading;
        if (r.one_in(2)) {
          reading.go([&] {
            std::array<std::byte, 4> buffer;
            std::error_code ec;
            static_cast<void>(s.read_some(buffer, ec));
            EXPECT_TRUE(ec) << "nobody writes to this end";
          });
          if (r.one_in(2)) weft::this_goroutine::yield();
          if (r.one_in(2)) weft::this_goroutine::sleep_for(50us);
        }
        s.close();  // what was written still arrives
        reading.wait();
      }
    });
  }
  done.wait();
  EXPECT_TRUE(eventually([&] { return received == sent; }));
  l.close();
  served.wait();
}
