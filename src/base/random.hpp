// base/random.hpp: small fast random numbers for the scheduler's choices. Every one comes from one seed (chaos mode).
#pragma once

#include <cstdint>

namespace weft {

/// Sebastiano Vigna's splitmix64: any seed is a good one.
class random_source {
 public:
  constexpr explicit random_source(std::uint64_t seed = 0) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  /// 0 .. n-1, by multiplication (Lemire).
  std::uint32_t below(std::uint32_t n) noexcept { return static_cast<std::uint32_t>((next() >> 32) * n >> 32); }
  bool one_in(std::uint32_t n) noexcept { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace weft
