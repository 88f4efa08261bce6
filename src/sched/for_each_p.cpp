// sched/for_each_p.cpp: see for_each_p.hpp. A ragged barrier: each P passes it when it can, and goes on at once.
//
// Who asks is the stopper meanwhile (stop.cpp), without stopping anything: so there is one of these at a time, the number of Ps stays as
// it is, and no stop, pause or end of run() begins beside it; those that want to give their P up or make laps while they wait for
// their turn. It marks all Ps, raises attention_safe_point, and then goes round until none is marked. A marked P is in one of four hands:
//
//   nobody's     in the list of idle ones, of those that want a thread or were given up: leaves it under sched.lock only, so the asker calls f for it
//   an M on g0   finds the bit at its next long lap. So does an M that is about to get the P from a list or from another M: a P
//                changes hands together with its mark, and the first lap of whoever gets it is long, for the bit is set
//   a goroutine  that is inside weft: as good as on its way to a lap, or back to user code
//   a goroutine  in user code, a blocking call included: the asker calls f in its place, by the handshake of in_runtime.hpp. The P stays
//                where it is; if the goroutine comes back just then, it waits for sched.lock
//
// The last two may change into each other as long as they like; each round (100 us) looks anew, and a goroutine that never makes a lap is in
// user code sooner or later. The asker is inside weft all the time, so its own P, which it visits first, is not taken from it; whoever
// waits for that P waits for the length of this. sysmon, or who comes back from a call, may retake a marked P: then it is one that changes hands.
// Invariants
//   S1  safe_point, safe_point_wait and f itself are under sched.lock. safe_point_wait is the number of marked Ps below sched.procs, so f
//       is called once for each P, and safe_points_done is woken once.
//   S2  f finds on its P all that the last holder did, and the next holder what f did: through sched.lock, or by the pair in_rt and
//       taking where the holder does not take it.
// The mark is stored before the bit (release), and the lap takes the bits (acquire) before it looks for the mark: a lap that finds the bit
// and not the mark comes after f. A mark that a lap overlooks because it took the bits before this one was raised is found one lap later.
#include "sched/for_each_p.hpp"

#include "sched/retake.hpp"

namespace weft {

namespace {

void visit_locked(p* pp, void*) noexcept {
  if (!pp->safe_point.load(std::memory_order_relaxed)) return;
  pp->safe_point.store(false, std::memory_order_relaxed);
  sched.safe_point_fn(pp, sched.safe_point_arg);
  WEFT_INVARIANT(sched.safe_point_wait > 0, "forEachP: sched.safePointWait != 0", sched.safe_point_wait);  // S1
  if (--sched.safe_point_wait == 0) sched.safe_points_done.wake();
}

void visit_list_locked(p* first) noexcept {
  for (p* pp = first; pp; pp = pp->link) visit_locked(pp, nullptr);
}

template <class F>
void for_each_marked(F f) noexcept {
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    p* pp = sched.ps[i].load(std::memory_order_relaxed);
    if (pp->safe_point.load(std::memory_order_relaxed)) f(pp);
  }
}

// [mo:attention] release: the mark was stored before.
void raise() noexcept {
  for_each_marked([](p* pp) { pp->attention.fetch_or(attention_safe_point, std::memory_order_release); });
}

void go_round() noexcept {
  {
    lock_guard hold(sched.lock);
    visit_list_locked(sched.idle_ps);
    visit_list_locked(sched.waiting_ps);
    visit_list_locked(sched.given_ps);
  }
  for_each_marked([](p* pp) {
    lock_guard hold(sched.lock);  // for each one anew: there is a barrier in it
    static_cast<void>(visit_p_locked(pp, &visit_locked, nullptr));
  });
}

bool become_stopper() noexcept {
  while (!try_become_stopper()) {
    if (!current_g() && (!sched.running.load(std::memory_order_relaxed) || sched.ending.load(std::memory_order_relaxed))) return false;
    give_way();
  }
  return true;
}

}  // namespace

void run_safe_point(p* pp) noexcept {
  lock_guard hold(sched.lock);
  visit_locked(pp, nullptr);
}

bool for_each_p(void (*f)(p* pp, void* arg) noexcept, void* arg) noexcept {
  if (!become_stopper()) return false;
  m* mp = this_m();
  {
    const in_runtime inside(mp);
    sched.safe_points_done.clear();
    {
      lock_guard hold(sched.lock);
      WEFT_INVARIANT(sched.safe_point_wait == 0, "forEachP: sched.safePointWait != 0", sched.safe_point_wait);
      sched.safe_point_fn = f;
      sched.safe_point_arg = arg;
      const int n = sched.safe_point_wait = sched.procs.load(std::memory_order_relaxed);
      if (n == 0) sched.safe_points_done.wake();
      for (int i = 0; i < n; i++) sched.ps[i].load(std::memory_order_relaxed)->safe_point.store(true, std::memory_order_relaxed);
      if (mp && mp->pp) visit_locked(mp->pp, nullptr);
    }
    do {
      raise();
      go_round();
    } while (!sched.safe_points_done.sleep_for(100'000));
  }
  no_longer_stopper();
  return true;
}

}  // namespace weft
