// task/task_group.cpp: see <weft/task_group.hpp>. Children are tasks of task.cpp without handles; here they are counted.
// Who ends one destroys it first and counts it then, and does not touch the group after that: its owner may be gone. Each
// who is not the owner counts under the lock, so an owner that has held the lock and found nobody alive has the group for itself.
#include <weft/task_group.hpp>

#include <memory>
#include <system_error>

#include <weft/context.hpp>
#include <weft/error.hpp>

#include "goroutine/sudog.hpp"
#include "sched/park.hpp"
#include "sched/park_until.hpp"
#include "sched/unwind.hpp"
#include "task/task.hpp"

namespace weft::detail {

struct group_scope {
  explicit group_scope(const context& parent) : own(with_cancel(parent)) {}
  cancelable own;
};

namespace {

bool commit_unlock(g* gp) noexcept {
  unlock_word(static_cast<task_group_core*>(gp->commit_arg)->lock);
  return true;
}

/// Who calls, as a group's owner: 0 for a plain thread, and for a coroutine, of which the carriers change.
std::uint64_t my_id() noexcept {
  const g* gp = current_g();
  return gp && !gp->cargo ? gp->id : 0;
}
bool is_owner(const task_group_core& c) noexcept {
  const std::uint64_t me = my_id();
  return me != 0 && me == c.owner.load(std::memory_order_relaxed);
}

// Runs an unstarted child on this stack; false when there is none at hand, or no room.
bool run_one_here(task_group_core& c) {
  g* gp = current_g();
  if (!gp || !has_room(gp)) return false;
  task_base* t = claim_newest_of(c);
  if (!t) return false;
  {
    const borrowed_identity id(gp);
    call(t);
    finish_child(t);
  }
  m* mp = this_m();
  const in_runtime inside(mp);
  count_ended(mp->pp);
  return true;
}

// It waits on `list` until it is taken off; the group's lock is held, and is again afterwards.
wait_end wait_locked(task_group_core& c, wait_list& list, const wait_limit& limit) noexcept {
  sudog s;
  s.gp = current_or_thread();
  wait_end end = wait_end::woken;
  if (limit.none() && !world_unwinds()) {
    push_back(list, &s);
    park_anyone(s.gp, &commit_unlock, &c, wait_reason::join);
  } else {
    s.contested = true;
    begin_contest(s.gp);
    push_back(list, &s);
    end = park_until(s.gp, &commit_unlock, &c, wait_reason::join, limit);
  }
  lock_word(c.lock);
  if (s.queued) remove(list, &s);
  return end;
}

// A canceled wait that a child let through is its answer to the cancellation, not a failure that somebody must see.
bool is_cancellation(const std::exception_ptr& e) noexcept {
  try {
    std::rethrow_exception(e);
  } catch (const std::system_error& s) {
    return s.code() == errc::canceled;
  } catch (...) {
    return false;
  }
}

}  // namespace

void group_open(task_group_core& c) noexcept { c.owner.store(my_id(), std::memory_order_relaxed); }

void group_open(task_group_core& c, const context& parent) {
  c.scope.store(new group_scope(parent), std::memory_order_release);  // [mo:group.scope]
  group_open(c);
}

const context& group_context(task_group_core& c) {
  if (group_scope* s = c.scope.load(std::memory_order_acquire)) return s->own.ctx;  // [mo:group.scope]
  auto fresh = std::make_unique<group_scope>(background());
  lock_word(c.lock);
  group_scope* s = c.scope.load(std::memory_order_relaxed);
  if (!s) c.scope.store(s = fresh.release(), std::memory_order_release);  // [mo:group.scope]
  unlock_word(c.lock);
  if (c.done.done.load(std::memory_order_acquire)) s->own.cancel();  // [mo:done] as below: one of the two sees the other
  return s->own.ctx;
}

bool group_is_cancelled(const task_group_core& c) noexcept {
  if (c.done.done.load(std::memory_order_acquire)) return true;  // [mo:done]
  const group_scope* s = c.scope.load(std::memory_order_acquire);  // [mo:group.scope]
  return s && s->own.ctx.err();
}

bool group_enter(task_group_core& c, at_limit what) {
  if (is_owner(c)) return c.own++, true;
  lock_word(c.lock);
  c.shared.store(true, std::memory_order_relaxed);  // [mo:own] the owner sees it with the child, or is told of it by the user
  while (c.limit != 0 && c.others >= c.limit) {
    if (what == at_limit::refuse) {
      unlock_word(c.lock);
      return false;
    }
    unlock_word(c.lock);
    const bool ran = run_one_here(c);
    lock_word(c.lock);
    if (!ran && c.others >= c.limit) static_cast<void>(wait_locked(c, c.slot_waiters, {}));
  }
  c.others++;
  unlock_word(c.lock);
  return true;
}

void group_leave(task_group_core& c) noexcept {
  if (is_owner(c)) {
    c.own--;
    return;
  }
  lock_word(c.lock);
  c.shared.store(true, std::memory_order_relaxed);
  sudog* s = --c.others == 0 ? dequeue(c.done_waiters) : nullptr;
  sudog* next = dequeue(c.slot_waiters);
  runnable* waiter = s ? s->gp : nullptr;
  runnable* starter = next ? next->gp : nullptr;
  unlock_word(c.lock);
  if (waiter) ready(waiter);
  if (starter) ready(starter);
}

void finish_child(task_base* t) noexcept {
  task_group_core& c = *t->group;
  if (t->error) group_fail(c, std::move(t->error));
  task_unref(t);
  group_leave(c);
}

void group_fail(task_group_core& c, std::exception_ptr e) noexcept {
  lock_word(c.lock);
  if (!c.error) std::swap(c.error, e);
  unlock_word(c.lock);
  group_cancel(c);
}

void group_cancel(task_group_core& c) noexcept {
  finish(c.done);
  lock_word(c.lock);  // after the end of it, so that a context that is made meanwhile is cancelled by us or by its maker
  group_scope* s = c.scope.load(std::memory_order_relaxed);
  unlock_word(c.lock);
  if (s) s->own.cancel();
}

void group_limit(task_group_core& c, int limit) {
  if (limit < 0) throw std::invalid_argument("weft: task_group: negative limit");
  lock_word(c.lock);
  const bool alive = c.own + c.others != 0;
  if (!alive) {
    c.limit = limit;
    c.owner.store(limit ? 0 : my_id(), std::memory_order_relaxed);  // what is limited must be counted exactly
  }
  unlock_word(c.lock);
  if (alive) throw panic("task_group: set_limit while children run");
}

namespace {

enum class waits : bool { publicly, in_the_destructor };  // the latter does not unwind, whatever ends

wait_end wait_for_all(task_group_core& c, const wait_limit& limit, waits how) {
  if (c.waiting.load(std::memory_order_relaxed)) throw panic("task_group: wait by two at once, or by a child");
  c.waiting.store(true, std::memory_order_relaxed);
  struct mark {
    std::atomic<bool>& waiting;
    ~mark() { waiting.store(false, std::memory_order_relaxed); }
  } const in_wait{c.waiting};
  if (c.limit == 0) c.owner.store(my_id(), std::memory_order_relaxed);  // who waits is the owner now
  for (;;) {
    if (c.own == 0 && !c.shared.load(std::memory_order_relaxed)) return wait_end::woken;  // [mo:own] all have run here
    if (!limit.none() || !run_one_here(c)) break;
  }
  lock_word(c.lock);
  c.others += std::exchange(c.own, 0);
  wait_end end = wait_end::woken;
  while (c.others != 0 && (end == wait_end::woken || how == waits::in_the_destructor)) end = wait_locked(c, c.done_waiters, limit);
  if (c.others == 0) end = wait_end::woken;
  c.shared.store(c.others != 0, std::memory_order_relaxed);
  unlock_word(c.lock);
  if (end != wait_end::woken && how == waits::publicly) unwind_if_due();
  return end;
}

}  // namespace

wait_end group_wait(task_group_core& c, const wait_limit& limit) { return wait_for_all(c, limit, waits::publicly); }

void group_close(task_group_core& c) noexcept {
  if (c.own == 0 && !c.shared.load(std::memory_order_relaxed) && !c.error && !c.scope.load(std::memory_order_relaxed)) return;
  group_cancel(c);
  static_cast<void>(wait_for_all(c, {}, waits::in_the_destructor));
  delete c.scope.load(std::memory_order_relaxed);
  if (c.error && std::uncaught_exceptions() == 0 && !is_cancellation(c.error)) rethrow_unseen(c.error);
}

}  // namespace weft::detail
