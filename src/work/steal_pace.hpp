// work/steal_pace.hpp: how soon a thief may steal again. Its barrier costs itself and all that run (work/thieves.hpp), so one that
// got crumbs waits until more has come together or the owner has run it. And where the barrier is dear a thief waits whatever it
// got, in proportion: to interrupt another processor may take 50 us in a virtual machine (docs/design/0002).
#pragma once

#include <algorithm>
#include <cstdint>

namespace weft {

class steal_pace {
 public:
  static constexpr std::int64_t pause_ns = 20'000, dear_ns = 10'000, factor = 8, longest_ns = 500'000;
  static constexpr std::uint64_t crumbs = 2;

  [[nodiscard]] bool may_steal(std::int64_t now) const noexcept { return now >= may_at_; }
  /// It looked for something from `began` until `ended`, and got so many. One that took long may have been held up by the kernel, and
  /// one that was cheap may have found the others asleep: what is taken for the cost no more than doubles each time, or halves.
  void stole(std::uint64_t many, std::int64_t began, std::int64_t ended) noexcept {
    cost_ = std::clamp(ended - began, cost_ / 2, 2 * cost_ + 1'000);
    may_at_ = ended + (cost_ > dear_ns ? std::min(factor * cost_, longest_ns) : many <= crumbs ? pause_ns : 0);
  }

 private:
  std::int64_t may_at_ = 0, cost_ = 0;
};

}  // namespace weft
