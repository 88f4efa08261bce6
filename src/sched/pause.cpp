// sched/pause.cpp: see <weft/pause.hpp>. The gate in schedule() is closed to all but one.
// It closes while the world is stopped: then no goroutine has a P but the caller, and each gets one again in two ways only: from a queue,
// which leads through the gate, or by regain_p() and retake_old_p(), which look at it. All laps are long meanwhile (acquirep() and the long lap itself see
// to that), for a short one knows no gate. So nobody has to be looked for: what lies on queues, and whatever is put there later, is
// carried to `held` by those who look for work, and the Ps go idle.
// It opens under sched.lock, where who has found it closed looks again before it puts somebody aside (set_aside() in schedule.cpp):
// nobody is left behind.
#include <weft/pause.hpp>

#include "sched/retake.hpp"

namespace weft {

namespace {

constexpr std::uint16_t no_longer_pauser = static_cast<std::uint16_t>(~g_pauser);

// How many others run code of the user's. They have no P, and are to come to the gate at the end of what they next do in weft.
int call_in_locked(const m* me) noexcept {
  int n = 0;
  for_each_m([&](m* mp) {
    if (mp == me || !is_among_users(mp)) return;
    n++;
    if (mp->own) __atomic_store_n(&mp->own->asked, 1u, __ATOMIC_RELAXED);  // an M that ends takes the lock before
  });
  return n;
}

bool try_pause(g* gp, bool& active) noexcept {
  const stopped_world no_others;
  lock_guard hold(sched.lock);
  active = !sched.unwinding.load(std::memory_order_relaxed);
  if (!active) return true;
  if (sched.gate.load(std::memory_order_relaxed) != 0) return false;
  gp->flags |= g_pauser;
  sched.pauses = 1;
  sched.gate.store(g_pauser, std::memory_order_relaxed);
  const m* mp = this_m();
  mp->pp->attention.fetch_or(attention_always, std::memory_order_relaxed);
  call_in_locked(mp);
  return true;
}

// What the caller has made runnable, and not seen off yet, comes after those that were set aside.
void let_go_locked(p* pp) noexcept {
  slice s;
  while (runnable* r = pp ? pp->queue.get(s) : nullptr) sched.held.push_back(r);
  sched.gate.store(0, std::memory_order_relaxed);
  // Those that have not started stay where they lie.
  g_list later = sched.global.get(sched.global.in_order(), sched.ps[0].load(std::memory_order_relaxed)->fresh, 0, 0);
  while (runnable* r = sched.held.pop_front()) (r->flags & g_background ? sched.background : sched.global).put(r);
  sched.global.put(later);
}

}  // namespace

paused_goroutines::paused_goroutines() noexcept {
  g* gp = current_g();
  if (!gp) fatal("paused_goroutines: not called by a goroutine");
  if (gp->cargo) fatal("paused_goroutines: called by a coroutine");
  if (gp->flags & g_pauser) {
    sched.pauses++;
    return;
  }
  while (!try_pause(gp, active_)) give_way();
}

paused_goroutines::~paused_goroutines() {
  if (!active_) return;
  g* gp = current_g();
  if (!gp || !(gp->flags & g_pauser)) fatal("paused_goroutines: destroyed by another goroutine");
  if (--sched.pauses > 0) return;
  m* mp = this_m();
  const in_runtime inside(mp);
  {
    lock_guard hold(sched.lock);
    gp->flags &= no_longer_pauser;
    let_go_locked(mp->pp);
  }
  wakep();
}

int paused_goroutines::still_running() const noexcept {
  m* me = this_m();
  const in_runtime inside(me);
  lock_guard hold(sched.lock);
  return call_in_locked(me);
}

}  // namespace weft
