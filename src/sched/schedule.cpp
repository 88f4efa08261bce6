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

// Not who may pass the gate. False when it has been opened meanwhile, and nobody would come for r any more.
bool set_aside(runnable* r) noexcept {
  lock_guard hold(sched.lock);
  if (sched.gate.load(std::memory_order_relaxed) == 0) return false;
  sched.held.push_back(r);
  return true;
}

}  // namespace

void schedule(m* mp) noexcept {
  for (;;) {
    // It would go on searching, and nobody else would be woken for what lies here.
    if (__builtin_expect(mp->spinning, 0)) WEFT_INVARIANT(mp->pp->queue.empty(), "schedule: spinning with local work", mp->pp->id);
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
      const std::uint16_t gate = sched.gate.load(std::memory_order_relaxed);
      if (__builtin_expect(gate != 0, 0) && (r->flags & gate) == 0 && set_aside(r)) continue;
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
