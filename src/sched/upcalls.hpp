// sched/upcalls.hpp: what lies above the scheduler and it has to call all the same. Set once, at start.
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// Unstarted tasks of async(): see task/task.cpp. Null when the program has none.
struct task_hooks_t {
  g* (*take)(p* own) noexcept = nullptr;     // the oldest unstarted task of this P, as a goroutine
  g* (*steal)(p* victim) noexcept = nullptr;  // of another
  bool (*any)(p* pp) noexcept = nullptr;
};
extern task_hooks_t task_hooks;

}  // namespace weft
