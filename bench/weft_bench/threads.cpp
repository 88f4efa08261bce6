// hog, syscall, syscall_plain, getpid, lockthread, set_procs: what one has of the processors when others compute, block, or are bound
// to a thread, and what the means against that cost.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

/// ,"PREFIX_max_us":...,"PREFIX_p50_us":...,"PREFIX_p99_us":...
std::string quantiles(const std::string& prefix, std::vector<clock::duration>& times) {
  std::sort(times.begin(), times.end());
  const auto us = [&](double q) {
    return std::chrono::duration<double, std::micro>(times[static_cast<std::size_t>(q * static_cast<double>(times.size() - 1))]).count();
  };
  return field((prefix + "_max_us").c_str(), us(1)) + field((prefix + "_p50_us").c_str(), us(0.5)) + field((prefix + "_p99_us").c_str(), us(0.99));
}

/// Computes and calls nothing: only a signal takes the processor from it.
void compute_until(const std::atomic<bool>& stop, std::atomic<std::uint64_t>& sink) {
  std::uint64_t x = 1;
  while (!stop.load(std::memory_order_relaxed)) x = x * 6364136223846793005u + 1442695040888963407u;
  sink += x;
}

/// False when a signal cut it short.
bool a_millisecond() {
  const timespec t{0, 1'000'000};
  return ::syscall(SYS_nanosleep, &t, nullptr) == 0;
}

template <class Call>
result calls(long n, Call call) {
  constexpr long tasks = 64;
  std::atomic<bool> done{false};
  std::atomic<long> made{0};  // to their end
  long yields = 0;
  weft::wait_group other, all;
  other.go([&] {
    for (; !done.load(std::memory_order_relaxed); yields++) weft::this_goroutine::yield();
  });
  for (long i = 0; i < tasks; i++) {
    all.go([&] {
      long mine = 0;
      for (long k = 0; k < n / tasks; k++) mine += call(&a_millisecond);
      made += mine;
    });
  }
  all.wait();
  done = true;
  other.wait();
  check("calls", made, n / tasks * tasks);
  return {n / tasks * tasks, 0, field("other_yields", static_cast<double>(yields))};
}

}  // namespace

result hog(long n) {
  constexpr auto period = 1ms;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> sink{0};
  weft::wait_group all;
  for (int i = 0; i < weft::procs(); i++) all.go([&] { compute_until(stop, sink); });
  std::vector<clock::duration> late(static_cast<std::size_t>(n));
  all.go([&] {
    const auto start = clock::now();
    for (long i = 0; i < n; i++) {  // a fixed schedule: one late tick makes the next ones late too
      const auto due = start + (i + 1) * period;
      weft::this_goroutine::sleep_for(due - clock::now());
      late[static_cast<std::size_t>(i)] = clock::now() - due;
    }
    stop = true;
  });
  all.wait();
  if (*std::min_element(late.begin(), late.end()) < clock::duration::zero()) fail("a tick came early");
  return {n, 0, quantiles("tick", late)};
}

result syscall_blocking(long n) {
  return calls(n, [](auto f) { return weft::blocking(f); });
}
result syscall_plain(long n) {
  return calls(n, [](auto f) { return weft::system_call(f); });
}

result getpid(long n) {
  long sum = 0;
  const auto call = [] { return ::syscall(SYS_getpid); };
  constexpr long turn = 10'000;  // in turn, for the difference is small beside what disturbs either
  double bare_s = 0, wall_s = 0, alone_s = 0;
  for (long left = n; left > 0; left -= turn) {
    const long k = std::min(left, turn);
    const auto bare_begin = clock::now();
    for (long i = 0; i < k; i++) sum += call();
    bare_s += seconds_since(bare_begin);
    const auto begin = clock::now();
    for (long i = 0; i < k; i++) sum -= weft::system_call(call);
    wall_s += seconds_since(begin);
    const auto alone_begin = clock::now();
    for (long i = 0; i < k; i++) weft::system_call([] { asm volatile("" ::: "memory"); });
    alone_s += seconds_since(alone_begin);
  }
  check("sum", sum, 0);
  const double ns = 1e9 / static_cast<double>(n);
  return {n, wall_s,
          field("bare_ns", bare_s * ns) + field("over_ns", (wall_s - bare_s) * ns) +
              field("alone_ns", alone_s * ns)};  // alone: around nothing, with warm caches
}

result lockthread(long n) {
  auto ping = weft::make_chan<long>(), pong = weft::make_chan<long>();
  weft::wait_group both;
  long token = 0;
  both.go([&] {
    weft::this_goroutine::lock_thread();
    for (const long i : ping) pong.send(i + 1);
    weft::this_goroutine::unlock_thread();
  });
  both.go([&] {
    weft::this_goroutine::lock_thread();
    for (long i = 0; i < n; i++) {
      ping.send(token);
      token = *pong.recv();
    }
    ping.close();
    weft::this_goroutine::unlock_thread();
  });
  both.wait();
  check("token", token, n);
  return {n};
}

result set_procs(long n) {
  constexpr int runnable = 1'000;
  const long hogs = param("hogs", 0);
  if (hogs < 0 || hogs > 1'000) fail("hogs: " + std::to_string(hogs) + " is not between 0 and 1000");
  const int procs = weft::procs();
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> sink{0};
  std::atomic<int> ended{0};
  weft::wait_group all;
  for (int i = 0; i < runnable; i++) {
    all.go([&] {
      while (!stop.load(std::memory_order_relaxed)) weft::this_goroutine::yield();
      ended++;
    });
  }
  for (long i = 0; i < hogs; i++) all.go([&] { compute_until(stop, sink); });
  weft::this_goroutine::yield();
  std::vector<clock::duration> took(static_cast<std::size_t>(n)), stopping(took.size());
  double wall_s = 0;
  for (long i = 0; i < n; i++) {
    const std::uint64_t waited = weft::stats().stops.wait_ns;  // nobody else stops the world here
    const auto begin = clock::now();
    weft::set_procs(procs + (i % 2 == 0 ? 1 : 0));
    took[static_cast<std::size_t>(i)] = clock::now() - begin;
    stopping[static_cast<std::size_t>(i)] = std::chrono::nanoseconds(weft::stats().stops.wait_ns - waited);
    wall_s += std::chrono::duration<double>(took[static_cast<std::size_t>(i)]).count();
    weft::this_goroutine::yield();
  }
  weft::set_procs(procs);
  stop = true;
  all.wait();
  check("goroutines that ended", ended, runnable);
  // stop: of that, the time until all stood still. The rest is mostly the kernel's, that has more threads to run than there are CPUs.
  return {n, wall_s, quantiles("set", took) + quantiles("stop", stopping)};
}

}  // namespace bench
