// sched/upcalls.hpp: what lies above the scheduler and it has to call all the same. Bound by the linker, so constant.
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// Unstarted tasks of async(): see task/task.cpp, which defines them. In a program that links no task.cpp, the weak definition
/// in find_runnable.cpp holds, all null.
struct task_hooks_t {
  g* (*take)(p* own) noexcept = nullptr;      // the newest unstarted task of this P, as a goroutine
  g* (*steal)(p* victim) noexcept = nullptr;  // the oldest of another (or, now and then, of this one)
  bool (*any)(p* pp) noexcept = nullptr;
  void (*leave)(p* from, p* heir) noexcept = nullptr;  // this P goes
};
extern const task_hooks_t task_hooks;

}  // namespace weft
