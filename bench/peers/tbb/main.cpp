// The oneTBB peer: fork and join (fib, spawn_tree) and parallel_for. Its tasks are stackless closures that run to the end on a worker's
// own stack; a waiting task runs others meanwhile. Not fibers, and so a bar for the cost of fork-join alone.
//
//   tbb WORKLOAD [--procs P] [--n N]
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <chrono>
#include <cstdio>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace {

void check(const char* what, long got, long want) {
  if (got == want) return;
  std::fprintf(stderr, "wrong %s: %ld, not %ld\n", what, got, want);
  std::exit(1);
}

long fib_of(long n) {
  if (n <= 1) return n;
  long above;
  tbb::task_group group;
  group.run([&above, n] { above = fib_of(n - 1); });
  long below = fib_of(n - 2);
  group.wait();
  return above + below;
}

long fib(long n) {
  long a = 0, b = 1;
  for (long i = 0; i < n; i++) std::swap(a, b), b += a;
  check("fib", fib_of(n), a);
  return b - 1;  // tasks started: fib(n+1) - 1
}

long tree(int depth) {
  if (depth == 1) return 1;
  long left, right;
  tbb::task_group group;
  group.run([&left, depth] { left = tree(depth - 1); });
  group.run([&right, depth] { right = tree(depth - 1); });
  group.wait();
  return 1 + left + right;
}

long spawn_tree(long n) {  // floor(log2(n)) levels, so 2^levels - 1 tasks
  int depth = 63 - __builtin_clzl(n);
  long count;
  tbb::task_group group;
  group.run_and_wait([&] { count = tree(depth); });
  check("tasks", count, (1L << depth) - 1);
  return count;
}

std::uint8_t step(std::uint64_t i, std::uint64_t n) {
  std::uint64_t x = i * 0x9e3779b97f4a7c15 + 1;
  const std::uint64_t rounds = (1 + (x >> 61)) * (i < n / 8 ? 8 : 1);
  for (std::uint64_t k = 0; k < rounds; k++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  return x != 0;
}

double loop_s = 0;  // of parallel_for's loop alone

long parallel_for(long n) {
  std::vector<std::uint8_t> out(n);
  const std::uint64_t size = n;
  const auto begin = std::chrono::steady_clock::now();
  tbb::parallel_for(std::uint64_t{0}, size, [&](std::uint64_t i) { out[i] = step(i, size); });
  loop_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  long sum = 0;
  for (const std::uint8_t one : out) sum += one;
  check("steps", sum, n);
  return n;
}

// VmHWM in kB: ru_maxrss would be inherited from whoever started this program.
long peak_rss_kb() {
  long kb = 0;
  if (std::FILE* f = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, f) && std::sscanf(line, "VmHWM: %ld", &kb) != 1) {}
    std::fclose(f);
  }
  return kb;
}

}  // namespace

int main(int argc, char** argv) {
  std::string name = argc > 1 ? argv[1] : "";
  int procs = 1;
  long n = name == "fib" ? 27 : name == "parallel_for" ? 10'000'000 : 1 << 20;
  for (int i = 2; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--procs") procs = std::atoi(argv[i + 1]);
    if (std::string(argv[i]) == "--n") n = std::atol(argv[i + 1]);
  }
  if (name != "fib" && name != "spawn_tree" && name != "parallel_for") {
    std::fprintf(stderr, "tbb: no workload \"%s\" here\n", name.c_str());
    return 1;
  }
  auto run = name == "fib" ? fib : name == "parallel_for" ? parallel_for : spawn_tree;
  tbb::global_control threads(tbb::global_control::max_allowed_parallelism, procs);
  tbb::task_arena arena(procs);
  arena.execute([&] {
    run(name == "fib" ? n - 5 : n / 10);
    auto begin = std::chrono::steady_clock::now();
    long ops = run(n);
    double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (loop_s != 0) wall = loop_s;
    std::printf(
        "{\"runtime\":\"tbb\",\"workload\":\"%s\",\"procs\":%d,\"n\":%ld,\"wall_s\":%.6f,\"ns_per_op\":%.2f,"
        "\"peak_rss_kb\":%ld}\n",
        name.c_str(), procs, n, wall, wall / double(ops) * 1e9, peak_rss_kb());
  });
}
