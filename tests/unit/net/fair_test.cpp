// fair_test.cpp: more connections are ready than one look at the network brings: each gets its turn.
// weft-test: procs=1 chaos=0 emulated=0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace net = weft::net;

namespace {

/// Many connections to an echo server, by one thread that weft knows nothing of: each sends a byte, waits for it, sends again.
class clients {
 public:
  clients(int n, int port) : fds_(n), answered_(n, -1), waited_(n), poller_(epoll_create1(EPOLL_CLOEXEC)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(static_cast<std::uint16_t>(port));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (std::uint32_t i = 0; i < fds_.size(); ++i) {
      fds_[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      failed_ |= connect(fds_[i], reinterpret_cast<sockaddr*>(&a), sizeof a) != 0;
      epoll_event e{};
      e.events = EPOLLIN;
      e.data.u32 = i;
      failed_ |= epoll_ctl(poller_, EPOLL_CTL_ADD, fds_[i], &e) != 0;
    }
  }
  ~clients() {
    for (const int fd : fds_) close(fd);
    close(poller_);
  }
  /// Until there have been that many answers.
  void run(long answers) {
    for (const int fd : fds_) send_to(fd);
    long all = 0;
    std::size_t known = 0;
    while (all < answers && !failed_) {
      std::array<epoll_event, 64> events;
      const int n = epoll_wait(poller_, events.data(), static_cast<int>(events.size()), 60'000);
      failed_ |= n <= 0;
      for (int k = 0; k < n; ++k, ++all) {
        const std::uint32_t i = events[static_cast<std::size_t>(k)].data.u32;
        char byte;
        failed_ |= read(fds_[i], &byte, 1) != 1;
        if (answered_[i] < 0 && ++known == fds_.size()) begun_ = all;
        if (begun_ >= 0 && answered_[i] >= begun_) waited_[i] = std::max(waited_[i], all - answered_[i]);
        answered_[i] = all;
        send_to(fds_[i]);
      }
    }
    for (std::size_t i = 0; i < waited_.size(); ++i) waited_[i] = std::max(waited_[i], all - std::max(answered_[i], begun_));
  }
  [[nodiscard]] bool failed() const { return failed_; }
  /// How many answers there were until each connection had had its first; -1 if one never had any.
  [[nodiscard]] long begun() const { return begun_; }
  /// How many others were answered while one waited, at most: for each connection, from when all had had their first answer. Until
  /// then the accepting goroutine starts more than the ring holds, and who has been fetched from the network is pushed into the
  /// global queue behind them, and waits there a second time.
  [[nodiscard]] std::vector<long> waited() const { return waited_; }

 private:
  void send_to(int fd) { failed_ |= write(fd, "x", 1) != 1; }
  std::vector<int> fds_;
  std::vector<long> answered_, waited_;
  int poller_;
  long begun_ = -1;
  bool failed_ = false;
};

}  // namespace

// Looking at the network before those are served whom the last look brought would answer some connections at once each time, and let
// others wait ten times as long. Counted in answers, not in time, so that a busy machine changes nothing.
namespace {
void take_turns(int n, int yielding) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  auto l = net::listen("tcp", "127.0.0.1:0");
  weft::wait_group served;
  served.go([l, &served]() mutable {
    for (std::error_code ec;;) {
      auto s = l.accept(ec);
      if (ec) return;
      served.go([s = std::move(s)] {
        std::array<std::byte, 64> buffer;
        for (std::error_code failed;;) {
          const std::size_t got = s.read_some(buffer, failed);
          if (failed || got == 0) return;
          s.write_all(std::span(buffer).first(got), failed);
          if (failed) return;
        }
      });
    }
  });
  std::atomic<bool> over{false};
  for (int i = 0; i < yielding; ++i) {
    served.go([&over] {
      for (; !over; weft::this_goroutine::yield()) spin(50us);
    });
  }
  std::vector<long> waited;
  long begun = -1;
  plain_thread([&, port = l.port()] {
    clients c(n, port);
    c.run(scale(100, 20) * n);
    EXPECT_FALSE(c.failed());
    waited = c.waited();
    begun = c.begun();
  }).join();
  over = true;
  l.close();
  served.wait();
  std::sort(waited.begin(), waited.end());
  EXPECT_GE(begun, 0) << "one was never answered";
  EXPECT_LE(begun, 10 * n);
  const long most = waited[waited.size() * 9 / 10];
  EXPECT_LE(most, 2 * n) << "one of ten waited for " << most << " others";
}
}  // namespace

WEFT_TEST(net_fair, connections_take_turns) { take_turns(1'000, 0); }
WEFT_TEST(net_fair, connections_take_turns_beside_goroutines_that_yield) { take_turns(300, 10); }
WEFT_TEST(net_fair, connections_take_turns_beside_more_of_them_than_one_look_brings) { take_turns(300, 150); }
