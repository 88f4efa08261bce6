// sched/goexit.cpp: a goroutine's first and last steps. weft_gostart (assembly) calls weft_goroutine_main, which lands and runs
// the closure; it returns into weft_goexit, which asks weft_goexit1 where to go and leaves by a jump.
#include "sched/park.hpp"

namespace weft {

namespace {

// On the next stack: nobody uses gp's any more.
bool commit_dead(g* gp) noexcept {
  m* mp = self()->mp;
  bump(mp->pp->count.ended);
  if (gp->flags & g_main) {
    mp->main_ended = true;
    sched.ending.store(true, std::memory_order_relaxed);
  }
  free_g(mp->pp, gp);
  return true;
}

}  // namespace

extern "C" {

struct next_context {
  void* sp;
  commit_fn commit;
};

[[gnu::visibility("hidden")]] g* weft_goroutine_main(commit_fn commit, g* from);
[[gnu::visibility("hidden")]] next_context weft_goexit1(g* gp);

g* weft_goroutine_main(commit_fn commit, g* from) {
  m* mp = self()->mp;
  g* gp = mp->curg;
  sanitizers::arrive(gp->sanitizer, from ? nullptr : &mp->g0_sanitizer);
  gp->flags &= static_cast<std::uint8_t>(~g_fresh);
  land(commit, from);
  gp->entry(gp->closure);
  return gp;
}

next_context weft_goexit1(g* gp) {
  m* mp = self()->mp;
  WEFT_INVARIANT(self()->locks == 0, "goexit: holding locks");
  g* next = gp->flags & g_main ? nullptr : short_lap(mp, mp->pp, gp);
  void* load = change_over(mp, gp, next, sanitizers::leaving::for_good);
#if WEFT_TSAN
  gp->wake_value = next ? next->sanitizer.fiber : mp->g0_sanitizer.fiber;
#endif
  return {load, &commit_dead};
}

#if WEFT_TSAN
// Called right before the jump: the call that tells ThreadSanitizer must be the last thing on this stack.
[[gnu::visibility("hidden"), clang::disable_sanitizer_instrumentation]] void weft_goexit_tsan(g* gp) {
  __tsan_switch_to_fiber(gp->wake_value, 0);
}
#endif
}

}  // namespace weft
