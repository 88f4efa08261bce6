// sync/waiting.hpp: waiting in a list under a small lock, with or without a limit, for all that need no more than that.
#pragma once

#include <weft/detail/waiters.hpp>

#include "goroutine/sudog.hpp"
#include "sched/park_until.hpp"
#include "sched/unwind.hpp"

namespace weft::detail {

inline bool commit_unlock_word(g* gp) noexcept {
  unlock_word(*static_cast<atomic<std::uint32_t>*>(gp->commit_arg));
  return true;
}

/// Whether others than those that wake it may end a wait: the end of the world can, where goroutines are unwound.
[[nodiscard]] inline bool needs_contest(const wait_limit& limit) noexcept { return !limit.none() || world_unwinds(); }

/// The caller holds `lock` and has put `me` into the list: waits there. Woken: `me` is off the list and the lock is not held; it
/// may be gone. Otherwise `me` is off the list and the lock is held again; when that is free, unwind_if_due().
[[nodiscard]] inline wait_end wait_in_place(atomic<std::uint32_t>& lock, wait_list& list, sudog& me, wait_reason why, const wait_limit& limit) noexcept {
  me.gp = current_or_thread();
  me.contested = needs_contest(limit);
  if (!me.contested) {
    park_anyone(me.gp, &commit_unlock_word, &lock, why);
    return wait_end::woken;
  }
  begin_contest(me.gp);
  const wait_end end = park_until(me.gp, &commit_unlock_word, &lock, why, limit);
  if (end == wait_end::woken) return end;
  lock_word(lock);
  if (me.queued) remove(list, &me);
  return end;
}
/// The same at the list's end.
[[nodiscard]] inline wait_end wait_in(waiters_core& core, sudog& me, wait_reason why, const wait_limit& limit) noexcept {
  push_back(core.list, &me);
  return wait_in_place(core.lock, core.list, me, why, limit);
}

/// Between run()'s begin and its end.
[[nodiscard]] bool goroutines_run() noexcept;

/// Those that were taken off a list, to be made ready when its lock is free: only then may what they waited on be gone.
class wake_list {
 public:
  wake_list() noexcept = default;
  wake_list(const wake_list&) = delete;
  void add(sudog* s) noexcept { list_.push_back(s->gp); }
  /// They run in this order, behind what is runnable; one alone runs next.
  void inject_all() noexcept {
    if (list_.size > 1) inject(list_);
    else ready_all();
  }
  /// The latest of them runs next, as if each had been woken by itself.
  void ready_all() noexcept {
    while (runnable* gp = list_.pop_front()) ready(gp);
  }

 private:
  g_list list_;
};

}  // namespace weft::detail
