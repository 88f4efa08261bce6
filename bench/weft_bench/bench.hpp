// bench.hpp: what main.cpp and the workloads of weft-bench know of each other.
// Each workload runs n operations, checks its own result, and says how many operations there were; main.cpp does the rest:
// arguments, warm-up, clock, one line of JSON. docs/benchmarks.md says what each workload does.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

struct result {
  long ops;
  double wall_s = 0;      // 0: main's clock, around the whole workload, counts
  std::string more = {};  // further fields of the line, each with its leading comma, in the order of their names
};

// ---- the workloads ----

result yield(long n);  // switch.cpp
result pingpong(long n);
result ring(long n);

result chan_spsc(long n);  // channels.cpp
result chan_mpmc(long n);
result sieve(long n);
result select(long n);
result mutex(long n);

result rwmutex(long n);  // shared.cpp
result map(long n);

result spawn(long n);  // trees.cpp
result spawn_tree(long n);
result skynet(long n);
result fib(long n);

result parallel_for(long n);  // loops.cpp

result timers(long n);  // memory.cpp
result parked(long n);
result after_func(long n);

result throw_(long n);  // throw.cpp

// The same with tasks=co.
result co_pingpong(long n);  // coroutines.cpp
result co_ring(long n);
result co_chan_spsc(long n);
result co_spawn(long n);
result co_spawn_tree(long n);
result co_fib(long n);
result co_parked(long n);  // memory.cpp
result hog(long n);  // threads.cpp
result syscall_blocking(long n);
result syscall_plain(long n);
result getpid(long n);
result lockthread(long n);
result safepoints(long n);  // safepoints.cpp
result set_procs(long n);

/// The echo server: prints its port and serves until standard input ends.
void serve();  // echo.cpp

// ---- what they share ----

/// The value of key=value on the command line.
long param(std::string_view key, long otherwise);

/// Ends the program with status 1 unless got == want: a fast wrong answer does not count.
void check(const char* what, long got, long want);
[[noreturn]] void fail(const std::string& message);

/// ,"name":value
std::string field(const char* name, double value);
/// A line of /proc/self/status, in kB.
long status_kb(std::string_view name);

using clock = std::chrono::steady_clock;
inline double seconds_since(clock::time_point t) { return std::chrono::duration<double>(clock::now() - t).count(); }

}  // namespace bench
