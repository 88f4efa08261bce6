// sync/reclaim.cpp: see <weft/detail/reclaim.hpp>. Source: the Linux kernel's sleepable RCU.
//
// A section counts itself in and out on one of two sides, `side` at that moment, in the counters of whatever thread it runs
// on (thread_counts.hpp). A side is empty when as many have left it as have entered, summing up who left first: each of
// those is then seen to have entered, so if the sums agree there is nobody who entered and has not left.
// A grace period
//   begins with a barrier on all threads: a section not counted by now will see everything that was unlinked before;
//   waits until the other side is empty (sections that read `side` long ago and entered late),
//   turns `side` round, so that new ones do not keep it from ending, and waits until the side they left is empty.
// Both were empty once after the barrier: every section that ran at the barrier has ended.
#include <weft/detail/reclaim.hpp>

#include "os/clock.hpp"
#include "sched/bubble.hpp"
#include "sync/thread_counts.hpp"
#include "sync/waiting.hpp"
#include "work/thieves.hpp"

namespace weft::detail {

namespace {

atomic<unsigned> side{0};
atomic<std::uint64_t> begun{0}, over{0};
atomic<bool> advancing{false};  // one thread at a time works on the rest
bool turned = false;            // the period that is under way: waits for the second side

bool is_empty(unsigned s) noexcept {
  std::uint64_t left = 0, entered = 0;
  thread_counts* const all = all_thread_counts();
  // [mo:reclaim] acquire, pairs with the release in leave_section().
  for (thread_counts* c = all; c; c = c->next) left += c->left[s].load(std::memory_order_acquire);
  for (thread_counts* c = all_thread_counts(); c; c = c->next) entered += c->entered[s].load(std::memory_order_relaxed);
  return left == entered;
}

/// As far as it goes now.
void advance(std::uint64_t wanted) noexcept {
  while (over.load(std::memory_order_relaxed) < wanted) {
    const unsigned now = side.load(std::memory_order_relaxed);
    if (begun.load(std::memory_order_relaxed) == over.load(std::memory_order_relaxed)) {
      begun.fetch_add(1, std::memory_order_seq_cst);  // [mo:reclaim.begun]
      barrier_on_all_threads();
      turned = false;
    }
    if (!is_empty(now ^ 1)) return;
    if (turned) {
      over.store(begun.load(std::memory_order_relaxed), std::memory_order_release);  // [mo:reclaim.over]
    } else {
      side.store(now ^ 1, std::memory_order_relaxed);
      turned = true;
    }
  }
}

}  // namespace

unsigned enter_section() noexcept {
  const unsigned s = side.load(std::memory_order_relaxed);
  bump(this_thread_counts()->entered[s]);
  fence_after_submit();  // before anything is looked at; see thread_counts.hpp
  return s;
}

void leave_section(unsigned s) noexcept {
  atomic<std::uint64_t>& left = this_thread_counts()->left[s];
  left.store(left.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // [mo:reclaim]
}

std::uint64_t ask_for_grace() noexcept {
  // The next period that begins: its barrier comes after what we have unlinked.
  std::atomic_thread_fence(std::memory_order_seq_cst);  // [mo:reclaim.begun]
  return begun.load(std::memory_order_relaxed) + 1;
}

bool grace_is_over(std::uint64_t number) noexcept {
  // [mo:reclaim.over] acquire, pairs with the release in advance(): what the readers did comes before what we do now.
  if (over.load(std::memory_order_acquire) >= number) return true;
  // [mo:reclaim.turn] acquire and release: from one that advances to the next.
  if (!advancing.exchange(true, std::memory_order_acquire)) {
    advance(number);
    advancing.store(false, std::memory_order_release);  // [mo:reclaim.turn]
  }
  return over.load(std::memory_order_acquire) >= number;  // [mo:reclaim.over]
}

void wait_for_grace(std::uint64_t number) noexcept {
  waiters_core nobody_wakes;
  for (std::int64_t pause_ns = 2'000; !grace_is_over(number); pause_ns = pause_ns < 1'000'000 ? pause_ns * 2 : pause_ns) {
    if (bubble_here()) {  // the readers do not need its time, and it should not pass for this
      give_way();
      continue;
    }
    lock_word(nobody_wakes.lock);
    sudog me;
    static_cast<void>(wait_in(nobody_wakes, me, wait_reason::sleep, {.deadline = os::add_ns(os::now_ns(), pause_ns)}));
    unlock_word(nobody_wakes.lock);
  }
}

}  // namespace weft::detail
