// sched/park_until.hpp: a park with a limit: the goroutine waits on its sudog, and on a timer, a cancellation or both; gp->claimed
// says who woke it. A foreign thread waits on its futex with that time limit.
#pragma once

#include <weft/detail/wait_limit.hpp>

#include "sched/park.hpp"

namespace weft {

/// Before the sudog goes on its list: whoever wants to wake gp must win gp->claimed (sudog::contested).
inline void begin_contest(runnable* gp) noexcept { gp->claimed.store(0, std::memory_order_relaxed); }

/// As park_anyone(), until the limit. When it ends otherwise than woken, the sudog is still on its list, and the caller takes
/// it off. `commit` must not refuse; what it unlocks is what the caller locks to take the sudog off: so a wake-up that comes
/// before commit has run to its end leaves the frame that it needs alone.
[[nodiscard]] detail::wait_end park_until(runnable* caller, commit_fn commit, void* arg, wait_reason why, const detail::wait_limit& limit) noexcept;

/// In a world that is to be unwound a wait without a limit takes this way, too. It then seems to end by a time-out, after which
/// unwind_if_due() does not return. (An operation that does not know of this is not unwound, that is all.)
[[nodiscard]] inline bool world_unwinds() noexcept { return __builtin_expect(sched.unwinds.load(std::memory_order_relaxed), 0); }

/// With a time alone: false when it came first.
[[nodiscard]] inline bool park_until(runnable* caller, commit_fn commit, void* arg, wait_reason why, std::int64_t deadline) noexcept {
  return park_until(caller, commit, arg, why, detail::wait_limit{.deadline = deadline}) == detail::wait_end::woken;
}

}  // namespace weft
