// spawn, spawn_tree, skynet, fib: what it costs to start goroutines and to wait for them.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {

result spawn(long n) {
  constexpr long batch = 1'000;
  weft::wait_group wg;
  for (long left = n; left > 0; left -= batch) {
    const long k = std::min(left, batch);
    wg.add(static_cast<int>(k));
    for (long i = 0; i < k; i++) weft::go([&wg] { wg.done(); });
    wg.wait();
  }
  return {n};
}

namespace {

// How many tasks ran: each starts two and waits for both.
long tree(int depth) {
  if (depth == 1) return 1;
  auto left = weft::async(tree, depth - 1);
  auto right = weft::async(tree, depth - 1);
  const long below = right.join();
  return 1 + left.join() + below;
}

}  // namespace

result spawn_tree(long n) {
  const int depth = std::bit_width(static_cast<std::uint64_t>(n)) - 1;
  const long count = weft::async(tree, depth).join();
  check("tasks", count, (1L << depth) - 1);
  return {count};
}

namespace {

constexpr long children = 10;

void skynet_node(const weft::sender<long>& up, long first, long size, long buffer) {
  if (size == 1) {
    up.send(first);
    return;
  }
  const long share = size / children;
  auto c = weft::make_chan<long>(buffer);
  for (long i = 0; i < children; i++) weft::go(skynet_node, weft::sender<long>(c), first + i * share, share, buffer);
  long sum = 0;
  for (long i = 0; i < children; i++) sum += c.recv().value();
  up.send(sum);
}

}  // namespace

result skynet(long n) {
  const long buffer = param("buffer", 0);
  if (buffer < 0 || buffer > 1'000) fail("buffer: " + std::to_string(buffer) + " is not between 0 and 1000");
  long leaves = 1;
  while (leaves * children <= n) leaves *= children;
  auto c = weft::make_chan<long>();
  weft::go(skynet_node, weft::sender<long>(c), 0L, leaves, buffer);
  check("sum", c.recv().value(), leaves * (leaves - 1) / 2);
  return {leaves};
}

namespace {

long fib_of(long n) {
  if (n <= 1) return n;
  auto above = weft::async(fib_of, n - 1);
  const long below = fib_of(n - 2);
  return above.join() + below;
}

}  // namespace

result fib(long n) {
  long a = 0, b = 1;  // fib(0), fib(1)
  for (long i = 0; i < n; i++) a = std::exchange(b, a + b);
  check("fib", fib_of(n), a);
  return {std::max(b - 1, 1L)};  // tasks started: fib(n + 1) - 1
}

}  // namespace bench
