// sync/shared_mutex.cpp: see <weft/shared_mutex.hpp>. What it promises is Go's RWMutex's; the words below are all of it.
//
// state_ is one word: flags, and the readers that are counted here. The slow halves set `guard` in it, work on a copy, and give
// it back in one store with what they made of it: nobody touches the lock after letting the next owner in, who may destroy it.
//
//   open                              readers count themselves in by compare-exchange
//   open, biased                      readers count themselves in and out on their own thread (thread_counts.hpp); none here
//   closed                            a writer has announced itself: it waits until the barrier is over
//   closed, draining                  the first writer in the list waits until the readers are gone; who leaves last lets it in
//   closed, held                      a writer has it
// `residue`: the bias has ended, and readers of its time may still be inside. How many there are inside is always what is
// counted here plus, with bias or residue, the sum over all threads; neither part is ever below 0, so when a writer has it both
// are 0. A reader that finds the bias gone right after counting itself in takes that back, and looks whether a writer had
// counted it: such a moment can make the sum too high, never too low. Summing up needs no snapshot, for while it is
// closed nobody is added for good: what has left since makes the true number lower.
//
// 24 bytes, as Go's: a handful of a million locks are hot, and only those take a slot in the threads' counters (1,023 of
// them; who comes later does without). Writers are handed the lock in order: Go lets them compete, which is faster
// when many write, and costs a mutex more in each lock.
#include <weft/shared_mutex.hpp>

#include <sched.h>

#include "base/throw.hpp"
#include "sync/thread_counts.hpp"
#include "sync/waiting.hpp"
#include "work/thieves.hpp"

namespace weft {

namespace detail {

namespace {

constexpr std::uint64_t guard = 1, closed = 2, held = 4, draining = 8, waiting = 16, biased = 32, residue = 64;
constexpr std::uint64_t one_read = 1 << 7;  // how often it was locked for reading since the last writer: 13 bits
constexpr std::uint64_t reads = 0x1fff * one_read;
constexpr unsigned slot_shift = 20;  // 10 bits
constexpr std::uint64_t slot_bits = (thread_counts::slots - 1ull) << slot_shift;
constexpr std::uint64_t one_reader = 1ull << 32;

// A barrier on all threads costs a writer some microseconds: a tenth of what so many reads cost when threads compete for state_.
constexpr std::uint64_t reads_before_bias = 4096 * one_read;

constexpr unsigned slot_of(std::uint64_t s) noexcept { return static_cast<unsigned>((s & slot_bits) >> slot_shift); }
constexpr std::uint32_t readers_of(std::uint64_t s) noexcept { return static_cast<std::uint32_t>(s >> 32); }

// Modulo 2^32, as each count is: one that only ever locks, while others unlock, counts without end.
std::int32_t sum_over_threads(unsigned slot) noexcept {
  std::uint32_t sum = 0;
  // [mo:rw.count] acquire, pairs with the releases in add(): what readers did is seen.
  for (thread_counts* c = all_thread_counts(); c; c = c->next) sum += c->readers[slot].n.load(std::memory_order_acquire);
  return static_cast<std::int32_t>(sum);
}

/// Whether no reader is inside. Under the guard.
bool is_empty(std::uint64_t s) noexcept {
  if (readers_of(s) != 0) return false;
  if ((s & (biased | residue)) == 0) return true;
  const std::int32_t sum = sum_over_threads(slot_of(s));
  // While readers still come, one that came on a thread we have passed already may go on one that we have not.
  if (sum < 0 && (s & biased) == 0) fatal("sync: RUnlock of unlocked RWMutex");
  return sum <= 0;
}

std::uint32_t add(thread_counts* c, unsigned slot, int n) noexcept {
  atomic<std::uint32_t>& count = c->readers[slot].n;
  const std::uint32_t now = count.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(n);
  count.store(now, std::memory_order_release);  // [mo:rw.count]
  return now;
}

// An unlock too many and one on another thread look the same to a thread that counts: both may bring it below where it began.
// Each time that it gets lower than it has been since then, unlock_shared() asks the sum. So an unlock too many by a thread
// whose readers stay with it is noticed at once, others where a writer sums up; beside a reader that is inside, none is, as
// in Go. With slow checks a shared count of the same readers tells at once, always.
bool lower_than_ever(thread_counts* c, unsigned slot, std::uint32_t now) noexcept {
  // [mo:own] relaxed: only a hint where to look
  return static_cast<std::int32_t>(now - c->readers[slot].lowest.load(std::memory_order_relaxed)) < 0;
}
void forget_lowest(unsigned slot) noexcept {
  for (thread_counts* c = all_thread_counts(); c; c = c->next) {
    c->readers[slot].lowest.store(c->readers[slot].n.load(std::memory_order_relaxed), std::memory_order_relaxed);  // [mo:own]
  }
}

#if WEFT_SLOW_CHECKS
void count_again(unsigned slot, int n) noexcept {
  static atomic<std::int64_t> inside[thread_counts::slots];
  // [mo:own] relaxed: it must not order what the counts by thread do not
  if (inside[slot].fetch_add(n, std::memory_order_relaxed) + n < 0) fatal("sync: RUnlock of unlocked RWMutex");
}
#else
void count_again(unsigned, int) noexcept {}
#endif

struct waiter : sudog {
  bool writes = false;
};

}  // namespace

struct shared_mutex_impl {
  static std::uint64_t take_guard(shared_mutex& m) noexcept {
    self()->locks++;
    for (unsigned round = 0;; round++) {
      std::uint64_t s = m.state_.load(std::memory_order_relaxed);
      // [mo:rw.guard] acquire, pairs with the release in give_guard().
      if ((s & guard) == 0 && m.state_.compare_exchange_weak(s, s | guard, std::memory_order_acquire, std::memory_order_relaxed)) return s;
      if (round < 64) cpu_relax();
      else ::sched_yield();
    }
  }
  static void give_guard(shared_mutex& m, std::uint64_t s) noexcept {
    // [mo:rw.guard] release; also pairs, as [mo:rw.lock], with the acquires of who locks without the guard.
    m.state_.store(s, std::memory_order_release);
    self()->locks--;
  }

