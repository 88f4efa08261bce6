// sync/select.cpp: one of several channel operations, whichever can be done first. Source: Go's select.go.
//
// Go locks all channels, looks, and unlocks all. Here a ready case is found with one lock: a glance without locks makes the
// list of those that look ready, a random one of them is locked and tried, and so on: uniform among the ready, as a random
// order would be, for one random number. Only the answer that *none* is ready needs all locks at once: with one at a time,
// a value could move from a channel not yet looked at to one that was (SELECT-08).
//
// Waiting. Under all locks an entry goes on the list of each channel; gp->claimed makes one waker the winner, which marks
// its entry as served. Afterwards the entries leave the lists, one lock at a time. Until then chan_core::selects keeps
// the channel, though its handles may all be gone and a waker that lost may have emptied its list.
// The entries and the list of locks lie in the waiting frame, which commit still reads while wakers come already. The frame
// stays: commit unlocks the first channel last and touches nothing afterwards, and the woken select locks every channel.
#include <weft/detail/select_core.hpp>

#include <algorithm>
#include <new>

#include "os/clock.hpp"
#include "sched/park.hpp"
#include "sched/park_until.hpp"
#include "sched/unwind.hpp"
#include "sync/chan.hpp"

namespace weft::detail {

namespace {

struct scratch_per_case {
  sudog entry;
  chan_core* locked;
  std::uint32_t candidate;
};
static_assert(sizeof(scratch_per_case) <= select_scratch_per_case && alignof(scratch_per_case) <= 8);

// A thread that weft did not make has no M to lend it random numbers.
[[gnu::noinline]] std::uint32_t below_on_thread(std::uint32_t n) noexcept {
  thread_local random_source random(sched.seed + static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(self())));
  return random.below(n);
}
std::uint32_t below(std::uint32_t n) noexcept {
  m* mp = self()->mp;
  return __builtin_expect(mp != nullptr, 1) ? mp->random.below(n) : below_on_thread(n);
}

// Which cases may be ready. Takes them in random order: any of those that are left with equal chance.
class candidates {
 public:
  explicit candidates(std::uint32_t* room) noexcept : list_(room) {}
  void add(std::uint32_t i) noexcept { list_[size_++] = i; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  std::uint32_t take() noexcept {
    const std::uint32_t at = size_ == 1 ? 0 : below(size_);
    const std::uint32_t i = list_[at];
    list_[at] = list_[--size_];
    return i;
  }

 private:
  std::uint32_t* list_;
  std::uint32_t size_ = 0;
};

// Whether the case might be ready; under its lock also exact, but for entries of selects that were woken by another channel.
[[gnu::always_inline]] inline bool looks_ready(const select_case& k) noexcept {
  const chan_core* c = k.channel;
  const auto glance = [](const auto& field) { return __atomic_load_n(&field, __ATOMIC_RELAXED); };
  if (k.op == select_op::recv) return glance(c->count) != 0 || glance(c->senders.first) != nullptr || glance(c->closed) || (c->clock && is_due(c));
  return glance(c->receivers.first) != nullptr || glance(c->count) < c->capacity || glance(c->closed);
}
// The fields are plain ones, which a thread that has the lock may write meanwhile. What is read is only a hint, but to
// ThreadSanitizer it is a race, so there every case is locked and tried.
[[gnu::always_inline]] inline bool may_be_ready(const select_case& k) noexcept {
#if WEFT_TSAN
  return k.channel != nullptr;
#else
  return k.channel != nullptr && looks_ready(k);
#endif
}

[[gnu::always_inline]] inline chan_status run_locked(const select_case& k, g*& served) noexcept {
  return k.op == select_op::recv ? recv_locked(k.channel, k.element, served) : send_locked(k.channel, k.element, served);
}

wait_list& list_of(const select_case& k) noexcept { return k.op == select_op::recv ? k.channel->receivers : k.channel->senders; }

// The channels of a select, each once, by address: the order in which everybody locks several.
class channel_locks {
 public:
  channel_locks(chan_core** room, const select_case* cases, std::size_t n) noexcept : list_(room) {
    for (std::size_t i = 0; i < n; i++) {
      if (cases[i].channel) list_[size_++] = cases[i].channel;
    }
    cases_ = size_;
    sort();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size_; i++) {
      if (kept == 0 || list_[kept - 1] != list_[i]) list_[kept++] = list_[i];
    }
    size_ = kept;
  }
  void lock() noexcept {
    for (std::size_t i = 0; i < size_; i++) list_[i]->lock.lock();
  }
  /// The first last, and nothing is read after that.
  void unlock() noexcept {
    if (size_ == 0) return;
    for (std::size_t i = size_ - 1; i > 0; i--) list_[i]->lock.unlock();
    list_[0]->lock.unlock();
  }
  /// Cases with a channel, and whether some have the same one.
  [[nodiscard]] std::size_t cases() const noexcept { return cases_; }
  [[nodiscard]] bool shared() const noexcept { return size_ != cases_; }

