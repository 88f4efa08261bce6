// arch/gogo.hpp: the switch (include/weft/detail/gogo.hpp, which users' code inlines too) under the runtime's name, and what
// else depends on the processor.
#pragma once

#include <weft/detail/gogo.hpp>

#if defined(__x86_64__)
#include "arch/amd64/forge.hpp"
#else
#include "arch/arm64/forge.hpp"
#endif

namespace weft {

using detail::commit_fn;
namespace arch {
using detail::gogo;
}

}  // namespace weft
