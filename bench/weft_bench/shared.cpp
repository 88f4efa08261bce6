// rwmutex, map: goroutines that mostly read.
#include <atomic>
#include <cstdint>
#include <shared_mutex>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {

result rwmutex(long n) {
  constexpr int readers = 8;
  const long each = n / readers;
  weft::shared_mutex mu;
  weft::wait_group wg;
  std::atomic<long> sum{0};
  long value = 1;
  for (int i = 0; i < readers; i++) {
    wg.go([&] {
      long mine = 0;
      for (long k = 0; k < each; k++) {
        std::shared_lock lock(mu);
        mine += value;
      }
      sum += mine;
    });
  }
  wg.wait();
  check("sum", sum, each * readers);
  return {each * readers};
}

}  // namespace bench
