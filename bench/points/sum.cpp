// points/sum.cpp: what the workload safepoints times, compiled three times: without safe points, with those that displace, and with those
// that yield (bench/CMakeLists.txt). WEFT_BENCH_POINTS is the namespace.
#include <cstddef>
#include <cstdint>

namespace bench::WEFT_BENCH_POINTS {

/// A loop that is vectorised. Inlined nowhere: it is in a file of its own.
std::uint32_t sum(const std::uint32_t* a, std::size_t n) {
  std::uint32_t s = 0;
  for (std::size_t i = 0; i < n; i++) s += a[i];
  return s;
}

/// A function so small that its point is most of it.
std::uint32_t next(std::uint32_t x) { return x * 1664525u + 1013904223u; }

}  // namespace bench::WEFT_BENCH_POINTS
