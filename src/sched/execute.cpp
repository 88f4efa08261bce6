// sched/execute.cpp: runs a goroutine: the switch from g0 to its stack, and the landing when somebody switches back.
// In between any number of short laps may have gone by, so who comes back need not be who was sent.
#include "sched/bubble.hpp"
#include "sched/in_runtime.hpp"
#include "sched/lap.hpp"
#include "sched/on_switch.hpp"
#include "sched/report.hpp"

namespace weft {

void execute(m* mp, g* gp, slice s) noexcept {
  for (;;) {
    p* pp = mp->pp;
    WEFT_INVARIANT(pp != nullptr, "execute: no P");
    if (gp->flags & g_fresh) bind_stack(pp, gp);
    // curg and mp before running: who samples this thread sees a consistent pair.
    mp->curg = gp;
    gp->mp = mp;
    gp->status.store(g_status::running, std::memory_order_relaxed);  // [mo:own] for dumps
    bump(pp->tick, std::uint32_t{s == slice::fresh});
    bump(pp->count.switches);
    *mp->eh = gp->eh;
    *mp->err = gp->saved_errno;
    if (__builtin_expect((gp->flags & (g_fp_environment | g_hooked)) != 0, 0)) {
      if (gp->flags & g_hooked) enter_hooks(mp, gp);
      if (gp->flags & g_fp_environment) {
        mp->fp = arch::save_fp();
        arch::load_fp(gp->fp);
      }
    }
    commit_fn commit = nullptr;
    g* from = nullptr;
    void* load = take_context(gp);
    leave_runtime(mp);  // for gp: nothing of the P is touched from here on
    sanitizers::leave(mp->g0_sanitizer, gp->sanitizer, gp->stack.low, gp->stack.size());
    arch::gogo(&mp->g0_sp, load, commit, from);
    sanitizers::arrive(mp->g0_sanitizer, nullptr);
    if (from->flags & g_in_call) end_call(mp, from);  // it waits within: the call is over as far as we are concerned
    bubble* left = nullptr;
    bool hooked = false, special = false;
    if (__builtin_expect((from->flags & (g_fp_environment | g_background | g_bubbled | g_unguarded | g_hooked)) != 0, 0)) {
      special = true;
      hooked = (from->flags & g_hooked) != 0;  // after its commit it may have ended elsewhere, but for what leave_hooks() does
      if ((from->flags & g_unguarded) != 0 && !canary_lives(from->stack, from->sp)) stack_has_overflowed(from);
      if (from->flags & g_fp_environment) {  // such a one never leaves by a short lap, so this thread's own are in mp->fp
        from->fp = arch::save_fp();
        arch::load_fp(mp->fp);
      }
      if (from->flags & g_background) end_background(mp->pp);
      if (from->flags & g_bubbled) left = parking_in_bubble(from);
    }
    const bool committed = commit(from);
    if (__builtin_expect(!mp->pp, 0)) mp->leaving.store(false, std::memory_order_release);  // [mo:leaving] pairs with the acquire in unwind_all.cpp
    WEFT_INVARIANT(self()->locks == 0, "schedule: holding locks", self()->locks);
    if (__builtin_expect(special, 0)) {
      if (left) parked_in_bubble(left, committed);
      if (hooked && (committed || !mp->pp)) leave_hooks(mp, from);
      else if (hooked) from->wakeup.store(hooks_stay, std::memory_order_relaxed);
    }
    if (committed) return;
    if (!mp->pp) {  // called off, but its P is gone
      from->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
      return put_global(from);
    }
    gp = from;  // called off: it goes straight on
    s = slice::inherit;
    if (runnable* chosen = mp->chosen) {  // what it had chosen for us instead waits its turn again
      mp->chosen = nullptr;
      put_next(mp->pp, chosen);
      wakep();
    }
  }
}

}  // namespace weft
