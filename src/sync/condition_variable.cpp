// sync/condition_variable.cpp: see <weft/condition_variable.hpp>.
// A waiter is in the list before the user's lock is free, and parks later: in between there is user code, unlock(). Who
// notifies one that has not parked yet only marks it. Go counts tickets instead; with those, one that gives up would leave a
// hole in the count, and the notification that falls into it would be lost.
#include <weft/condition_variable.hpp>

#include <sched.h>
#include <time.h>

#include <new>

#include "base/throw.hpp"
#include "os/clock.hpp"
#include "sched/lap.hpp"
#include "sync/waiting.hpp"

namespace weft {

namespace {

using detail::wait_end;
using detail::wait_list;

constexpr std::int64_t patience_ns = 1'000'000'000;

enum class notified : std::uint8_t { no, alone, with_all };

struct waiter : detail::sudog {
  bool parked = false;
  notified before = notified::no;  // it parked
  bool waited = false;             // its own
};

waiter* first_of(wait_list& l) noexcept { return static_cast<waiter*>(l.first); }

/// Takes the first off the list; true when that is a notification used.
bool notify_first(detail::waiters_core& c, detail::wake_list& woken, notified how) noexcept {
  waiter* w = first_of(c.list);
  if (!w->parked) {
    w->before = how;
    remove(c.list, w);
    return true;
  }
  detail::sudog* s = detail::dequeue_first(c.list);
  if (!s) return false;  // its time is up, and it comes for the lock
  c.inside--;
  woken.add(s);
  return true;
}
void notify_one_locked(detail::waiters_core& c, detail::wake_list& woken) noexcept {
  while (c.list.first && !notify_first(c, woken, notified::alone)) {
  }
}

}  // namespace

condition_variable::waiting::waiting(detail::waiters_core& core) noexcept : core_(core) {
  static_assert(sizeof(waiter) <= sizeof sudog_ && alignof(waiter) <= 8);
  auto* me = ::new (sudog_) waiter;
  lock_word(core.lock);
  push_back(core.list, me);
  core.inside++;
  unlock_word(core.lock);
}

condition_variable::waiting::~waiting() {
  auto* me = std::launder(reinterpret_cast<waiter*>(sudog_));
  if (__builtin_expect(me->waited, 1)) return;
  // The user's unlock() has thrown. A notification that came all the same is another one's.
  detail::wake_list woken;
  lock_word(core_.lock);
  if (me->queued) remove(core_.list, me);
  else if (me->before == notified::alone) notify_one_locked(core_, woken);
  core_.inside--;
  unlock_word(core_.lock);
  woken.ready_all();
}

// All who wait have been notified, as C++ asks of who destroys one. Those that had not parked yet have still to look at it, and
// those whose time was up as well.
condition_variable::~condition_variable() {
  std::int64_t begin = 0;
  for (int looks = 0;; looks++) {
    lock_word(core_.lock);
    const bool in_use = core_.list.first != nullptr, is_alone = core_.inside == 0;
    unlock_word(core_.lock);
    if (in_use) detail::destroyed_in_use("weft::condition_variable");
    if (in_use || is_alone) return;
    if (current_g()) give_way();
    else ::sched_yield();
    if (looks < 100) continue;
    if (begin == 0) begin = os::now_ns();
    const timespec pause{0, 100'000};
    ::nanosleep(&pause, nullptr);
    if (os::now_ns() - begin < patience_ns) continue;
    if (sched.gate.load(std::memory_order_relaxed) != 0) fatal("sync: condition variable destroyed by who has paused those that waited");
    if (!detail::goroutines_run()) return;  // they were left behind by run(), and never come
  }
}

wait_end condition_variable::waiting::wait(const detail::wait_limit& limit) noexcept {
  auto* me = std::launder(reinterpret_cast<waiter*>(sudog_));
  me->waited = true;
  lock_word(core_.lock);
  if (me->before != notified::no) {
    core_.inside--;
    unlock_word(core_.lock);
    return wait_end::woken;
  }
  me->parked = true;
  const wait_end end = detail::wait_in_place(core_.lock, core_.list, *me, wait_reason::cond_wait, limit);
  if (end != wait_end::woken) {
    core_.inside--;
    unlock_word(core_.lock);
  }
  return end;
}

void condition_variable::notify_one() noexcept {
  detail::wake_list woken;
  lock_word(core_.lock);
  notify_one_locked(core_, woken);
  unlock_word(core_.lock);
  woken.ready_all();
}

void condition_variable::notify_all() noexcept {
  detail::wake_list woken;
  lock_word(core_.lock);
  while (core_.list.first) static_cast<void>(notify_first(core_, woken, notified::with_all));
  unlock_word(core_.lock);
  woken.ready_all();
}

}  // namespace weft