 private:
  void sort() noexcept {
    if (size_ > 24) return heap_sort();
    for (std::size_t i = 1; i < size_; i++) {
      chan_core* c = list_[i];
      std::size_t j = i;
      for (; j > 0 && list_[j - 1] > c; j--) list_[j] = list_[j - 1];
      list_[j] = c;
    }
  }
  // In place and without recursion: the stack may be small.
  void heap_sort() noexcept {
    for (std::size_t i = size_ / 2; i-- > 0;) sift(i, size_);
    for (std::size_t end = size_; end-- > 1;) {
      chan_core* top = list_[0];
      list_[0] = list_[end];
      list_[end] = top;
      sift(0, end);
    }
  }
  void sift(std::size_t at, std::size_t end) noexcept {
    chan_core* c = list_[at];
    for (std::size_t child; (child = 2 * at + 1) < end; at = child) {
      if (child + 1 < end && list_[child + 1] > list_[child]) child++;
      if (c >= list_[child]) break;
      list_[at] = list_[child];
    }
    list_[at] = c;
  }

  chan_core** list_;
  std::size_t size_ = 0;
  std::size_t cases_ = 0;
};

bool commit_unlock_all(g* gp) noexcept {
  static_cast<channel_locks*>(gp->commit_arg)->unlock();
  return true;
}
bool commit_nothing(g*) noexcept { return true; }

// Takes an entry off its list, if nobody did.
void leave(const select_case& k, sudog* s) noexcept {
  chan_core* c = k.channel;
  c->lock.lock();
  if (s->queued) remove(list_of(k), s);
  c->selects--;
  const bool last = is_abandoned(c);
  c->lock.unlock();
  if (last) destroy(c);
}

select_result wait_for_nothing(g* gp, wait_reason why, std::int64_t deadline) noexcept {
  while (deadline == no_deadline && !world_unwinds()) park_anyone(gp, &commit_nothing, nullptr, why);
  begin_contest(gp);
  static_cast<void>(park_until(gp, &commit_nothing, nullptr, why, deadline));
  return {-1, chan_status::timed_out};
}

constexpr int look_again = -2;  // instead of a case: a timer among them has come, or was changed

// The locks are held: waits on all channels.
select_result wait_on_all(const select_case* cases, std::size_t n, sudog* entries, candidates& order, channel_locks& locks, std::int64_t deadline) noexcept {
  g* gp = current_or_thread();
  begin_contest(gp);
  const auto enqueue = [&](std::size_t i) {
    auto* s = ::new (&entries[i]) sudog();
    s->gp = gp;
    s->element = cases[i].element;
    s->contested = true;
    push_back(list_of(cases[i]), s);
    cases[i].channel->selects++;
  };
  if (!locks.shared()) {
    for (std::size_t i = 0; i < n; i++) {
      if (cases[i].channel) enqueue(i);
    }
  } else {  // the first on a channel's list is served first: none of the cases on one channel is to be preferred
    for (std::size_t i = 0; i < n; i++) {
      if (cases[i].channel) order.add(static_cast<std::uint32_t>(i));
    }
    while (!order.empty()) enqueue(order.take());
  }
  bool again = false;  // when no case is served, or one of a timer, whom only wakes who sets it
  for (std::size_t i = 0; i < n; i++) {
    if (!cases[i].channel || !cases[i].channel->clock) continue;
    deadline = std::min(deadline, cases[i].channel->clock->when);
    again = true;
  }
  bool in_time = true;
  if (deadline != no_deadline || world_unwinds()) in_time = park_until(gp, &commit_unlock_all, &locks, wait_reason::select, deadline);
  else if ((gp->flags & g_thread) == 0) park(&commit_unlock_all, &locks, wait_reason::select);
  else park_anyone(gp, &commit_unlock_all, &locks, wait_reason::select);

  select_result r{-1, chan_status::timed_out};
  for (std::size_t i = 0; i < n; i++) {
    if (!cases[i].channel) continue;
    const sudog& s = entries[i];
    if (s.served) r = {static_cast<int>(i), s.success ? chan_status::done : chan_status::closed};  // only one of the wakers writes them
    if (s.served && !cases[i].channel->clock) again = false;
    leave(cases[i], &entries[i]);
  }
  WEFT_INVARIANT((r.index >= 0) == in_time, "select: bad wakeup");
  if (again) r.index = look_again;
  return r;
}

// Looks again under all locks, and waits.
select_result look_and_wait(const select_case* cases, std::size_t n, sudog* entries, chan_core** locked, std::uint32_t* room, select_limit limit) noexcept {
  channel_locks locks(locked, cases, n);
  locks.lock();
  candidates ready_ones(room);
  for (std::size_t i = 0; i < n; i++) {
    if (cases[i].channel && looks_ready(cases[i])) ready_ones.add(static_cast<std::uint32_t>(i));
  }
  while (!ready_ones.empty()) {
    const std::uint32_t i = ready_ones.take();
    g* served;
    const chan_status now = run_locked(cases[i], served);
    if (now == chan_status::would_block) continue;
    locks.unlock();
    if (served) ready(served);
    return {static_cast<int>(i), now};
  }
  if (limit.what == select_limit::kind::poll || limit.what == select_limit::kind::within) {
    locks.unlock();
    return {-1, limit.what == select_limit::kind::poll ? chan_status::would_block : chan_status::timed_out};
  }
  const std::int64_t deadline = limit.what == select_limit::kind::none ? no_deadline : limit.ns;
  if (locks.cases() == 0) return wait_for_nothing(current_or_thread(), n == 0 && deadline == no_deadline ? wait_reason::select_no_cases : wait_reason::select, deadline);
  return wait_on_all(cases, n, entries, ready_ones, locks, deadline);
}

// No case looked ready.
[[gnu::noinline]] select_result select_slow(const select_case* cases, std::size_t n, sudog* entries, chan_core** locked, std::uint32_t* room, select_limit limit) noexcept {
  if (limit.what == select_limit::kind::within && limit.ns > 0) limit = {select_limit::kind::until, os::add_ns(os::now_ns(), limit.ns)};
  for (;;) {
    const select_result r = look_and_wait(cases, n, entries, locked, room, limit);
    if (r.index != look_again) return r;
    if (g* gp = current_g(); gp && is_to_unwind(gp)) return {-1, chan_status::timed_out};
    if (limit.what == select_limit::kind::until && limit.ns <= os::now_ns()) limit = {select_limit::kind::within, 0};  // a last look
  }
}

}  // namespace

