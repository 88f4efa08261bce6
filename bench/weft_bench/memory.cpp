// timers, parked: a million goroutines that wait, for a time or for each other.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// The same small generator in every peer, so that all draw the same times.
std::uint64_t splitmix(std::uint64_t& seed) {
  std::uint64_t z = seed += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double cpu_seconds() {
  rusage u;
  getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double us(const std::vector<nanoseconds>& sorted, double q) {
  return static_cast<double>(sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))].count()) / 1e3;
}

long rss_bytes() {
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  long size = 0, resident = 0;
  if (!f || std::fscanf(f, "%ld %ld", &size, &resident) != 2) fail("/proc/self/statm cannot be read");
  std::fclose(f);
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace

result timers(long n) {
  std::vector<nanoseconds> late(n);
  std::uint64_t seed = 42;
  weft::wait_group wg;
  wg.add(static_cast<int>(n));
  double cpu = cpu_seconds();
  const auto begin = clock::now();
  for (long i = 0; i < n; i++) {
    const nanoseconds d(splitmix(seed) % 1'000'000'000);
    weft::go([&wg, &mine = late[i], d] {
      const auto from = clock::now();
      weft::this_goroutine::sleep_for(d);
      mine = clock::now() - from - d;
      wg.done();
    });
  }
  wg.wait();
  const double wall = seconds_since(begin);
  cpu = cpu_seconds() - cpu;
  std::sort(late.begin(), late.end());
  check("early wakes", std::min<long>(0, late.front().count()), 0);
  return {n, wall,
          field("cpu_s", cpu) + field("late_max_us", us(late, 1)) + field("late_p50_us", us(late, 0.5)) +
              field("late_p99_us", us(late, 0.99))};
}

// As a server does with a time limit for each request: it is set, and nearly always stopped before its time.
result after_func(long n) {
  const long window = std::min(n, param("window", 1'000));
  if (window < 1) fail("window: must be above zero");
  std::vector<weft::timer> set(static_cast<std::size_t>(window));
  std::uint64_t seed = 42;
  std::atomic<long> ran{0};
  long stopped = 0;
  for (long i = 0; i < n; i++) {
    weft::timer& t = set[static_cast<std::size_t>(i % window)];
    if (i >= window) stopped += t.stop();
    t = weft::after_func(std::chrono::hours(1) + nanoseconds(splitmix(seed) % 1'000'000'000), [&ran] { ran++; });
  }
  for (const weft::timer& t : set) stopped += t.stop();
  check("timers stopped", stopped, n);
  check("functions that ran", ran, 0);
  return {n};
}

namespace {

// start(gate, arrived, wg) starts one task that counts itself in `arrived`, waits on the gate, and is then done.
template <class Start>
result parked_tasks(long n, Start start_one) {
  const long linger_ms = param("linger_ms", 500);
  if (linger_ms < 0 || linger_ms > 60'000) fail("linger_ms: " + std::to_string(linger_ms) + " is not between 0 and 60000");
  const long rss_before = rss_bytes(), pte_before = status_kb("VmPTE");
  auto per_task = [n](double v) { return v / static_cast<double>(n); };

  auto gate = weft::make_chan<void>();
  std::atomic<long> arrived{0};
  weft::wait_group wg;
  wg.add(static_cast<int>(n));
  const auto begin = clock::now();
  for (long i = 0; i < n; i++) start_one(gate, arrived, wg);
  while (arrived.load(std::memory_order_relaxed) < n) weft::this_goroutine::yield();
  const double start = seconds_since(begin);
  weft::this_goroutine::sleep_for(milliseconds(50));  // let the last one park; not timed
  const double bytes = per_task(static_cast<double>(rss_bytes() - rss_before));
  const double pte_bytes = per_task(static_cast<double>(status_kb("VmPTE") - pte_before) * 1024);

  const auto closing = clock::now();
  gate.close();
  wg.wait();
  const double wake = seconds_since(closing);
  weft::this_goroutine::sleep_for(milliseconds(linger_ms));  // what the end gives back; not timed
  const double left = per_task(static_cast<double>(rss_bytes() - rss_before));
  return {n, start + wake,
          field("bytes_per_task", bytes) + field("left_bytes_per_task", left) + field("start_ns", per_task(start * 1e9)) +
              field("vmpte_bytes_per_task", pte_bytes) + field("wake_ns", per_task(wake * 1e9))};
}

weft::co::task<> wait_at(const weft::chan<void>& gate, std::atomic<long>& arrived, weft::wait_group& wg) {
  arrived.fetch_add(1, std::memory_order_relaxed);
  co_await weft::co::recv(gate);
  wg.done();
}

}  // namespace

result parked(long n) {
  return parked_tasks(n, [](auto& gate, auto& arrived, auto& wg) {
    weft::go([&] {
      arrived.fetch_add(1, std::memory_order_relaxed);
      gate.recv();
      wg.done();
    });
  });
}

result co_parked(long n) {
  return parked_tasks(n, [](auto& gate, auto& arrived, auto& wg) { weft::co::go(wait_at(gate, arrived, wg)); });
}

}  // namespace bench