  struct parked_state {
    shared_mutex* m;
    std::uint64_t s;
  };
  static bool commit_give_guard(g* gp) noexcept {
    const auto* p = static_cast<parked_state*>(gp->commit_arg);
    give_guard(*p->m, p->s);
    return true;
  }

  // No writer has it any more, or the one that drained it gave up: all readers that wait get in, then it is the next writer's.
  static std::uint64_t pass_on(shared_mutex& m, std::uint64_t s, wake_list& woken) noexcept {
    s &= ~(closed | held | draining);
    sudog* first_writer = nullptr;
    for (sudog *w = m.waiters_.first, *next; w; w = next) {
      next = w->next;
      if (static_cast<waiter*>(w)->writes) {
        if (!first_writer) first_writer = w;
      } else if (remove(m.waiters_, w), claim(w)) {
        s += one_reader;
        woken.add(w);
      }
    }
    if (!first_writer) return s & ~waiting;
    return let_writer_in(m, s | closed | draining, woken);
  }

  // Closed and draining, or to be so: if the readers are gone the first writer has it.
  static std::uint64_t let_writer_in(shared_mutex& m, std::uint64_t s, wake_list& woken) noexcept {
    if (!is_empty(s)) return s;
    sudog* w = m.waiters_.first;
    while (w && !(static_cast<waiter*>(w)->writes && claim(w))) {
      sudog* next = w->next;
      // One that has just given up, but does not know yet who is first: it is off the list, and has nothing to pass on.
      if (static_cast<waiter*>(w)->writes) remove(m.waiters_, w);
      w = next;
    }
    if (!w) return pass_on(m, s, woken);  // all gave up
    remove(m.waiters_, w);
    woken.add(w);
    s = (s & ~(draining | residue)) | closed | held;
    return m.waiters_.first ? s | waiting : s & ~waiting;
  }

  static bool claim(sudog* w) noexcept {
    // [mo:claim] acq_rel, as in dequeue().
    return !w->contested || w->gp->claimed.exchange(1, std::memory_order_acq_rel) == 0;
  }

  // Parks in the list, which gives the guard back.
  static wait_end wait(shared_mutex& m, std::uint64_t s, waiter& me, wait_reason why, const wait_limit& limit) {
    parked_state p{&m, s | waiting};
    if (!me.contested) {
      park_anyone(me.gp, &commit_give_guard, &p, why);
      return wait_end::woken;
    }
    const wait_end end = park_until(me.gp, &commit_give_guard, &p, why, limit);
    if (end == wait_end::woken) return end;
    wake_list woken;
    s = take_guard(m);
    if (me.queued) {
      bool first = me.writes;
      for (sudog* w = me.prev; w && first; w = w->prev) first = !static_cast<waiter*>(w)->writes;
      remove(m.waiters_, &me);
      if (!m.waiters_.first) s &= ~waiting;
      if (first && (s & draining)) s = pass_on(m, s, woken);
    }
    give_guard(m, s);
    woken.inject_all();
    unwind_if_due();
    return end;
  }

  static waiter* fill(waiter& me, bool writes, const wait_limit& limit) noexcept {
    me.gp = current_or_thread();
    me.writes = writes;
    me.contested = needs_contest(limit);
    if (me.contested) begin_contest(me.gp);
    return &me;
  }

