// sched/init.hpp: what run() does before main's function.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"

namespace weft {

/// Runs the init tasks that have not run yet. On main's goroutine.
void run_init_tasks();
/// 1 when those of the first run() have run: a futex word.
extern atomic<std::uint32_t> init_is_done;
/// WEFT_DEBUG=inittrace=1.
extern bool trace_init_tasks;

}  // namespace weft
