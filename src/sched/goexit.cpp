// sched/goexit.cpp: a goroutine's first and last steps. weft_gostart (assembly) calls weft_goroutine_main, which lands and runs
// the closure; it returns into weft_goexit, which asks weft_goexit1 where to go and leaves by a jump.
#include <cxxabi.h>

#include "sched/bubble.hpp"
#include "sched/local.hpp"
#include "sched/park.hpp"
#include "sched/unwind.hpp"

namespace weft {

namespace {

// On the next stack: nobody uses gp's any more.
bool commit_dead(g* gp) noexcept {
  m* mp = this_m();
  count_ended(mp->pp);
  if (__builtin_expect((gp->flags & (g_locked | g_bubbled | g_main | g_pauser)) != 0, 0)) {
    if (gp->flags & g_pauser) fatal("paused_goroutines: the goroutine that paused the others has ended");
    if (gp->flags & g_locked) end_locked(mp, gp);
    if (gp->flags & g_bubbled) leave_bubble(gp);
    if (gp->flags & g_main) {
      mp->main_ended = true;
      sched.ending.store(true, std::memory_order_relaxed);
    }
  }
  free_g(mp->pp, gp);
  return true;
}

struct next_context {
  void* sp;
  commit_fn commit;
};

[[gnu::noinline]] next_context choose_next(m* mp, g* gp) noexcept {
  WEFT_INVARIANT(self()->locks == 0, "goexit: holding locks");
  enter_runtime(mp);
  g* next = nullptr;
  if (__builtin_expect((gp->flags & (g_main | g_hooked)) == 0, 1)) next = short_lap(mp, mp->pp, gp, holding::nothing);
  else if (gp->flags & g_hooked) fatal("on_switch: its goroutine ends before it");
  return {change_over(mp, mp->pp, gp, next), &commit_dead};
}

}  // namespace

extern "C" {

[[gnu::visibility("hidden")]] g* weft_goroutine_main(commit_fn commit, g* from);
[[gnu::visibility("hidden")]] next_context weft_goexit1(g* gp);

WEFT_HANDLES_FORCED_UNWIND g* weft_goroutine_main(commit_fn commit, g* from) {
  m* mp = this_m();
  g* gp = mp->curg;
  sanitizers::arrive(gp->sanitizer, from ? nullptr : &mp->g0_sanitizer);
  gp->flags &= static_cast<std::uint16_t>(~(g_fresh | g_taken_in));
  land(commit, from);
  // No handler for exceptions here: the unwinder is to find the end of the stack before it unwinds anything (report.cpp). This one
  // is for this_goroutine::exit().
  try {
    gp->entry(gp->closure);
  } catch (abi::__forced_unwind&) {
    unwound();
    if (gp->flags & g_main) {  // the others go on, without an end that would come of itself
      gp->flags &= static_cast<std::uint16_t>(~g_main);
      sched.main_exited.store(true, std::memory_order_relaxed);
    }
  }
  if (__builtin_expect(gp->locals != nullptr, 0)) destroy_locals();
  return gp;
}

WEFT_UNSANITIZED next_context weft_goexit1(g* gp) {
  m* mp = this_m();
  const next_context next = choose_next(mp, gp);
  tell_sanitizers(mp, gp, mp->curg, sanitizers::leaving::for_good);
  return next;
}
}

}  // namespace weft
