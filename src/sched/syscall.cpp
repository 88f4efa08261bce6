// sched/syscall.cpp: calls that may block the thread (design D10). Source: Go's entersyscall and exitsyscall (proc.go).
// A short call only says that it is one: two stores, and sysmon takes the P if it lasts 20 us. One that is known to be long hands
// its P over before it begins. Either way the goroutine gets a P again when it comes back, or queues for one while its thread sleeps. It also
// takes back the P that it had from whoever has gone into a long call with it meanwhile, and gives that to those who wait, if any do: so calls
// on one P begin as fast as others end, and not at the pace at which the monitor looks.
// And when it has been asked to give way it does so at the call's end, as Go's goroutines do at the next function after it.
#include <weft/blocking.hpp>

#include "sched/park.hpp"
#include "sched/retake.hpp"

namespace weft::detail {

namespace {

bool commit_queue(g* gp) noexcept {
  gp->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
  put_global(gp);
  return true;
}

}  // namespace

call_mark enter_call(call_kind kind) noexcept {
  thread_state* t = self();
  m* mp = t->mp;
  g* gp = mp ? mp->curg : nullptr;
  if (!gp || (gp->flags & g_in_call) != 0) return {nullptr, nullptr};
  WEFT_INVARIANT(t->locks == 0, "entersyscall: holding locks", t->locks);
  gp->flags |= g_in_call;
  gp->status.store(g_status::syscall, std::memory_order_relaxed);  // [mo:own] for dumps
  mp->old_p = mp->pp;
  // [mo:calls] release, pairs with the acquire in sysmon's look.
  mp->calls.store(mp->calls.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  const bool hands_over = kind == call_kind::known_to_block || thieves.no_membarrier;
  if (hands_over || __builtin_expect(!mp->pp, 0)) {
    enter_runtime(mp);
    p* pp = mp->pp && hands_over ? releasep(mp) : nullptr;
    // It had lost it while it computed: now it does not compute, and others may be displaced. In a forked child the lock may be nobody's.
    if (!pp && !forked_child.load(std::memory_order_relaxed)) {
      lock_guard hold(sched.lock);
      no_longer_displaced(mp);
    }
    leave_runtime(mp);
    if (pp) handoffp(pp);
  } else if (__builtin_expect(sched.sysmon_deep.load(std::memory_order_relaxed), 0)) {
    wake_sysmon();
  }
  return {mp, gp};
}

namespace {

// Not who has stopped the world, which would wait for itself. The P is ours, and only we can have made it another than `running`.
bool may_give_way(const p* pp) noexcept { return pp->status.load(std::memory_order_relaxed) == p::state::running; }

// With a P that has just been in a call of another's: nobody waits for it.
bool is_wanted_by_nobody(p* pp) noexcept {
  return !has_work(pp) && (pp->attention.load(std::memory_order_relaxed) & ~attention_always) == 0 &&
         pp->timers.earliest() > os::now_ns();
}

bool goes_on(m* mp, const g* gp) noexcept {
  if (forked_child.load(std::memory_order_relaxed)) return true;  // with a P or without: its others are not there
  if (mp->pp) return !may_give_way(mp->pp);
  if (regain_p(mp)) return true;
  // Not one of the background, which would have it before its turn.
  return (gp->flags & g_background) == 0 && retake_old_p(mp) && is_wanted_by_nobody(mp->pp);
}

[[gnu::always_inline]] inline bool is_asked_for_nothing(const m* mp) noexcept {
  const p* pp = mp->pp;
  // [mo:attention] relaxed: a bit that is missed now is seen at the end of the next call, or at the next long lap.
  return __builtin_expect(pp && (pp->attention.load(std::memory_order_relaxed) & (attention_preempt | attention_help)) == 0, 1);
}

[[gnu::always_inline]] inline void go_straight_on(m* mp, g* gp) noexcept {
  gp->status.store(g_status::running, std::memory_order_relaxed);  // [mo:own]
  leave_runtime(mp);
}

// The P was taken, or given up, or others want a turn with it (sysmon.cpp), or somebody is about to decide. Out of line: a call that just goes
// on needs none of the registers that a change of stacks does.
[[gnu::noinline]] void come_back_otherwise(m* mp, g* gp, bool entered) noexcept {
  const int error = *mp->err;  // by the pointer that mp has: never by name, whose address a compiler may remember over a switch
  if (!entered) wait_for_taker(mp);
  end_call(mp, gp);
  if (is_asked_for_nothing(mp) || goes_on(mp, gp)) {
    go_straight_on(mp, gp);
  } else {
    leave_stack(mp, gp, nullptr, &commit_queue);
    mp = this_m();
  }
  *mp->err = error;
}

}  // namespace

// By what enter_call() found, and with no look at `errno`: the first touch of a page after a system call may be a miss of the TLB, and misses
// that follow from each other (the thread's state, its M, the goroutine, the P) add up (docs/benchmarks.md).
void leave_call(call_mark mark) noexcept {
  m* mp = static_cast<m*>(mark.on);
  g* gp = mark.by;
  if ((gp->flags & g_in_call) == 0) return;  // it has waited in there, and has a P as any other; else it has not left its thread
  const bool entered = try_enter_runtime(mp);
  if (!entered || !is_asked_for_nothing(mp)) return come_back_otherwise(mp, gp, entered);
  end_call(mp, gp);
  go_straight_on(mp, gp);
}

}  // namespace weft::detail

namespace weft {

int set_max_threads(int n) {
  lock_guard hold(sched.lock);
  const int before = sched.max_ms;
  if (n > 0) sched.max_ms = n;
  return before;
}

}  // namespace weft
