// safepoints: what the points cost that weft_safepoints() has the compiler put into code that computes: by element of a vectorised loop,
// and by call of a small function.
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "bench.hpp"

namespace bench {

// points/sum.cpp
#define WEFT_BENCH_POINTS_IN(kind)                           \
  namespace kind {                                           \
  std::uint32_t sum(const std::uint32_t* a, std::size_t n);  \
  std::uint32_t next(std::uint32_t x);                       \
  }
WEFT_BENCH_POINTS_IN(bare)
WEFT_BENCH_POINTS_IN(displaces)
#if WEFT_BENCH_YIELDS
WEFT_BENCH_POINTS_IN(yields)
#endif

namespace {

constexpr std::size_t elements = 4'096;  // in the nearest cache

struct cost {
  double element_ns, call_ns;
};

cost of(long n, std::uint32_t (*sum)(const std::uint32_t*, std::size_t), std::uint32_t (*next)(std::uint32_t)) {
  std::vector<std::uint32_t> a(elements);
  std::iota(a.begin(), a.end(), 1u);
  std::uint32_t total = 0;
  const auto begin = clock::now();
  for (long i = 0; i < n; i++) total += sum(a.data(), elements);
  const double sum_s = seconds_since(begin);
  check("sum", total, static_cast<std::uint32_t>(static_cast<std::uint64_t>(n) * elements * (elements + 1) / 2));
  std::uint32_t x = 1;
  const auto begin_calls = clock::now();
  for (long i = 0; i < n; i++) x = next(x);
  const double call_s = seconds_since(begin_calls);
  std::uint32_t want = 1;
  for (long i = 0; i < n; i++) want = want * 1664525u + 1013904223u;
  check("the last number", x, want);
  return {sum_s * 1e9 / static_cast<double>(n) / elements, call_s * 1e9 / static_cast<double>(n)};
}

}  // namespace

result safepoints(long n) {
  const auto begin = clock::now();
  const cost none = of(n, bare::sum, bare::next), displacing = of(n, displaces::sum, displaces::next);
  std::string calls = field("call_bare_ns", none.call_ns) + field("call_displaces_ns", displacing.call_ns);
  std::string loops = field("element_bare_ns", none.element_ns) + field("element_displaces_ns", displacing.element_ns);
#if WEFT_BENCH_YIELDS
  const cost yielding = of(n, yields::sum, yields::next);
  calls += field("call_yields_ns", yielding.call_ns);
  loops += field("element_yields_ns", yielding.element_ns);
#endif
  return {n, seconds_since(begin), calls + loops};
}

}  // namespace bench
