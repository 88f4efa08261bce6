// The load client that all echo servers share: one thread, epoll, loopback only.
//
//   loadgen PORT [--conns C] [--secs S]   a closed loop: each connection sends 64 bytes, waits for them, sends again
//   loadgen PORT --idle N                 opens N connections in order and holds them, silent, until stdin closes
//
// Either prints one line of JSON; --idle prints it once all N are open.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>
#include <vector>

namespace {

constexpr int kMessageSize = 64;
constexpr int kConnectionsPerAddress = 5'000;  // of 28,232 local ports: the kernel finds a free one slowly when few are left

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "loadgen: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

std::int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

double cpu_seconds() {
  rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

// Counts of latencies: 32 buckets for each power of two, so within about 3%.
class Histogram {
 public:
  void add(std::uint64_t ns) {
    counts_[bucket(ns)]++;
    total_++;
  }
  std::uint64_t total() const { return total_; }
  double quantile_us(double q) const {
    std::uint64_t below = 0;
    for (std::size_t b = 0; b < counts_.size(); b++) {
      below += counts_[b];
      if (below > q * (total_ - 1)) return middle(b) / 1e3;
    }
    return 0;
  }

 private:
  static constexpr int kBits = 5;
  static std::size_t bucket(std::uint64_t ns) {
    if (ns < (1u << kBits)) return ns;
    int shift = std::bit_width(ns) - 1 - kBits;
    return (std::size_t(shift) << kBits) + (ns >> shift);
  }
  static double middle(std::size_t b) {
    if (b < (1u << kBits)) return b;
    int shift = int(b >> kBits) - 1;
    return (double(b - (std::size_t(shift) << kBits)) + 0.5) * double(1ull << shift);
  }
  std::array<std::uint64_t, (64 - kBits + 1) << kBits> counts_{};
  std::uint64_t total_ = 0;
};

int connect_to(int port, int index) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) fail("socket");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in from{}, to{};
  from.sin_family = to.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index / kConnectionsPerAddress);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(port);
  if (bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) < 0) fail("bind");
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0) fail("connect");
  return fd;
}

void hold_idle(int port, int n) {
  std::int64_t start = now_ns();
  for (int i = 0; i < n; i++) connect_to(port, i);
  std::printf("{\"idle_conns\":%d,\"open_s\":%.3f}\n", n, (now_ns() - start) / 1e9);
  std::fflush(stdout);
  char ignored[256];
  while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) {}
}

struct Connection {
  int fd;
  int received = 0;
  std::uint64_t number = 0;  // sent in each message and checked in what comes back
  std::int64_t sent_at = 0;
  char in[kMessageSize];

  void send_next() {
    char out[kMessageSize] = {};
    number++;
    std::memcpy(out, &number, sizeof number);
    std::memcpy(out + kMessageSize - sizeof number, &number, sizeof number);
    sent_at = now_ns();
    if (send(fd, out, kMessageSize, MSG_NOSIGNAL) != kMessageSize) fail("send");
  }
  void check() const {
    if (std::memcmp(in, &number, sizeof number) != 0 ||
        std::memcmp(in + kMessageSize - sizeof number, &number, sizeof number) != 0) {
      std::fprintf(stderr, "loadgen: a wrong message came back\n");
      std::exit(1);
    }
  }
};

void load(int port, int count, double seconds) {
  int poll = epoll_create1(0);
  std::vector<Connection> connections(count);
  for (int i = 0; i < count; i++) {
    connections[i].fd = connect_to(port, i);
    epoll_event e{.events = EPOLLIN, .data = {.ptr = &connections[i]}};
    epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &e);
  }
  for (Connection& c : connections) c.send_next();

  const std::int64_t warm_until = now_ns() + std::int64_t(std::max(0.2, seconds / 10) * 1e9);
  std::int64_t started = 0, stop_at = 0;
  double cpu_before = 0;
  Histogram latencies;
  epoll_event events[256];
  for (std::int64_t now = 0; started == 0 || now < stop_at;) {
    int ready = epoll_wait(poll, events, 256, 1000);
    now = now_ns();
    if (ready == 0) errno = ETIMEDOUT, fail("no answer for a second");
    if (started == 0 && now >= warm_until) {
      started = now;
      stop_at = now + std::int64_t(seconds * 1e9);
      cpu_before = cpu_seconds();
    }
    for (int i = 0; i < ready; i++) {
      Connection& c = *static_cast<Connection*>(events[i].data.ptr);
      ssize_t got = recv(c.fd, c.in + c.received, kMessageSize - c.received, 0);
      if (got <= 0) fail("recv");
      c.received += int(got);
      if (c.received < kMessageSize) continue;
      c.received = 0;
      c.check();
      if (started) latencies.add(now_ns() - c.sent_at);
      c.send_next();
    }
  }
  double wall = (now_ns() - started) / 1e9;
  std::printf(
      "{\"conns\":%d,\"wall_s\":%.3f,\"requests\":%lu,\"req_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
      "\"client_cpu_s\":%.3f}\n",
      count, wall, latencies.total(), latencies.total() / wall, latencies.quantile_us(0.5), latencies.quantile_us(0.99),
      latencies.quantile_us(0.999), cpu_seconds() - cpu_before);
}

}  // namespace

int main(int argc, char** argv) {
  int port = 0, conns = 64, idle = 0;
  double secs = 5;
  for (int i = 1; i < argc; i++) {
    std::string_view arg = argv[i];
    if (arg == "--conns" && i + 1 < argc) conns = std::atoi(argv[++i]);
    else if (arg == "--secs" && i + 1 < argc) secs = std::atof(argv[++i]);
    else if (arg == "--idle" && i + 1 < argc) idle = std::atoi(argv[++i]);
    else port = std::atoi(argv[i]);
  }
  if (port <= 0 || conns <= 0) {
    std::fprintf(stderr, "usage: loadgen PORT [--conns C] [--secs S] | loadgen PORT --idle N\n");
    return 1;
  }
  if (idle > 0) hold_idle(port, idle);
  else load(port, conns, secs);
}
