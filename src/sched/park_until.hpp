// sched/park_until.hpp: a park with a time limit: the goroutine waits on its sudog and on a timer, and gp->claimed says who
// woke it. A foreign thread waits on its futex with that limit.
#pragma once

#include "sched/park.hpp"

namespace weft {

/// Before the sudog goes on its list: whoever wants to wake gp must win gp->claimed (sudog::contested).
inline void begin_contest(g* gp) noexcept { gp->claimed.store(0, std::memory_order_relaxed); }

/// As park_anyone(), until `deadline` (ns, monotonic). False when the time came first; the sudog is then still on its list,
/// and the caller takes it off. `commit` must not refuse.
[[nodiscard]] bool park_until(g* gp, commit_fn commit, void* arg, wait_reason why, std::int64_t deadline) noexcept;

}  // namespace weft
