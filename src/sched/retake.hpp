// sched/retake.hpp: Ps that change hands other than by their M going idle.
#pragma once

#include "sched/in_runtime.hpp"
#include "sched/lap.hpp"

namespace weft {

/// Takes pp away from the M that holds it, which it returns, if that is in user code: null when it is not, or holds it no more, or where
/// there is no membarrier. The P is then nobody's, and the caller hands it over. Under sched.lock.
[[nodiscard]] m* take_p_locked(p* pp) noexcept;
/// The same; should the holder not be in a call, or no longer, its goroutine goes on displaced. Under sched.lock.
[[nodiscard]] m* take_p_from_call_locked(p* pp) noexcept;
/// Calls f(pp, arg) in the place of the M that holds pp, if that is in user code, and leaves it its P: it waits meanwhile if it wants to come
/// back. False, and f is not called, where take_p_locked() would give null. Under sched.lock.
[[nodiscard]] bool visit_p_locked(p* pp, void (*f)(p* pp, void* arg) noexcept, void* arg) noexcept;
/// The goroutine that runs on pp gives it up or yields at its next safe point, if it has any. Under sched.lock: a thread that has a P
/// under it does not end.
void want_p_locked(p* pp) noexcept;
/// At a safe point: the caller goes on without its P, if that is what is wanted, and sysmon hands it over. Allocates nothing, calls
/// nobody: the caller may be in a signal handler, or an allocator.
void give_up_wanted_p(m* mp) noexcept;
/// Gives a P that is nobody's to a thread, if there is something to do; else it is idle.
void handoffp(p* pp) noexcept;
/// Gives the calling M a P if one is free; prefers the one it had. False: all are in use, or its goroutine may not pass the gate.
[[nodiscard]] bool regain_p(m* mp) noexcept;
/// Gives the calling M the P that it had, out of another's call: of one that lasts, as far as one knows, for taking it costs a barrier on all
/// threads. Others may wait for that P. False: it was not tried, or did not succeed.
[[nodiscard]] bool retake_old_p(m* mp) noexcept;
/// The goroutine that ran here without its P has left this thread, or has one again. On a thread that has taken sched.lock since it
/// lost the P: sysmon holds it until it has told.
inline void no_longer_displaced(m* mp) noexcept {
  if (__builtin_expect(!mp->displaced.load(std::memory_order_relaxed), 1)) return;
  mp->displaced.store(false, std::memory_order_relaxed);
  sched.displaced.fetch_sub(1, std::memory_order_relaxed);
}
template <class F>
void for_each_m(F f) noexcept {
  for (m_node* n = sched.all_ms.load(std::memory_order_acquire); n; n = n->next) f(n->get());  // [mo:all_ms]
}
/// Whether code of the user's runs on the thread of mp, which has no P: a goroutine's, or foreign code that one has called on g0 (call_c.cpp).
/// Once it is not so, it stays so until mp gets a P. Any thread.
[[nodiscard]] WEFT_UNSANITIZED inline bool is_among_users(m* mp) noexcept {
  const std::uint32_t before = mp->visits.load(std::memory_order_acquire);  // [mo:visits] pairs with visit_to_g0
  if ((before & 1) != 0 || __atomic_load_n(&mp->curg, __ATOMIC_ACQUIRE) != nullptr) return true;
  return mp->visits.load(std::memory_order_relaxed) != before;  // one has begun in between
}
/// The laps that pp has made.
[[nodiscard]] inline std::uint64_t laps_of(const p* pp) noexcept {
  return pp->count.switches.load(std::memory_order_relaxed) + pp->count.short_switches.load(std::memory_order_relaxed);
}
/// The most goroutines that are displaced at once; past it, hogs are reported.
[[nodiscard]] int most_displaced() noexcept;
/// Whether there is something on pp, or for all, that a holder of pp would run.
[[nodiscard]] bool has_work(p* pp) noexcept;

/// Where a goroutine keeps a timer: its P's heap; without a P, the first one's, which never goes. Inside weft.
[[nodiscard]] inline timer_heap& timers_here(m* mp) noexcept {
  p* pp = mp->pp;
  return (__builtin_expect(pp != nullptr, 1) ? pp : sched.ps[0].load(std::memory_order_acquire))->timers;  // [mo:procs]
}

}  // namespace weft
