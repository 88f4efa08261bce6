// sched/retake.cpp: see retake.hpp, and in_runtime.hpp for why a P can be taken without the holder's doing anything.
// Source: Go's retake, handoffp and exitsyscall (proc.go), where a P is taken from system calls only.
#include "sched/retake.hpp"

#include <time.h>

#include <algorithm>
#include <cerrno>

#include "sched/upcalls.hpp"
#include "work/netpoll.hpp"

namespace weft {

void wait_for_taker(m* mp) noexcept {
  const int error = errno;  // on this thread all the while
  for (;;) {
    {
      lock_guard hold(sched.lock);  // a taker decides under it
      if (!mp->taking.load(std::memory_order_acquire)) break;  // [mo:taking]
      // That of stop_the_world(), which has all Ps already. With a lock besides this one it must go on, as in a signal's handler: one
      // who waits for that lock is at rest only when he has had it. It finds no P, and comes to rest in weft or back outside.
      if (self()->locks > 1) break;
    }
    // All mutators are stopped. [mo:stand_still] acquire: with its number, `taking` of the same stop is seen from here on.
    mp->held_up.store(sched.stand_still.load(std::memory_order_acquire), std::memory_order_release);  // [mo:held_up]
    const timespec pause{0, 20'000};
    ::nanosleep(&pause, nullptr);
  }
  errno = error;
}

namespace {

// Calls f if the holder of pp is in user code, and keeps it there until f has returned: it finds `taking` at its next entry, and then
// waits for sched.lock, which we have. The holder, or null.
template <class F>
m* with_holder_outside(p* pp, F f) noexcept {
  if (thieves.no_membarrier) return nullptr;
  m* mp = pp->mp.load(std::memory_order_acquire);  // [mo:p.m]
  if (!mp || mp->in_rt.load(std::memory_order_relaxed)) return nullptr;  // a guess that saves the barrier
  const bool was = mp->taking.load(std::memory_order_relaxed);
  mp->taking.store(true, std::memory_order_seq_cst);  // [mo:taking]
  barrier_on_all_threads();
  // [mo:in_rt] acquire: what it did to the P is seen. It may have given the P up itself, and be back in user code with another.
  const bool outside = !mp->in_rt.load(std::memory_order_acquire) && mp->pp == pp;
  if (outside) f(mp);
  mp->taking.store(was, std::memory_order_release);  // [mo:taking] pairs with the acquire in enter_runtime()
  return outside ? mp : nullptr;
}

}  // namespace

m* take_p_locked(p* pp) noexcept {
  return with_holder_outside(pp, [&](m* mp) {
    mp->pp = nullptr;
    pp->mp.store(nullptr, std::memory_order_relaxed);
    pp->status.store(p::state::idle, std::memory_order_relaxed);
    pp->call_seen.store(0, std::memory_order_relaxed);  // another M counts its own
  });
}

m* take_p_from_call_locked(p* pp) noexcept {
  m* mp = take_p_locked(pp);
  if (mp && (mp->calls.load(std::memory_order_relaxed) & 1) == 0) {
    mp->displaced = true;
    sched.displaced.fetch_add(1, std::memory_order_relaxed);
  }
  return mp;
}

bool visit_p_locked(p* pp, void (*f)(p* pp, void* arg) noexcept, void* arg) noexcept {
  return with_holder_outside(pp, [&](m*) { f(pp, arg); }) != nullptr;
}

void want_p_locked(p* pp) noexcept {
  // [mo:p.m] acquire, pairs with the release in acquirep(): what the thread is.
  if (const m* mp = pp->mp.load(std::memory_order_acquire); mp && mp->own) __atomic_store_n(&mp->own->wanted, 1u, __ATOMIC_RELAXED);
}

void give_up_wanted_p(m* mp) noexcept {
  enter_runtime(mp);
  bool sysmon_is_to_hand_over = false;
  if (p* pp = mp->pp) {
    lock_guard hold(sched.lock);
    // The request may be an old one, meant for somebody else; and who has stopped the world keeps its P.
    const bool stops = sched.stopping.load(std::memory_order_relaxed);
    const bool wanted = pp->give_up_at == laps_of(pp) && sched.displaced.load(std::memory_order_relaxed) < most_displaced();
    if (pp->status.load(std::memory_order_relaxed) == p::state::running && (stops || wanted)) {
      mp->displaced = true;
      sched.displaced.fetch_add(1, std::memory_order_relaxed);
      bump(pp->count.displaced);
      static_cast<void>(releasep(mp));
      if (stops) {
        p_stopped_locked(pp);
      } else {
        pp->give_up_at = UINT64_MAX;
        pp->link = sched.given_ps;
        sched.given_ps = pp;
        sysmon_is_to_hand_over = true;
      }
    }
  }
  leave_runtime(mp);
  if (sysmon_is_to_hand_over) wake_sysmon();
}

bool has_work(p* pp) noexcept { return !pp->queue.empty() || !pp->forked.empty() || (task_hooks.any && task_hooks.any(pp)) || sched.global.size() != 0 || sched.background.size() != 0; }

namespace {

bool any_timers() noexcept {
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++)
    if (const p* pp = sched.ps[i].load(std::memory_order_acquire); pp && pp->timers.earliest() != timer_heap::never) return true;  // [mo:procs]
  return false;
}

}  // namespace

void handoffp(p* pp) noexcept {
  std::int64_t due = timer_heap::never;
  {
    lock_guard hold(sched.lock);
    if (sched.stopping.load(std::memory_order_relaxed)) return p_stopped_locked(pp);
    // Nobody waits for timers and the network: the new holder will, when it finds nothing else. And if all other Ps are idle, nobody
    // but it would look at their timers either.
    const bool last = sched.idle_p_count.load(std::memory_order_relaxed) == sched.procs.load(std::memory_order_relaxed) - 1;
    const bool no_poller = sched.last_poll.load(std::memory_order_relaxed) != 0 &&
                           (netpoll_waiters() > 0 || pp->timers.earliest() != timer_heap::never || (last && any_timers()));
    if (!has_work(pp) && !no_poller) {
      put_idle_p_locked(pp);
      due = pp->timers.earliest();
      pp = nullptr;
    }
  }
  if (pp) startm(pp, false);
  else if (due != timer_heap::never) wake_poller(due, who_else::nobody);  // who waits there may not know of the last of them
}

namespace {

bool may_have_p_locked(const m* mp) noexcept {
  if (sched.stopping.load(std::memory_order_relaxed)) return false;
  const std::uint16_t gate = sched.gate.load(std::memory_order_relaxed);
  return gate == 0 || !mp->curg || (mp->curg->flags & gate) != 0;  // else it goes to a queue, and to the gate
}

enum class guess : std::uint8_t { none, may_last, lasts };

// As far as one knows without a clock at each call: the monitor has seen the M of pp in this very call, or it is one of the next few there.
guess guess_call(const p* pp) noexcept {
  const m* mp = pp->mp.load(std::memory_order_acquire);                            // [mo:p.m]
  const std::uint64_t calls = mp ? mp->calls.load(std::memory_order_acquire) : 0;  // [mo:calls]
  if ((calls & 1) == 0) return guess::none;
  if (calls == pp->call_seen.load(std::memory_order_relaxed)) return guess::lasts;
  return pp->guesses.load(std::memory_order_relaxed) > 0 ? guess::may_last : guess::none;
}

}  // namespace

// The barrier takes 1 to 50 us, and the lock is held meanwhile: to queue is better than to wait for it, and the more processors share it, the
// less of the time may go to this.
bool retake_old_p(m* mp) noexcept {
  static std::int64_t next = 0;  // guarded by sched.lock
  p* pp = mp->old_p;
  if (!pp || thieves.no_membarrier || guess_call(pp) == guess::none || !sched.lock.try_lock()) return false;
  m* from = nullptr;
  bool can_guess_no_more = false;
  const std::int64_t begin = os::now_ns();
  if (const auto is = guess_call(pp); is != guess::none && begin >= next && may_have_p_locked(mp)) {
    const int left = std::max(pp->guesses.load(std::memory_order_relaxed) - 1, 0);
    from = take_p_from_call_locked(pp);
    pp->guesses.store(from && is == guess::lasts ? p::guesses_after_long_call : left, std::memory_order_relaxed);
    can_guess_no_more = pp->guesses.load(std::memory_order_relaxed) == 0;
    const std::int64_t end = os::now_ns();
    next = end + (end - begin) * (sched.procs.load(std::memory_order_relaxed) - 1) / 2;
  }
  if (from) {
    bump(pp->count.taken_back);
    acquirep(mp, pp);
  }
  sched.lock.unlock();
  if (can_guess_no_more) wake_sysmon();  // which may have gone to sleep for long, as it had nothing to take
  return from != nullptr;
}

bool regain_p(m* mp) noexcept {
  refuse_in_forked_child();
  lock_guard hold(sched.lock);
  if (!may_have_p_locked(mp)) return false;
  p* pp = sched.waiting_ps;
  if (pp) {
    sched.waiting_ps = pp->link;
    pp->link = nullptr;
  } else {
    pp = get_idle_p_locked(mp->old_p);
  }
  if (!pp) return false;
  acquirep(mp, pp);
  return true;
}

int most_displaced() noexcept { return std::max(sched.procs.load(std::memory_order_relaxed), 4); }

}  // namespace weft
