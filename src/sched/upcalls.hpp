// sched/upcalls.hpp: what lies above the scheduler and it has to call all the same. Set once, at start.
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// Unstarted tasks of async(): see task/task.cpp. Null when the program has none.
struct task_hooks_t {
  g* (*take)(p* own) noexcept = nullptr;      // the newest unstarted task of this P, as a goroutine
  g* (*steal)(p* victim) noexcept = nullptr;  // the oldest of another (or, now and then, of this one)
  bool (*any)(p* pp) noexcept = nullptr;
  void (*leave)(p* from, p* heir) noexcept = nullptr;  // this P goes
};
extern task_hooks_t task_hooks;

}  // namespace weft
