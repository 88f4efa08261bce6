// time/function.hpp: how a function of after_func() becomes a goroutine; for timers, and for contexts that end.
#pragma once

#include <weft/detail/function_core.hpp>

namespace weft::detail {

/// What start_goroutine() runs: the closure is a function_core*, with the reference that the goroutine gives back.
void run_function(void* closure);

}  // namespace weft::detail
