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

// 8 goroutines on 4,096 keys, all there: 9 of 10 operations load one, the tenth stores it.
result map(long n) {
  constexpr int goroutines = 8;
  constexpr long keys = 4'096;
  const long each = n / goroutines;
  weft::concurrent_map<long, long> m;
  for (long k = 0; k < keys; k++) m.store(k, k);
  weft::wait_group wg;
  std::atomic<long> wrong{0};
  for (int i = 0; i < goroutines; i++) {
    wg.go([&, seed = static_cast<std::uint64_t>(i)]() mutable {
      long mine = 0;
      for (long k = 0; k < each; k++) {
        seed += 0x9e3779b97f4a7c15;  // splitmix64
        std::uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        z ^= z >> 31;
        const long key = static_cast<long>(z % keys);
        if (k % 10 == 9) m.store(key, key + k / 10 * keys);
        else mine += m.load(key).value_or(-1) % keys != key;
      }
      wrong += mine;
    });
  }
  wg.wait();
  check("number of values of other keys", wrong.load(), 0);
  return {each * goroutines};
}

}  // namespace bench