  // Closed and not held, by the caller: after this the readers in the sum are all there are. Under the guard, which is given
  // back meanwhile.
  static std::uint64_t end_bias(shared_mutex& m, std::uint64_t s) noexcept {
    give_guard(m, (s & ~biased) | residue);
    barrier_on_all_threads();  // [mo:rw.bias]
    return take_guard(m);
  }

  // Enough was read without a writer: from now on readers count themselves by thread, also those that are inside.
  static std::uint64_t begin_bias(std::uint64_t s) noexcept {
    s &= ~reads;
    if (thieves.no_membarrier) return s;
    if (slot_of(s) == 0) s |= static_cast<std::uint64_t>(take_slot()) << slot_shift;
    if (slot_of(s) == 0) return s;
    forget_lowest(slot_of(s));
    count_again(slot_of(s), static_cast<int>(readers_of(s)));
    add(this_thread_counts(), slot_of(s), static_cast<int>(readers_of(s)));
    return (s & (slot_bits | waiting)) | biased;
  }

  // Somebody has left, or was never really in.
  static void look_whether_empty(shared_mutex& m) noexcept {
    wake_list woken;
    std::uint64_t s = take_guard(m);
    if (s & draining) s = let_writer_in(m, s, woken);
    give_guard(m, s);
    woken.inject_all();
  }

  // There seem to have been more unlocks than locks. The sum is no snapshot while readers come and go: what a writer finds is.
  // A correct program should not meet that writer, so one sum is not enough.
  [[gnu::cold, gnu::noinline]] static void look_whether_too_many(shared_mutex& m, thread_counts* c, unsigned slot,
                                                                 std::uint32_t now) noexcept {
    // Further down after every eighth more, so that who only ever unlocks here does not sum up each time.
    const std::uint32_t drift = static_cast<std::int32_t>(now) < 0 ? 0 - now : now;
    c->readers[slot].lowest.store(now - drift / 8, std::memory_order_relaxed);  // [mo:own]
    for (int i = 0; i < 4; i++) {
      if (sum_over_threads(slot) >= 0) return;
    }
    if (m.try_lock()) m.unlock();
  }

  /// The state was biased: in, if it still is.
  static bool enter_biased(shared_mutex& m, std::uint64_t s) noexcept {
    thread_counts* c = this_thread_counts();
    add(c, slot_of(s), 1);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // [mo:rw.bias] the writer's barrier makes it one of the processor's
    // [mo:rw.lock] acquire, pairs with the release of the writer that was here last.
    if (__builtin_expect((m.state_.load(std::memory_order_acquire) & biased) != 0, 1)) return count_again(slot_of(s), 1), true;
    add(c, slot_of(s), -1);
    look_whether_empty(m);
    return false;
  }