select_result select_cases(const select_case* cases, std::size_t n, void* scratch, select_limit limit) {
  auto* entries = static_cast<sudog*>(scratch);
  auto* locked = reinterpret_cast<chan_core**>(entries + n);
  auto* room = reinterpret_cast<std::uint32_t*>(locked + n);
  candidates maybe(room);
  for (std::size_t i = 0; i < n; i++) {
    if (may_be_ready(cases[i])) maybe.add(static_cast<std::uint32_t>(i));
  }
  const bool late = limit.what == select_limit::kind::until && limit.ns <= os::now_ns();
  if (__builtin_expect(late, 0)) maybe.add(static_cast<std::uint32_t>(n));
  while (!maybe.empty()) {
    const std::uint32_t i = maybe.take();
    if (__builtin_expect(i == n, 0)) return {-1, chan_status::timed_out};
    const select_case& k = cases[i];
    g* served;
    k.channel->lock.lock();
    const chan_status now = run_locked(k, served);
    k.channel->lock.unlock();
    if (now == chan_status::would_block) continue;
    if (served) ready(served);
    honour_request();
    return {static_cast<int>(i), now};
  }
  if (limit.what != select_limit::kind::poll) unwind_if_due();
  const select_result r = select_slow(cases, n, entries, locked, room, limit);
  if (r.index < 0) unwind_if_due();
  return r;
}

}  // namespace weft::detail
