// sched/suspend.hpp: what an awaiter does before others can find its coroutine. It is suspended by then: so the lock of what
// is waited for may be released at once, and from then on the frame may be gone. A coroutine is always on a goroutine's stack.
#pragma once

#include "sched/sched.hpp"

namespace weft {

[[gnu::always_inline]] inline void suspend(runnable& r, wait_reason why) noexcept {
  r.set_why(why);
  r.status.store(g_status::waiting, std::memory_order_release);  // [mo:status]
  // Outside the runtime: should the P be taken in this moment, a count is lost.
  if (p* pp = self()->mp->pp; __builtin_expect(pp != nullptr, 1)) bump(pp->count.parks);
}

}  // namespace weft
