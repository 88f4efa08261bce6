// throw: exceptions on all procs at once. An unwinder that takes a lock to find its tables has them wait for each other.
#include <atomic>
#include <stdexcept>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {
namespace {

[[gnu::noinline]] long throw_from(long depth, long value) {
  if (depth == 0) throw value;
  const long v = throw_from(depth - 1, value);
  asm volatile("");
  return v;
}

}  // namespace

result throw_(long n) {
  const long tasks = weft::procs(), each = n / tasks;
  std::atomic<long> sum{0};
  weft::wait_group wg;
  for (long i = 0; i < tasks; i++) {
    wg.go([&sum, each] {
      long mine = 0;
      for (long k = 0; k < each; k++) {
        try {
          throw_from(4, k);
        } catch (const long value) {
          mine += value;
        }
        weft::poll();
      }
      sum += mine;
    });
  }
  wg.wait();
  check("sum", sum, tasks * (each * (each - 1) / 2));
  return {tasks * each};
}

}  // namespace bench
