// The workloads with tasks=co: each task is a C++20 coroutine instead of a goroutine. (parked is in memory.cpp for both.)
#include <algorithm>
#include <bit>
#include <optional>
#include <utility>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {
namespace {

namespace co = weft::co;
using link = weft::chan<long>;

co::task<> answer(link ping, link pong) {
  while (const auto token = co_await co::recv(ping)) co_await co::send(pong, *token + 1);
  pong.close();
}

co::task<long> ask(link ping, link pong, long n) {
  long token = 0;
  for (long i = 0; i < n; i++) {
    co_await co::send(ping, token);
    token = (co_await co::recv(pong)).value();
  }
  ping.close();
  co_return token;
}

co::task<> pass_on(link in, link out, link done, long i) {
  while (const auto token = co_await co::recv(in)) {
    if (*token == 0) co_await co::send(done, i);
    else co_await co::send(out, *token - 1);
  }
}

co::task<> send_all(link c, long n) {
  for (long i = 0; i < n; i++) co_await co::send(c, i);
  c.close();
}

co::task<long> sum_of(link c) {
  long sum = 0;
  while (const auto v = co_await co::recv(c)) sum += *v;
  co_return sum;
}

co::task<> count_down(weft::wait_group& wg) {
  wg.done();
  co_return;
}

co::task<long> tree(int depth) {
  if (depth == 1) co_return 1;
  auto left = co::fork(tree(depth - 1));
  auto right = co::fork(tree(depth - 1));
  const long below = co_await right;
  co_return 1 + co_await left + below;
}

co::task<long> fib_of(long n) {
  if (n <= 1) co_return n;
  auto above = co::fork(fib_of(n - 1));
  const long below = co_await fib_of(n - 2);
  co_return co_await above + below;
}

}  // namespace

result co_pingpong(long n) {
  const auto ping = weft::make_chan<long>(), pong = weft::make_chan<long>();
  co::go(answer(ping, pong));
  check("token", ask(ping, pong, n).join(), n);
  return {n};
}

result co_ring(long n) {
  constexpr long size = 503;
  std::vector<link> links(size);
  for (auto& l : links) l = weft::make_chan<long>();
  const auto done = weft::make_chan<long>();
  for (long i = 0; i < size; i++) co::go(pass_on(links[i], links[(i + 1) % size], done, i));
  links[0].send(n);
  const long last = done.recv().value();
  for (auto& l : links) l.close();
  check("last coroutine", last, n % size);
  return {n};
}

result co_chan_spsc(long n) {
  const auto c = weft::make_chan<long>(128);
  co::go(send_all(c, n));
  check("sum", sum_of(c).join(), n * (n - 1) / 2);
  return {n};
}

result co_spawn(long n) {
  constexpr long batch = 1'000;
  weft::wait_group wg;
  for (long left = n; left > 0; left -= batch) {
    const long k = std::min(left, batch);
    wg.add(static_cast<int>(k));
    for (long i = 0; i < k; i++) co::go(count_down(wg));
    wg.wait();
  }
  return {n};
}

result co_spawn_tree(long n) {
  const int depth = std::bit_width(static_cast<std::uint64_t>(n)) - 1;
  const long count = tree(depth).join();
  check("tasks", count, (1L << depth) - 1);
  return {count};
}

result co_fib(long n) {
  long a = 0, b = 1;  // fib(0), fib(1)
  for (long i = 0; i < n; i++) a = std::exchange(b, a + b);
  check("fib", fib_of(n).join(), a);
  return {std::max(b - 1, 1L)};  // tasks forked: fib(n + 1) - 1
}

}  // namespace bench
