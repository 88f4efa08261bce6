// sync/wait_group.cpp: see <weft/wait_group.hpp>. Source: Go's sync/waitgroup.go.
#include <weft/wait_group.hpp>

#include <weft/error.hpp>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "sched/bubble.hpp"
#include "sched/park_until.hpp"
#include "sched/unwind.hpp"
#include "sync/semaphore.hpp"

namespace weft {

namespace {

std::int32_t count_of(std::uint64_t state) noexcept { return static_cast<std::int32_t>(state >> 32); }
std::uint32_t waiters_of(std::uint64_t state) noexcept { return static_cast<std::uint32_t>(state); }

}  // namespace

// With bubbles about: it belongs to the one in which it was first added to, until its count is 0 again.
[[gnu::cold, gnu::noinline]] void wait_group::check_bubble() {
  constexpr const char* mixed = "sync: WaitGroup.Add called from inside and outside synctest bubble";
  const std::uint32_t here = bubble_id_here();
  std::uint32_t its = bubble_.load(std::memory_order_relaxed);
  if (here == 0) {
    if (its != 0) fatal(mixed);
  } else if (its == 0 && bubble_.compare_exchange_strong(its, here, std::memory_order_relaxed)) {
    if (count_of(state_.load(std::memory_order_relaxed)) != 0) fatal(mixed);
  } else if (its != here) {
    fatal("sync: WaitGroup.Add called from multiple synctest bubbles");
  }
}

void wait_group::add(int n) {
  if (any_bubbles()) check_bubble();
  const auto change = static_cast<std::uint64_t>(static_cast<std::int64_t>(n)) << 32;
  // [mo:wait_group] acq_rel: release what was done before, for who waits; acquire all others' when ours is the last.
  const std::uint64_t state = state_.fetch_add(change, std::memory_order_acq_rel) + change;
  const std::int32_t count = count_of(state);
  std::uint32_t waiters = waiters_of(state);
  if (count < 0) throw panic("sync: negative WaitGroup counter");
  if (waiters != 0 && n > 0 && count == n) throw panic("sync: WaitGroup misuse: Add called concurrently with Wait");
  if (count == 0 && any_bubbles()) bubble_.store(0, std::memory_order_relaxed);
  if (count > 0 || waiters == 0) return;
  // The count is 0 and somebody waits: nobody may add now, or it is misused.
  std::uint64_t expected = state;
  if (!state_.compare_exchange_strong(expected, 0, std::memory_order_acq_rel, std::memory_order_relaxed))  // [mo:wait_group]
    throw panic("sync: WaitGroup misuse: Add called concurrently with Wait");
  for (; waiters > 0; waiters--) detail::release(sema_);
}

bool wait_group::begin_wait() noexcept {
  std::uint64_t state = state_.load(std::memory_order_acquire);  // [mo:wait_group]
  do {
    if (count_of(state) == 0) return false;
  } while (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel, std::memory_order_acquire));  // [mo:wait_group]
  return true;
}

void wait_group::end_wait() {
  if (state_.load(std::memory_order_acquire) != 0) throw panic("sync: WaitGroup is reused before previous Wait has returned");  // [mo:wait_group]
}

void wait_group::wait() { static_cast<void>(wait_within({})); }

detail::wait_end wait_group::wait_within(const detail::wait_limit& limit) {
  using detail::wait_end;
  if (world_unwinds()) unwind_if_due();
  // [mo:wait_group]
  if (limit.deadline == 0) return count_of(state_.load(std::memory_order_acquire)) == 0 ? wait_end::woken : wait_end::timed_out;
  if (!begin_wait()) return wait_end::woken;
  const wait_on_bubble where(current_or_thread(), bubble_.load(std::memory_order_relaxed));
  const wait_end end = detail::acquire(sema_, detail::queue_end::back, wait_reason::wait_group_wait, limit);
  if (end != wait_end::woken) {
    // One off those that wait, unless the count is 0 or they were all taken off, each for a permit: then ours is on its way. (With the
    // count at 0 add() is between its two steps, and takes it for misuse when the state is another at the second. Others that began
    // to wait since then are a misuse: add() before the last wait() has returned.)
    std::uint64_t state = state_.load(std::memory_order_acquire);  // [mo:wait_group]
    while (waiters_of(state) != 0 && count_of(state) != 0) {
      if (!state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;  // [mo:wait_group]
      unwind_if_due();
      return end;
    }
    while (!detail::try_acquire(sema_)) give_way();
  }
  end_wait();
  return wait_end::woken;
}

}  // namespace weft
