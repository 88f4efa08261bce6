// skynet.cpp: a tree of tasks, ten at each step, a million at its leaves; each gives the sum of what is below it. Tasks that
// have not started run newest first, so only a few dozen are ever alive at once.   skynet [LEAVES]
// weft-example: args=100000
#include <weft/weft.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

std::int64_t skynet(std::int64_t first, std::int64_t leaves) {
  if (leaves == 1) return first;
  std::array<weft::task<std::int64_t>, 10> tasks;
  const std::int64_t below = leaves / 10;
  for (int i = 0; i < 10; ++i) tasks[i] = weft::async(skynet, first + i * below, below);
  std::int64_t sum = 0;
  for (auto& t : tasks) sum += t.join();
  return sum;
}

int app(int argc, char** argv) {
  const std::int64_t leaves = argc > 1 ? std::strtoll(argv[1], nullptr, 10) : 1'000'000;
  std::int64_t power = 1;
  while (power < leaves) power *= 10;
  if (power != leaves) return std::puts("the number of leaves must be a power of ten"), 2;

  const auto start = std::chrono::steady_clock::now();
  const std::int64_t sum = skynet(0, leaves);
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  std::printf("%lld leaves, sum %lld, in %.1f ms\n", static_cast<long long>(leaves), static_cast<long long>(sum), time.count());
  return sum == leaves * (leaves - 1) / 2 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return weft::run(app, argc, argv); }
