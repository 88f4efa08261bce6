// sched/local.hpp: the end of a goroutine's locals. A goroutine has one pointer for them; who uses none pays for a test of it.
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// Destroys them, newest first, until none is left: destructors may make new ones. On the goroutine's own stack.
[[gnu::cold]] void destroy_locals();

}  // namespace weft
