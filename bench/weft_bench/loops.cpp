// parallel_for: what it costs to spread a loop of short and unequal steps over the processors.
#include <cstdint>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {

namespace {

// 1 to 8 rounds, and eight times as many in the first eighth: a loop that is cut into equal parts ends late.
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

}  // namespace

result parallel_for(long n) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(n));
  const auto size = static_cast<std::uint64_t>(n);
  const auto begin = clock::now();
  weft::parallel_for(std::uint64_t{0}, size, [&](std::uint64_t i) { out[i] = step(i, size); });
  const double wall = seconds_since(begin);
  long sum = 0;
  for (const std::uint8_t one : out) sum += one;
  check("steps", sum, n);
  return {n, wall};
}

}  // namespace bench
