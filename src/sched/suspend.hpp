// sched/suspend.hpp: what an awaiter does before others can find its coroutine. It is suspended by then: so the lock of what
// is waited for may be released at once, and from then on the frame may be gone. A coroutine is always on a goroutine's stack.
#pragma once

#include "sched/sched.hpp"

namespace weft {

[[gnu::always_inline]] inline void suspend(runnable& r, wait_reason why) noexcept {
  r.set_why(why);
  r.status.store(g_status::waiting, std::memory_order_release);  // [mo:status]
  count_suspension();  // on the thread: outside the runtime the P may be another's at any time
}
/// Who has resumed it does, inside the runtime.
[[gnu::always_inline]] inline void count_suspensions(thread_state* t, p* pp) noexcept {
  if (__builtin_expect(!pp, 0)) return;
  bump(pp->count.parks, std::uint64_t{t->suspensions});
  t->suspensions = 0;
}

}  // namespace weft
