// sched/goexit.cpp: a goroutine's first and last steps. weft_gostart (assembly) calls weft_goroutine_main, which lands and runs
// the closure; it returns into weft_goexit, which asks weft_goexit1 where to go and leaves by a jump.
#include "sched/local.hpp"
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

struct next_context {
  void* sp;
  commit_fn commit;
};

[[gnu::noinline]] next_context choose_next(m* mp, g* gp) noexcept {
  WEFT_INVARIANT(self()->locks == 0, "goexit: holding locks");
  g* next = gp->flags & g_main ? nullptr : short_lap(mp, mp->pp, gp, holding::nothing);
  return {change_over(mp, gp, next), &commit_dead};
}

}  // namespace

extern "C" {

[[gnu::visibility("hidden")]] g* weft_goroutine_main(commit_fn commit, g* from);
[[gnu::visibility("hidden")]] next_context weft_goexit1(g* gp);

g* weft_goroutine_main(commit_fn commit, g* from) {
  m* mp = self()->mp;
  g* gp = mp->curg;
  sanitizers::arrive(gp->sanitizer, from ? nullptr : &mp->g0_sanitizer);
  gp->flags &= static_cast<std::uint8_t>(~g_fresh);
  land(commit, from);
  gp->entry(gp->closure);
  if (__builtin_expect(gp->locals != nullptr, 0)) destroy_locals();
  return gp;
}

WEFT_UNSANITIZED next_context weft_goexit1(g* gp) {
  m* mp = self()->mp;
  const next_context next = choose_next(mp, gp);
  tell_sanitizers(mp, gp, mp->curg, sanitizers::leaving::for_good);
  return next;
}
}

}  // namespace weft
