// task/task.hpp: what task.cpp, which keeps the unstarted tasks, and task_group.cpp know of each other.
#pragma once

#include <weft/detail/task_core.hpp>
#include <weft/detail/task_group_core.hpp>

#include "task/identity.hpp"

namespace weft::detail {

// task_base::state: no bit of these while it is unstarted
inline constexpr std::uint32_t started = 1, done = 2, waited_for = 4, detached = 8, exited = 16;

/// Calls the function. Its exception is kept in t->error, unless nobody will look there: then it is a panic, with the stack of its throw.
void call(task_base* t);
/// An exception that came too late for anybody to see: a panic.
void rethrow_unseen(const std::exception_ptr& e) noexcept;
/// A child has been called: it is destroyed, then its group counts it as ended.
void finish_child(task_base* t) noexcept;

/// Room for a call on this stack: half of what the task would have as a goroutine of its own. Else a chain of tasks, each
/// joining the next, would end the stack, and a task that needs much would fail or not by chance.
[[nodiscard]] bool has_room(const g* gp) noexcept;
/// Takes the group's newest unstarted child off this P's list, if it is among the newest there; else null. Goroutines only.
[[nodiscard]] task_base* claim_newest_of(const task_group_core& c) noexcept;
/// Whether thieves would find a task on pp.
[[nodiscard]] bool has_unstarted(p* pp) noexcept;

}  // namespace weft::detail
