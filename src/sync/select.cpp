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
#include "sched/bubble.hpp"
#include "sched/lap.hpp"
#include "sched/park.hpp"
#include "sched/park_until.hpp"
#include "sched/retake.hpp"
#include "sched/suspend.hpp"
#include "sched/unwind.hpp"
#include "sync/chan.hpp"
#include "sync/select.hpp"

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
  m* mp = this_m();
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
  if (k.op == select_op::recv) return glance(c->count) != 0 || glance(c->senders.first) != nullptr || glance(c->closed) || (c->ticks && is_due(c));
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

[[gnu::always_inline]] inline chan_status run_locked(const select_case& k, runnable*& served) noexcept {
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

// The locks are held: an entry on each channel's list. Gives the deadline, or the time of a timer among them that comes before it.
std::int64_t enqueue_on_all(runnable* gp, const select_case* cases, std::size_t n, sudog* entries, candidates& order, const channel_locks& locks, std::int64_t deadline) noexcept {
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
  for (std::size_t i = 0; i < n; i++) {
    if (cases[i].channel && cases[i].channel->ticks) deadline = std::min(deadline, cases[i].channel->clock()->when);
  }
  return deadline;
}

// Awake again: the entries leave the lists. The one by which it was woken, if any; look_again, if none was or one of a timer, whom
// only wakes who sets it, and there is a timer.
select_result leave_all(const select_case* cases, std::size_t n, sudog* entries) noexcept {
  bool has_clock = false;
  select_result r{-1, chan_status::timed_out};
  for (std::size_t i = 0; i < n; i++) {
    if (!cases[i].channel) continue;
    const sudog& s = entries[i];
    const bool clock = cases[i].channel->ticks;
    has_clock |= clock;
    if (s.served) r = {clock ? select_look_again : static_cast<int>(i), s.success ? chan_status::done : chan_status::closed};  // only one of the wakers writes them
    leave(cases[i], &entries[i]);
  }
  if (r.index == -1 && has_clock) r.index = select_look_again;
  return r;
}

// The locks are held: waits on all channels.
select_result wait_on_all(g* gp, const select_case* cases, std::size_t n, sudog* entries, candidates& order, channel_locks& locks, std::int64_t deadline) noexcept {
  deadline = enqueue_on_all(gp, cases, n, entries, order, locks, deadline);
  std::uint32_t from = bubble_id_here();  // the bubble's own, but for a channel that is not
  for (std::size_t i = 0; i < n; i++) {
    if (cases[i].channel && cases[i].channel->bubble == 0) from = 0;
  }
  const wait_on_bubble where(gp, from);
  if (deadline != no_deadline || world_unwinds()) static_cast<void>(park_until(gp, &commit_unlock_all, &locks, wait_reason::select, deadline));
  else if ((gp->flags & g_thread) == 0) park(&commit_unlock_all, &locks, wait_reason::select);
  else park_anyone(gp, &commit_unlock_all, &locks, wait_reason::select);
  return leave_all(cases, n, entries);
}

/// The parts of the scratch.
struct scratch_parts {
  sudog* entries;
  chan_core** locked;
  std::uint32_t* room;
  scratch_parts(void* scratch, std::size_t n) noexcept
      : entries(static_cast<sudog*>(scratch)), locked(reinterpret_cast<chan_core**>(entries + n)), room(reinterpret_cast<std::uint32_t*>(locked + n)) {}
};

// Under all locks: whether a case could be run, or is not to be waited for. Then they are free again.
bool run_one_locked(const select_case* cases, std::size_t n, channel_locks& locks, candidates& ready_ones, select_limit limit, select_result& r) noexcept {
  for (std::size_t i = 0; i < n; i++) {
    if (cases[i].channel && looks_ready(cases[i])) ready_ones.add(static_cast<std::uint32_t>(i));
  }
  while (!ready_ones.empty()) {
    const std::uint32_t i = ready_ones.take();
    runnable* served;
    const chan_status now = run_locked(cases[i], served);
    if (now == chan_status::would_block) continue;
    locks.unlock();
    if (served) ready(served);
    r = {static_cast<int>(i), now};
    return true;
  }
  if (limit.what != select_limit::kind::poll && limit.what != select_limit::kind::within) return false;
  locks.unlock();
  r = {-1, limit.what == select_limit::kind::poll ? chan_status::would_block : chan_status::timed_out};
  return true;
}

std::int64_t deadline_of(select_limit limit) noexcept { return limit.what == select_limit::kind::none ? no_deadline : limit.ns; }

// Looks again under all locks, and waits.
select_result look_and_wait(const select_case* cases, std::size_t n, const scratch_parts& parts, select_limit limit) noexcept {
  channel_locks locks(parts.locked, cases, n);
  locks.lock();
  candidates order(parts.room);
  select_result r;
  if (run_one_locked(cases, n, locks, order, limit, r)) return r;
  const std::int64_t deadline = deadline_of(limit);
  if (locks.cases() == 0) return wait_for_nothing(current_or_thread(), n == 0 && deadline == no_deadline ? wait_reason::select_no_cases : wait_reason::select, deadline);
  return wait_on_all(current_or_thread(), cases, n, parts.entries, order, locks, deadline);
}

// No case looked ready.
[[gnu::noinline]] select_result select_slow(const select_case* cases, std::size_t n, const scratch_parts& parts, select_limit limit) noexcept {
  select_make_absolute(limit);
  const select_hold hold(cases, n);
  for (;;) {
    const select_result r = look_and_wait(cases, n, parts, limit);
    if (r.index != select_look_again) return r;
    if (g* gp = current_g(); gp && is_to_unwind(gp)) return {-1, chan_status::timed_out};
    select_last_look(limit);
  }
}

// With one lock at a time: whether a case could be run, or the time is over already.
[[gnu::always_inline]] inline bool run_one(const select_case* cases, std::size_t n, std::uint32_t* room, select_limit limit, select_result& r) noexcept {
  candidates maybe(room);
  for (std::size_t i = 0; i < n; i++) {
    if (may_be_ready(cases[i])) maybe.add(static_cast<std::uint32_t>(i));
    if (__builtin_expect(cases[i].channel && cases[i].channel->bubble != 0, 0)) refuse_outsiders(cases[i].channel->bubble, "select on synctest channel");
  }
  const bool late = limit.what == select_limit::kind::until && limit.ns <= time_here();
  if (__builtin_expect(late, 0)) maybe.add(static_cast<std::uint32_t>(n));
  while (!maybe.empty()) {
    const std::uint32_t i = maybe.take();
    r = {-1, chan_status::timed_out};
    if (__builtin_expect(i == n, 0)) return true;
    const select_case& k = cases[i];
    runnable* served;
    k.channel->lock.lock();
    const chan_status now = run_locked(k, served);
    k.channel->lock.unlock();
    if (now == chan_status::would_block) continue;
    if (served) ready(served);
    r = {static_cast<int>(i), now};
    return true;
  }
  return false;
}

void deadline_passed(heap_timer* t, due_list& due) noexcept {
  auto* r = static_cast<runnable*>(t->arg);
  if (r->claimed.exchange(1, std::memory_order_acq_rel) == 0) due.push_back(r);  // [mo:claim]
}

}  // namespace

