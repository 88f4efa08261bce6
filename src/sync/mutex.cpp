// sync/mutex.cpp: the slow halves of mutex. Source: Go's internal/sync/mutex.go, its two modes:
// normal: waiters queue, but one that is woken competes with newcomers, who are running already and mostly win: fast.
// starving: once somebody has waited for 1 ms the mutex is handed to the first in the queue, and newcomers queue: fair.
#include <weft/mutex.hpp>

#include <thread>


#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "os/clock.hpp"
#include "sched/lap.hpp"
#include "sched/unwind.hpp"
#include "sync/mutex_wait.hpp"
#include "sync/semaphore.hpp"

namespace weft {

namespace {

constexpr std::int64_t starvation_ns = 1'000'000;
constexpr int spins = model_build ? 1 : 4;  // one, so that a model comes to the sleep behind them

// Spinning pays only when the holder runs on another processor, and nobody here could run instead.
bool worth_spinning(int round) noexcept {
  static const bool several = std::thread::hardware_concurrency() > 1;
  if (round >= spins || !several) return false;
  m* mp = this_m();
  const p* pp = mp ? +mp->pp : nullptr;  // read once: it may be taken away
  if (!pp) return true;
  return sched.procs.load(std::memory_order_relaxed) > sched.idle_p_count.load(std::memory_order_relaxed) + 1 && pp->queue.empty();
}

}  // namespace

// For one that was queued and is no longer, without having been woken. It is still counted among those that wait; but
// unlock_slow() may have counted on it already: in normal mode it takes one off the count and gives a wake-up, in starving mode
// it marks the hand-over and gives the mutex. The count is of nobody in particular, and there is never more than one gift under
// way: a wake-up comes with the bit `woken`, which keeps the next one back, and only who was woken begins the starving mode. So
//   - while there are others to take what is on its way, one off the count is all: they take it;
//   - when we are the last, it is ours, and we wait for it: its giver is between two steps. Were we to go, the mutex would stay
//     locked for ever, or the giver look for us in a mutex that somebody has destroyed meanwhile.
mutex::given mutex::give_up() noexcept {
  std::uint32_t old = state_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint32_t waiters = old / one_waiter;
    const bool ours = (old & starving) != 0 ? (old & handing_over) != 0 && waiters == 1 : waiters == 0;
    if (ours) {
      const bool taken = detail::try_acquire(sema_);
      if (!taken) give_way();
      old = state_.load(std::memory_order_relaxed);
      if (taken) return (old & starving) != 0 ? given::the_mutex : given::a_wake_up;
      continue;
    }
    std::uint32_t wanted = old - one_waiter;
    if (waiters == 1) wanted &= ~starving;  // there is nobody left to hand it to
    if (state_.compare_exchange_weak(old, wanted, std::memory_order_relaxed)) return given::nothing;
  }
}

void mutex::lock_slow() { static_cast<void>(lock_until({})); }

detail::wait_end mutex::lock_until(const detail::wait_limit& limit) {
  using detail::wait_end;
  detail::mutex_wait w(*this);
  for (wait_end end = wait_end::woken;;) {
    const auto next = w.attempt(end == wait_end::woken);
    if (next == detail::mutex_wait::next::locked) return wait_end::woken;
    if (next == detail::mutex_wait::next::too_late) return unwind_if_due(), end;
    if (limit.none()) detail::acquire(sema_, w.where(), wait_reason::mutex_lock);  // lock() cannot fail
    else end = detail::acquire(sema_, w.where(), wait_reason::mutex_lock, limit);
    if (end != wait_end::woken && give_up() == given::nothing) return unwind_if_due(), end;
    if (w.woken()) return wait_end::woken;
  }
}

namespace detail {

mutex_wait::next mutex_wait::attempt(bool in_time) noexcept {
  constexpr std::uint32_t locked = mutex::locked, woken = mutex::woken, starving = mutex::starving;
  auto& state = m_.state_;
  std::uint32_t old = state.load(std::memory_order_relaxed);
  for (int round = 0;;) {
    if (in_time && (old & (locked | starving)) == locked && worth_spinning(round)) {
      // Say that somebody is awake, so that unlock() wakes nobody else.
      if (!awoke_ && (old & woken) == 0 && old / mutex::one_waiter != 0 && state.compare_exchange_weak(old, old | woken, std::memory_order_relaxed)) awoke_ = true;
      for (int i = 0; i < 30; i++) cpu_relax();
      round++;
      old = state.load(std::memory_order_relaxed);
      continue;
    }
    std::uint32_t wanted = old;
    const bool too_late = !in_time && (old & (locked | starving)) != 0;  // woken after its time: one look, no more
    if ((old & starving) == 0) wanted |= locked;  // else newcomers queue
    if ((old & (locked | starving)) && !too_late) wanted += mutex::one_waiter;
    if (starved_ && (old & locked) && !too_late) wanted |= starving;
    if (awoke_) wanted &= ~woken;
    // [mo:mutex] acquire, pairs with the releases in unlock() and unlock_slow().
    if (!state.compare_exchange_weak(old, wanted, std::memory_order_acquire, std::memory_order_relaxed)) continue;
    if ((old & (locked | starving)) == 0) return next::locked;
    if (too_late) return next::too_late;
    // Who was woken and lost goes to the front again.
    where_ = since_ != 0 ? queue_end::front : queue_end::back;
    if (since_ == 0) since_ = os::now_ns();
    return next::wait;
  }
}

bool mutex_wait::woken() noexcept {
  starved_ = starved_ || os::now_ns() - since_ > starvation_ns;
  std::uint32_t old = m_.state_.load(std::memory_order_relaxed);
  if (old & mutex::starving) {
    // Handed over: it is ours, and still marked as locked. Leave the mode when we are the last or did not wait long. The others
    // that wait may give up at any time: were the mode to outlive the last of them, try_lock() would never succeed again.
    std::uint32_t wanted;
    do {
      wanted = old - mutex::one_waiter - mutex::handing_over;
      if (!starved_ || old / mutex::one_waiter == 1) wanted &= ~mutex::starving;
    } while (!m_.state_.compare_exchange_weak(old, wanted, std::memory_order_acquire, std::memory_order_relaxed));  // [mo:mutex]
    return true;
  }
  awoke_ = true;
  return false;
}

}  // namespace detail

void mutex::unlock_slow() noexcept {
  std::uint32_t old = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((old & locked) == 0) fatal("sync: unlock of unlocked mutex");
    const bool hand_over = (old & starving) != 0;
    const bool wake = hand_over || (old / one_waiter != 0 && (old & woken) == 0);
    std::uint32_t wanted = hand_over ? old | handing_over : old - locked;
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
