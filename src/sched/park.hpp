// sched/park.hpp: how a goroutine stops, and how it starts again.
// No wake-up is lost: the waiter puts its sudog on the list *before* it parks, and the list's lock is released by `commit`, which
// runs on another stack (g0's or the next goroutine's) *after* the context is saved. Whoever finds the sudog therefore finds a
// goroutine that is off its stack. With the lock released before park(), ready() could run one goroutine on two threads.
//
// Short and long lap. schedule() on g0 is the truth and has every duty. But when the P asks for nothing and the next goroutine
// is at hand, the parking one switches straight to it: one switch instead of two. Both save the same kind of context and
// both arrive at land(), so either may resume what the other stopped.
#pragma once

#include "sched/carrier.hpp"
#include "sched/in_runtime.hpp"
#include "sched/lap.hpp"
#include "sched/lockcheck.hpp"

namespace weft {

/// Arrived on a stack: does for `from` what had to wait until it was off its own. Called first thing after each gogo. Without a
/// commit we come from g0, which has done it, and has left the runtime for us (execute.cpp).
[[gnu::always_inline]] inline void land(commit_fn commit, g* from) noexcept {
  if (commit != nullptr) {
    if (__builtin_expect(!commit(from), 0)) {  // called off: it goes on next
      from->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
      put_next(this_m()->pp, from);
    }
    thread_state* t = self();
    WEFT_INVARIANT(t->locks == 0, "schedule: holding locks", t->locks);
    leave_runtime(t->mp);
  }
}

/// Whether the one that leaves still holds a lock, which its commit releases on the other side.
enum class holding : std::uint8_t { nothing, maybe_a_lock };

/// A short lap took r off the queue and cannot run it: g0 will, within the same slice.
inline void choose(m* mp, runnable* r, slice s) noexcept {
  WEFT_INVARIANT(mp->chosen == nullptr, "schedule: two were chosen");
  mp->chosen = r;
  mp->chosen_slice = s;
}

/// Whether the P asks for nothing and the leaving goroutine is of the usual kind. Owner of pp only; pp may be null.
[[gnu::always_inline]] inline bool may_lap_short(const p* pp, const g* leaving) noexcept {
  // [mo:attention] relaxed: a bit that is missed now is seen 61 laps later at the latest; its condition is read by the long lap.
  return __builtin_expect(pp && pp->attention.load(std::memory_order_relaxed) == 0 && pp->laps_left > 1 && (leaving->flags & g_long_only) == 0, 1);
}

/// A special one that was taken off the queue: the goroutine to switch to, or null: it is chosen, for the long lap.
[[gnu::always_inline]] inline g* next_for(m* mp, p* pp, runnable* taken, slice s, holding what) noexcept {
  g* next = static_cast<g*>(taken);
  if ((taken->flags & g_coroutine) != 0) next = resting_carrier_for(pp, taken);
  // A first run takes a stack, with page faults and perhaps system calls: not under a lock (13 % of `parked` at procs 2).
  else if ((next->flags & g_long_only) != 0 || what == holding::maybe_a_lock) next = nullptr;
  else bind_stack(pp, next);
  if (!next) choose(mp, taken, s);
  return next;
}

/// The next goroutine if a short lap may run it, else null: then g0 looks. Owner of pp only; pp may be null.
[[gnu::always_inline]] inline g* short_lap(m* mp, p* pp, g* leaving, holding what) noexcept {
  if (!may_lap_short(pp, leaving)) {
    if (sched.lockcheck) look_for_locks(leaving);
    return nullptr;
  }
  pp->laps_left--;
  slice s;
  runnable* taken = pp->queue.get(s);
  if (__builtin_expect(taken == nullptr, 0)) return nullptr;
  g* next = static_cast<g*>(taken);
  if ((taken->flags & g_special) != 0) {
    next = next_for(mp, pp, taken, s, what);
    if (!next) return nullptr;
  }
  bump(pp->tick, std::uint32_t{s == slice::fresh});
  return next;
}

/// The running goroutine's thread changes over to `next`, or to g0 when that is null: all but the switch, and telling the
/// sanitizers. Where to go on.
[[gnu::always_inline]] inline void* change_over(m* mp, p* pp, g* gp, g* next) noexcept {
  // In plain stores: whoever reads the exception state and errno of a parked goroutine has it from its own later switch.
  eh_globals* eh = mp->eh;  // the same before and after: the compiler does not know
  int* err = mp->err;
  gp->eh = *eh;
  gp->saved_errno = *err;
  mp->curg = next;
  if (__builtin_expect(next == nullptr, 0)) return mp->g0_sp;
  bump(pp->count.short_switches);
  *eh = next->eh;
  *err = next->saved_errno;
  next->mp = mp;
  next->status.store(g_status::running, std::memory_order_relaxed);  // [mo:own] for dumps
  return take_context(next);
}

/// The last thing before the switch.
[[gnu::always_inline]] inline void tell_sanitizers([[maybe_unused]] m* mp, [[maybe_unused]] g* gp, [[maybe_unused]] g* next,
                                                   [[maybe_unused]] sanitizers::leaving how = sanitizers::leaving::for_now) noexcept {
#if WEFT_ASAN || WEFT_TSAN
  if (next) sanitizers::leave(gp->sanitizer, next->sanitizer, next->stack.low, next->stack.size(), how);
  else sanitizers::leave(gp->sanitizer, mp->g0_sanitizer, nullptr, 0, how);
#endif
}

/// Leaves the running goroutine's stack, to come back when somebody switches to it.
[[gnu::always_inline]] inline void leave_stack(m* mp, g* gp, g* next, commit_fn commit) noexcept {
  void* load = change_over(mp, mp->pp, gp, next);
  tell_sanitizers(mp, gp, next);
  g* from = gp;
  arch::gogo(&gp->sp, load, commit, from);
  sanitizers::arrive(gp->sanitizer, from ? nullptr : &this_m()->g0_sanitizer);
  land(commit, from);
}

/// Stops the calling goroutine until exactly one ready(). `commit` gets the goroutine; `arg` lies in its commit_arg.
/// Runs on: a goroutine's stack. Switches: yes. Allocates: no. Locks held: at most those that commit releases.
[[gnu::always_inline]] inline void park(commit_fn commit, void* arg, wait_reason why) noexcept {
  m* mp = this_m();
  enter_runtime(mp);
  g* gp = mp->curg;
  p* pp = mp->pp;
  gp->set_why(why);
  gp->commit_arg = arg;
  if (__builtin_expect(pp != nullptr, 1)) bump(pp->count.parks);
  else mp->leaving.store(true, std::memory_order_relaxed);  // [mo:leaving] before the status
  // [mo:status] release, pairs with the acquire in ready(). Already now: nobody can find gp before commit lets go.
  gp->status.store(g_status::waiting, std::memory_order_release);
  leave_stack(mp, gp, short_lap(mp, pp, gp, holding::maybe_a_lock), commit);
}

/// park() for whoever calls: a goroutine parks; a thread that weft did not make sleeps on a futex until ready().
void park_anyone(runnable* caller, commit_fn commit, void* arg, wait_reason why) noexcept;

}  // namespace weft
