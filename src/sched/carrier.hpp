// sched/carrier.hpp: who runs coroutines: a carrier, which is a goroutine of weft's own.
// A coroutine on a run queue has no stack. Whoever takes one off gives it to a carrier of this P that rests, and runs that. The
// carrier resumes it, and when the next that is runnable is a coroutine again, goes on with that: without a switch. So a
// coroutine may call whatever a goroutine may call; what parks then is the carrier with it, and another carrier goes on.
// A P keeps a few that rest; a carrier rests with the P on which it found nothing more to do.
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// A carrier for r, ready to be run by the holder of pp.
[[nodiscard]] g* carrier_for(p* pp, runnable* r) noexcept;
/// The same if one rests here, else null.
[[gnu::always_inline]] inline g* resting_carrier_for(p* pp, runnable* r) noexcept {
  g* gp = pp->carriers;
  if (!gp) return nullptr;
  pp->carriers = static_cast<g*>(gp->link);
  pp->carrier_count--;
  gp->cargo = r;
  return gp;
}
/// Whom to switch to for r.
[[nodiscard]] inline g* goroutine_for(p* pp, runnable* r) noexcept {
  return __builtin_expect((r->flags & g_coroutine) != 0, 0) ? carrier_for(pp, r) : static_cast<g*>(r);
}
/// This P goes: its carriers rest elsewhere.
void move_carriers(p* from, p* heir) noexcept;

}  // namespace weft