select_hold::select_hold(const select_case* cases, std::size_t n) noexcept
    : cases_(cases), n_(std::any_of(cases, cases + n, [](const select_case& k) { return k.channel && k.channel->ticks; }) ? n : 0) {
  for (std::size_t i = 0; i < n_; i++) {
    if (cases_[i].channel) chan_add_ref(cases_[i].channel);
  }
}
select_hold::~select_hold() {
  for (std::size_t i = 0; i < n_; i++) {
    if (cases_[i].channel) chan_release(cases_[i].channel);
  }
}

void select_make_absolute(select_limit& limit) noexcept {
  if (limit.what == select_limit::kind::within && limit.ns > 0) limit = {select_limit::kind::until, os::add_ns(time_here(), limit.ns)};
}

void select_last_look(select_limit& limit) noexcept {
  if (limit.what == select_limit::kind::until && limit.ns <= time_here()) limit = {select_limit::kind::within, 0};
}

select_result select_cases(const select_case* cases, std::size_t n, void* scratch, select_limit limit) {
  const scratch_parts parts(scratch, n);
  select_result r;
  if (run_one(cases, n, parts.room, limit, r)) {
    honour_request();
    return r;
  }
  if (limit.what != select_limit::kind::poll) unwind_if_due();
  r = select_slow(cases, n, parts, limit);
  if (r.index < 0) unwind_if_due();
  return r;
}

bool co_select_now(co_selection& s) noexcept { return run_one(s.cases, s.n, scratch_parts(s.scratch, s.n).room, s.limit, s.result); }

static_assert(sizeof(heap_timer) <= sizeof(timer_room) && alignof(heap_timer) <= alignof(timer_room));

bool co_select_begin(co_selection& s, runnable& r) noexcept {
  const scratch_parts parts(s.scratch, s.n);
  channel_locks locks(parts.locked, s.cases, s.n);
  locks.lock();
  candidates order(parts.room);
  s.waits = !run_one_locked(s.cases, s.n, locks, order, s.limit, s.result);
  if (!s.waits) return false;
  suspend(r, wait_reason::select);
  const std::int64_t deadline = enqueue_on_all(&r, s.cases, s.n, parts.entries, order, locks, deadline_of(s.limit));
  s.timed = deadline != no_deadline;
  m* mp = this_m();
  bool first_of_all = false;
  // As in commit_limited(): the timer first, for the woken coroutine must take the locks that we hold.
  if (s.timed) {
    auto* t = ::new (static_cast<void*>(s.deadline.bytes)) heap_timer();
    t->when = deadline;
    t->arg = &r;
    t->fire = &deadline_passed;
    const in_runtime inside(mp);
    first_of_all = timers_here(mp).add(t);
  }
  locks.unlock();
  if (first_of_all) {
    const in_runtime inside(mp);
    wake_poller(deadline, mp->pp ? who_else::nobody : who_else::a_searcher);
  }
  return true;
}

void co_select_end(co_selection& s) noexcept {
  if (!s.waits) return;
  if (s.timed) timer_heap::remove(std::launder(reinterpret_cast<heap_timer*>(s.deadline.bytes)));
  s.result = leave_all(s.cases, s.n, scratch_parts(s.scratch, s.n).entries);
}

}  // namespace weft::detail
