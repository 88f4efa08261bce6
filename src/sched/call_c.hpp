// sched/call_c.hpp: what waits have to know of call_c().
#pragma once

#include "goroutine/wait_reason.hpp"

namespace weft {

/// On the ways on which plain threads wait: fatal when it is one of weft's, which then is inside call_c().
void refuse_in_call_c(wait_reason why) noexcept;

}  // namespace weft
