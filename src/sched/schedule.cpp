// sched/schedule.cpp: one M's life: find a goroutine, run it, and again, on the thread's own stack.
#include "sched/carrier.hpp"
#include "sched/lap.hpp"

namespace weft {

namespace {

// The last searcher found work: somebody else must search on. [idle.cpp has the protocol]
void reset_spinning(m* mp) noexcept {
  mp->vain_wakeups = 0;
  mp->spinning = false;
  const int before = sched.spinning.fetch_sub(1, std::memory_order_seq_cst);  // [mo:idle]
  WEFT_INVARIANT(before > 0, "schedule: negative count of spinning Ms", before);
  wakep();
}

}  // namespace

namespace {
// While the world is unwound. [unwind_all.cpp]
bool may_run_gated(const runnable* gp) noexcept { return (gp->flags & (g_must_exit | g_unwinding | g_main)) != 0; }
}  // namespace

void schedule(m* mp) noexcept {
  for (;;) {
    slice s = slice::fresh;
    g* gp;
    if (__builtin_expect(mp->locked_g != nullptr, 0)) {
      s = stop_locked_m(mp);
      if (!mp->pp) return;  // main's thread, and run() is over
      gp = mp->locked_g;
    } else {
      runnable* r = find_runnable(mp, s);
      if (!r) return;
      if (mp->spinning) reset_spinning(mp);
      if (__builtin_expect(sched.unwinding.load(std::memory_order_relaxed) == unwind_phase::gated, 0) && !may_run_gated(r)) {
        lock_guard hold(sched.lock);
        sched.held.push_back(r);
        continue;
      }
      if (__builtin_expect((r->flags & g_locked) != 0, 0)) {
        start_locked_m(mp, static_cast<g*>(r), s);
        if (!mp->pp) return;
        continue;
      }
      gp = goroutine_for(mp->pp, r);
    }
    execute(mp, gp, s);
    if (__builtin_expect(mp->ends, 0)) return end_of_thread(mp);
    if (__builtin_expect(sched.ending.load(std::memory_order_relaxed), 0) && mp->main_ended) {
      main_ended(mp);
      if (!mp->pp) return;
    }
  }
}

}  // namespace weft
