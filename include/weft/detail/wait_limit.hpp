// detail/wait_limit.hpp: what may end a wait besides that which is waited for: a time, or somebody's cancellation.
#pragma once

#include <cstdint>

#include <weft/detail/atomic.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

/// Something that ends once, for all who wait for it: a context's cancellation. Lives as long as anybody waits with it.
struct done_core {
  atomic<std::uint32_t> lock{0};
  atomic<bool> done{false};  // set once, under the lock
  wait_list waiters;              // guarded by lock
  std::uint32_t bubble = 0;       // where it was made (sched/bubble.hpp)
};

/// Ends it: all who wait with it go on. Again: nothing.    Parks: no.    Threads: any.    Allocates: no.
WEFT_API void finish(done_core& d) noexcept;

struct wait_limit {
  static constexpr std::int64_t never = INT64_MAX;
  std::int64_t deadline = never;  // ns on the monotonic clock
  done_core* done = nullptr;

  [[nodiscard]] constexpr bool none() const noexcept { return deadline == never && !done; }
};

/// How a wait ended.
enum class wait_end : std::uint8_t { woken, timed_out, cancelled };

}  // namespace weft::detail