  static void unlock_shared_slow(shared_mutex& m) noexcept {
    wake_list woken;
    std::uint64_t s = take_guard(m);
    const unsigned slot = slot_of(s);
    if (readers_of(s) != 0) s -= one_reader;
    else if ((s & biased) || ((s & residue) && sum_over_threads(slot) > 0)) count_again(slot, -1), add(this_thread_counts(), slot, -1);
    else fatal("sync: RUnlock of unlocked RWMutex");
    if (s & draining) s = let_writer_in(m, s, woken);
    give_guard(m, s);
    woken.inject_all();
  }
};

}  // namespace detail

using namespace detail;
using impl = shared_mutex_impl;

shared_mutex::~shared_mutex() {
  if (waiters_.first) destroyed_in_use("weft::shared_mutex");
  if (slot_of(state_.load(std::memory_order_relaxed)) == 0) return;
  // A reader that has counted itself out, and so let us in, may not have looked at state_ for the last time.
  for (thread_counts* c = all_thread_counts(); c; c = c->next) {
    while (c->leaving.load(std::memory_order_acquire) != 0) ::sched_yield();  // [mo:rw.leaving]
  }
  const std::uint64_t s = state_.load(std::memory_order_relaxed);
  // The slot's next owner begins at 0. Who destroys a lock while it is read keeps the slot from being used again.
  const std::int64_t sum = (s & (biased | residue)) ? sum_over_threads(slot_of(s)) : 0;
  if (sum < 0) fatal("sync: RUnlock of unlocked RWMutex");
  if (sum == 0) give_slot(slot_of(s));
}

wait_end shared_mutex::lock_until(const wait_limit& limit) {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  // [mo:rw.lock] acquire, pairs with the releases of those that had it before.
  if (__builtin_expect((s & ~(reads | slot_bits)) == 0 && state_.compare_exchange_strong(s, (s & slot_bits) | closed | held, std::memory_order_acquire, std::memory_order_relaxed), 1)) return wait_end::woken;
  waiter me;
  s = impl::take_guard(*this);
  if (s & closed) {
    push_back(waiters_, impl::fill(me, true, limit));
    return impl::wait(*this, s, me, wait_reason::rwmutex_lock, limit);
  }
  s = (s & ~reads) | closed;
  if (s & biased) s = impl::end_bias(*this, s);
  if (is_empty(s)) {
    impl::give_guard(*this, (s & ~residue) | held);
    return wait_end::woken;
  }
  push_front(waiters_, impl::fill(me, true, limit));
  return impl::wait(*this, s | draining, me, wait_reason::rwmutex_lock, limit);
}

bool shared_mutex::try_lock() noexcept {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  // [mo:rw.lock]
  if ((s & ~(reads | slot_bits)) == 0 && state_.compare_exchange_strong(s, (s & slot_bits) | closed | held, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  wake_list woken;
  s = impl::take_guard(*this);
  bool got = false;
  // Before it costs a barrier: if readers seem to be inside, they were a moment ago.
  if ((s & closed) == 0 && is_empty(s)) {
    s |= closed;
    if (s & biased) s = impl::end_bias(*this, s);
    got = is_empty(s);
    if (got) s = (s & ~(reads | residue)) | held;
    else s = impl::pass_on(*this, s, woken);
  }
  impl::give_guard(*this, s);
  woken.inject_all();
  return got;
}

void shared_mutex::unlock() noexcept {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  // [mo:rw.lock] release, pairs with the acquires of whoever locks next.
  if (__builtin_expect((s & (guard | held | waiting)) == held && state_.compare_exchange_strong(s, s & ~(closed | held), std::memory_order_release, std::memory_order_relaxed), 1)) return;
  wake_list woken;
  s = impl::take_guard(*this);
  if ((s & held) == 0) fatal("sync: Unlock of unlocked RWMutex");
  s = impl::pass_on(*this, s, woken);
  impl::give_guard(*this, s);
  woken.inject_all();
}

void shared_mutex::lock_shared() {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  if (__builtin_expect((s & biased) != 0, 1)) {
    if (__builtin_expect(impl::enter_biased(*this, s), 1)) return;
    s = state_.load(std::memory_order_relaxed);
  }
  while ((s & (guard | closed | biased)) == 0 && (s & reads) < reads_before_bias) {
    // [mo:rw.lock] acquire
    if (state_.compare_exchange_weak(s, s + one_reader + one_read, std::memory_order_acquire, std::memory_order_relaxed)) return;
  }
  static_cast<void>(lock_shared_until({}));
}

wait_end shared_mutex::lock_shared_until(const wait_limit& limit) {
  waiter me;
  std::uint64_t s = impl::take_guard(*this);
  if (s & closed) {
    push_back(waiters_, impl::fill(me, false, limit));
    return impl::wait(*this, s, me, wait_reason::rwmutex_rlock, limit);
  }
  if ((s & biased) == 0 && (s & reads) >= reads_before_bias) s = impl::begin_bias(s);
  if (s & biased) count_again(slot_of(s), 1), add(this_thread_counts(), slot_of(s), 1);
  else s += one_reader + one_read;
  impl::give_guard(*this, s);
  return wait_end::woken;
}

bool shared_mutex::try_lock_shared() noexcept {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  if ((s & biased) && impl::enter_biased(*this, s)) return true;
  s = impl::take_guard(*this);
  const bool got = (s & closed) == 0;
  if (got && (s & biased)) count_again(slot_of(s), 1), add(this_thread_counts(), slot_of(s), 1);
  else if (got) s += one_reader;
  impl::give_guard(*this, s);
  return got;
}

void shared_mutex::unlock_shared() noexcept {
  std::uint64_t s = state_.load(std::memory_order_relaxed);
  if (__builtin_expect((s & biased) != 0, 1)) {
    count_again(slot_of(s), -1);
    thread_counts* c = this_thread_counts();
    // [mo:rw.leaving] release, pairs with the acquire in the destructor; set before the count, which lets a writer in.
    c->leaving.store(1, std::memory_order_relaxed);
    const std::uint32_t now = add(c, slot_of(s), -1);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // [mo:rw.bias]
    if (__builtin_expect((state_.load(std::memory_order_relaxed) & biased) == 0, 0)) impl::look_whether_empty(*this);
    else if (__builtin_expect(lower_than_ever(c, slot_of(s), now), 0)) impl::look_whether_too_many(*this, c, slot_of(s), now);
    c->leaving.store(0, std::memory_order_release);  // [mo:rw.leaving]
    return;
  }
  while ((s & (guard | closed | biased | residue)) == 0 && readers_of(s) != 0) {
    // [mo:rw.lock] release, pairs with the acquire of the writer that comes next.
    if (state_.compare_exchange_weak(s, s - one_reader, std::memory_order_release, std::memory_order_relaxed)) return;
  }
  impl::unlock_shared_slow(*this);
}

}  // namespace weft
