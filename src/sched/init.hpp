// sched/init.hpp: what run() does before main's function.
#pragma once

namespace weft {

/// Runs the init tasks that have not run yet. On main's goroutine.
void run_init_tasks();
/// WEFT_DEBUG=inittrace=1.
extern bool trace_init_tasks;

}  // namespace weft
