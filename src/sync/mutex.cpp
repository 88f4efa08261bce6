// sync/mutex.cpp: the slow halves of mutex. Source: Go's internal/sync/mutex.go, its two modes:
// normal: waiters queue, but one that is woken competes with newcomers, who are running already and mostly win: fast.
// starving: once somebody has waited for 1 ms the mutex is handed to the first in the queue, and newcomers queue: fair.
#include <weft/mutex.hpp>

#include <thread>


#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "os/clock.hpp"
#include "sched/lap.hpp"
#include "sync/semaphore.hpp"

namespace weft {

namespace {

constexpr std::int64_t starvation_ns = 1'000'000;
constexpr int spins = model_build ? 1 : 4;  // one, so that a model comes to the sleep behind them

// Spinning pays only when the holder runs on another processor, and nobody here could run instead.
bool worth_spinning(int round) noexcept {
  static const bool several = std::thread::hardware_concurrency() > 1;
  if (round >= spins || !several) return false;
  m* mp = self()->mp;
  const p* pp = mp ? +mp->pp : nullptr;  // read once: it may be taken away
  if (!pp) return true;
  return sched.procs.load(std::memory_order_relaxed) > sched.idle_p_count.load(std::memory_order_relaxed) + 1 && pp->queue.empty();
}

}  // namespace

void mutex::lock_slow() {
  std::int64_t waiting_since = 0;
  bool starved = false, awoke = false;
  int round = 0;
  std::uint32_t old = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((old & (locked | starving)) == locked && worth_spinning(round)) {
      // Say that somebody is awake, so that unlock() wakes nobody else.
      if (!awoke && (old & woken) == 0 && old / one_waiter != 0 && state_.compare_exchange_weak(old, old | woken, std::memory_order_relaxed)) awoke = true;
      for (int i = 0; i < 30; i++) cpu_relax();
      round++;
      old = state_.load(std::memory_order_relaxed);
      continue;
    }
    std::uint32_t wanted = old;
    if ((old & starving) == 0) wanted |= locked;  // else newcomers queue
    if (old & (locked | starving)) wanted += one_waiter;
    if (starved && (old & locked)) wanted |= starving;
    if (awoke) wanted &= ~woken;
    // [mo:mutex] acquire, pairs with the releases in unlock() and unlock_slow().
    if (!state_.compare_exchange_weak(old, wanted, std::memory_order_acquire, std::memory_order_relaxed)) continue;
    if ((old & (locked | starving)) == 0) return;
    // Who was woken and lost goes to the front again.
    const auto where = waiting_since != 0 ? detail::queue_end::front : detail::queue_end::back;
    if (waiting_since == 0) waiting_since = os::now_ns();
    detail::acquire(sema_, where, wait_reason::mutex_lock);
    starved = starved || os::now_ns() - waiting_since > starvation_ns;
    old = state_.load(std::memory_order_relaxed);
    if (old & starving) {
      // Handed over: it is ours, and still marked as locked. Leave the mode when we are the last or did not wait long.
      std::uint32_t change = 0 - one_waiter;
      if (!starved || old / one_waiter == 1) change -= starving;
      state_.fetch_add(change, std::memory_order_acquire);  // [mo:mutex]
      return;
    }
    awoke = true;
    round = 0;
  }
}

void mutex::unlock_slow() noexcept {
  std::uint32_t old = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((old & locked) == 0) fatal("sync: unlock of unlocked mutex");
    const bool hand_over = (old & starving) != 0;
    const bool wake = hand_over || (old / one_waiter != 0 && (old & woken) == 0);
    std::uint32_t wanted = hand_over ? old : old - locked;
    if (wake && !hand_over) wanted = (wanted - one_waiter) | woken;
    // One step that unlocks and decides whom to wake: after it, state_ is not touched again, so whoever locks next may
    // destroy the mutex; who is to be woken keeps it alive until release() has let it go.
    // [mo:mutex] release
    if (!state_.compare_exchange_weak(old, wanted, std::memory_order_release, std::memory_order_relaxed)) continue;
    if (!wake) return;
    // In starving mode the first waiter owns it now: let it run at once, in our time slice.
    if (detail::release(sema_) && hand_over && current_g()) give_way();
    return;
  }
}

}  // namespace weft
