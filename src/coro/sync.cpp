// coro/sync.cpp: see <weft/co/sync.hpp>.
#include <weft/co/sync.hpp>

#include <algorithm>
#include <new>

#include "sched/retake.hpp"
#include "sched/suspend.hpp"
#include "sync/mutex_wait.hpp"
#include "sync/semaphore.hpp"

namespace weft::detail {

namespace {

class semaphore_wait {
 public:
  semaphore_wait(semaphore_core& core, queue_end where, wait_reason why) noexcept : core_(core), where_(where), why_(why) {}
  static bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<co_promise<void>> h) noexcept { return co_acquire(core_, where_, why_, s_, h.promise()); }
  static void await_resume() noexcept {}

 private:
  semaphore_core& core_;
  queue_end where_;
  wait_reason why_;
  sudog s_;
};

}  // namespace

bool co_yield_now(runnable& r) noexcept {
  m* mp = this_m();
  const in_runtime inside(mp);
  p* pp = mp->pp;
  if (pp && pp->queue.empty() && pp->laps_left > 1 && pp->attention.load(std::memory_order_relaxed) == 0 && sched.global.size() == 0) {
    pp->laps_left--;
    return false;  // alone on this P, and nothing else asked for
  }
  r.status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
  if (!pp) {
    put_global(&r);
  } else {
    put_behind(pp, &r);
    if (somebody_could_come()) wakep();
  }
  return true;
}

static_assert(sizeof(heap_timer) <= sizeof(timer_room) && alignof(heap_timer) <= alignof(timer_room));

bool co_sleep(timer_room& room, std::int64_t ns, runnable& r) noexcept {
  auto* t = ::new (static_cast<void*>(room.bytes)) heap_timer();
  const std::int64_t when = std::min(deadline_after_ns(ns), timer_heap::never - 1);  // as long as it may be, it is a timer
  t->when = when;
  t->arg = &r;
  t->fire = [](heap_timer* timer, due_list& due) noexcept { due.push_back(static_cast<runnable*>(timer->arg)); };
  suspend(r, wait_reason::sleep);
  // Once it is queued, it may fire, and the frame be gone.
  m* mp = this_m();
  const in_runtime inside(mp);
  if (timers_here(mp).add(t, timer_heap::removal::never)) wake_poller(when, mp->pp ? who_else::nobody : who_else::a_searcher);
  return true;
}

bool co_wait_semaphore(semaphore_core& core, sudog& s, runnable& r) noexcept { return co_acquire(core, queue_end::back, wait_reason::wait_group_wait, s, r); }

co::task<void> co_lock_slow(mutex& m) {
  mutex_wait w(m);
  while (w.attempt() == mutex_wait::next::wait) {
    co_await semaphore_wait(w.semaphore(), w.where(), wait_reason::mutex_lock);
    if (w.woken()) break;
  }
}

}  // namespace weft::detail
