// sched/syscall.cpp: calls that may block the thread (design D10). Source: Go's entersyscall and exitsyscall (proc.go).
// A short call only says that it is one: two stores, and sysmon takes the P if it lasts 20 us. One that is known to be long hands
// its P over before it begins. Either way the goroutine gets a P again when it comes back, or queues for one while its thread sleeps.
#include <weft/blocking.hpp>

#include <cerrno>

#include "sched/park.hpp"
#include "sched/retake.hpp"

namespace weft::detail {

namespace {

bool commit_queue(g* gp) noexcept {
  gp->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
  put_global(gp);
  return true;
}

m* caller() noexcept {
  m* mp = self()->mp;
  return mp && mp->curg ? mp : nullptr;
}

}  // namespace

bool enter_call(call_kind kind) noexcept {
  m* mp = caller();
  if (!mp || (mp->curg->flags & g_in_call) != 0) return false;
  WEFT_INVARIANT(self()->locks == 0, "entersyscall: holding locks", self()->locks);
  mp->curg->flags |= g_in_call;
  mp->curg->status.store(g_status::syscall, std::memory_order_relaxed);  // [mo:own] for dumps
  mp->old_p = mp->pp;
  // [mo:calls] release, pairs with the acquire in sysmon's look.
  mp->calls.store(mp->calls.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  if (kind == call_kind::known_to_block || thieves.no_membarrier) {
    enter_runtime(mp);
    p* pp = mp->pp ? releasep(mp) : nullptr;
    leave_runtime(mp);
    if (pp) handoffp(pp);
  } else if (__builtin_expect(sched.sysmon_deep.load(std::memory_order_relaxed), 0)) {
    wake_sysmon();
  }
  return true;
}

namespace {

// Out of line: the address of errno must not be remembered over leave_stack(), which may change threads.
[[gnu::noinline]] int get_errno() noexcept { return errno; }
[[gnu::noinline]] void set_errno(int value) noexcept { errno = value; }

// The P was taken, or given up. Out of line: a call that kept its P needs none of the registers that a change of stacks does.
[[gnu::noinline]] void come_back_without_p(m* mp, g* gp) noexcept {
  const int error = get_errno();
  if (regain_p(mp)) {
    gp->status.store(g_status::running, std::memory_order_relaxed);  // [mo:own]
    leave_runtime(mp);
  } else {
    leave_stack(mp, gp, nullptr, &commit_queue);
  }
  set_errno(error);
}

}  // namespace

void leave_call() noexcept {
  m* mp = self()->mp;
  g* gp = mp->curg;
  if ((gp->flags & g_in_call) == 0) return;  // it has waited in there, and has a P as any other
  enter_runtime(mp);
  end_call(mp, gp);
  if (__builtin_expect(mp->pp == nullptr, 0)) return come_back_without_p(mp, gp);
  gp->status.store(g_status::running, std::memory_order_relaxed);  // [mo:own]
  leave_runtime(mp);
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
