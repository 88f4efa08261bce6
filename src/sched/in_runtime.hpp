// sched/in_runtime.hpp: a P may be taken away from a thread that runs user code, and from no other (design D3, D10).
// A goroutine that computes for 10 ms, or that is in a blocking call, holds a P that others could use. So sysmon, or whoever
// stops the world or comes back from a call, takes it; the goroutine runs on without one. But inside weft a thread works on its P with plain loads and
// stores. Which of the two it is, taker and holder settle without a locked instruction on the holder's side:
//
//   holder   in_rt = true;  look at `taking`:  false: the P stays ours until in_rt is false again
//                                              true:  wait until the taker has made up its mind, then read the P anew
//   taker    (sched.lock)  taking = true;  barrier on all threads (membarrier);  look at in_rt:
//                                              true:  leave it alone;   false: mp->pp = null, the P is ours
//            taking = false
//
// Without the barrier both could miss the other (a store and then a load on either side: Dekker). Where there is no membarrier
// nobody takes a P: calls that may block give theirs up themselves (syscall.cpp), and who computes at safe points (safepoint.cpp).
// On g0 in_rt is always true. A goroutine enters at the first line of what touches its P, and leaves when it is back in its own code:
// for one that parked, that is at the end of its landing, on whatever thread that is.
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// The slow half of enter(): a taker is about to decide.
[[gnu::cold]] void wait_for_taker(m* mp) noexcept;

/// False: a taker is about to decide, and the caller enters by enter_runtime().
[[nodiscard, gnu::always_inline]] inline bool try_enter_runtime(m* mp) noexcept {
  mp->in_rt.store(true, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // [mo:taking] pairs with the barrier in take_p_locked()
  // [mo:taking] acquire: with false, what the last taker did to mp->pp is seen.
  return __builtin_expect(!mp->taking.load(std::memory_order_acquire), 1);
}
[[gnu::always_inline]] inline void leave_runtime(m* mp) noexcept {
  mp->in_rt.store(false, std::memory_order_release);  // [mo:in_rt] pairs with the acquire in take_p_locked()
}
/// For leaves that can do without their P: false when they are inside already, or have to wait; then nothing has been entered.
[[nodiscard, gnu::always_inline]] inline bool enter_runtime_at_once(m* mp) noexcept {
  if (__builtin_expect(mp->in_rt.load(std::memory_order_relaxed), 0)) return false;
  if (try_enter_runtime(mp)) return true;
  leave_runtime(mp);  // whatever the taker does, we have not looked at the P
  return false;
}
[[gnu::always_inline]] inline void enter_runtime(m* mp) noexcept {
  if (!try_enter_runtime(mp)) wait_for_taker(mp);
}

/// gp's blocking call, on mp, has ended, or has become a wait.
inline void end_call(m* mp, g* gp) noexcept {
  gp->flags &= static_cast<std::uint16_t>(~g_in_call);
  mp->calls.store(mp->calls.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // [mo:calls]
}

/// For a call that does not park. Nests; on g0, and on threads that weft did not make, it does nothing.
class [[nodiscard]] in_runtime {
 public:
  [[gnu::always_inline]] explicit in_runtime(m* mp) noexcept : mp_(mp && !mp->in_rt.load(std::memory_order_relaxed) ? mp : nullptr) {
    if (mp_) enter_runtime(mp_);
  }
  [[gnu::always_inline]] ~in_runtime() {
    if (mp_) leave_runtime(mp_);
  }
  in_runtime(const in_runtime&) = delete;
  in_runtime& operator=(const in_runtime&) = delete;

 private:
  m* mp_;
};

}  // namespace weft
