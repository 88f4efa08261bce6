// sched/for_each_p.hpp: a function for every P, without stopping the world. Source: Go's forEachP and runSafePointFn (proc.go).
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// Calls f(pp, arg) once for each P, one after the other, each at a moment in which nobody works on that P. Returns when all have been
/// visited; user code is not waited for (where the kernel has no membarrier it is, as in a stop of the world), and no P changes hands.
/// f: a leaf, as a commit: it runs on any stack of any M, under sched.lock.
/// False, and nothing is called: a thread that is no goroutine asked, and there is no run() that could have Ps, or it ends.
/// Runs on: any stack but g0. Switches: while it waits for its turn. Locks held: none.
[[nodiscard]] bool for_each_p(void (*f)(p* pp, void* arg) noexcept, void* arg) noexcept;

/// The owner's half: pp's long lap has found pp->safe_point.
[[gnu::cold]] void run_safe_point(p* pp) noexcept;

}  // namespace weft
