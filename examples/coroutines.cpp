// coroutines.cpp: C++20 coroutines and goroutines on the same channels and locks. docs/guide/coroutines.md explains it.
#include <weft/weft.hpp>

#include <chrono>
#include <cstdio>
#include <optional>

namespace co = weft::co;
using namespace std::chrono_literals;

namespace {

// A coroutine that squares what comes. While it waits it costs its frame, not a stack.
co::task<> square(weft::receiver<long> in, weft::sender<long> out) {
  while (const auto v = co_await co::recv(in)) co_await co::send(out, *v * *v);
  out.close();
}

// A coroutine that another awaits: a call.
co::task<long> twice(long n) { co_return 2 * n; }

// Fork and join: both halves of the tree may run at once.
co::task<long> leaves(int depth) {
  if (depth == 0) co_return 1;
  auto left = co::fork(leaves(depth - 1));
  const long right = co_await leaves(depth - 1);
  co_return co_await left + right;
}

co::task<> count(weft::mutex& m, long& total, weft::wait_group& wg) {
  for (int i = 0; i < 1'000; i++) {
    const auto guard = co_await co::lock(m);
    total++;
  }
  wg.done();
}

int app() {
  const auto numbers = weft::make_chan<long>(), squares = weft::make_chan<long>();
  co::go(square(numbers, squares));
  weft::go([numbers] {  // a goroutine at the other end
    for (long i = 1; i <= 5; i++) numbers.send(i);
    numbers.close();
  });
  for (const long v : squares) std::printf("%ld ", v);
  std::printf("\n");

  std::printf("twice 21: %ld\n", twice(21).join());  // a goroutine waits for a coroutine
  std::printf("leaves: %ld\n", leaves(10).join());

  weft::mutex m;
  long total = 0;
  weft::wait_group wg;
  wg.add(10);
  for (int i = 0; i < 10; i++) co::go(count(m, total, wg));
  wg.wait();
  std::printf("total: %ld\n", total);

  const auto never = weft::make_chan<int>();
  const auto patience = [never]() -> co::task<int> { co_return co_await co::select(weft::on_recv(never), weft::on_timeout(10ms)); };
  std::printf("select: case %d\n", patience().join());
  return 0;
}

}  // namespace

int main() { return weft::run(app); }
