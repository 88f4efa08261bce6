// lock/thread_state.cpp: see thread_state.hpp. Marked as used: only assembly names it, which link-time optimisation does not read.
#include "lock/thread_state.hpp"

namespace weft {
extern "C" {
#if defined(__clang__)
[[gnu::used]]
#else
[[gnu::used, gnu::externally_visible]]
#endif
__thread thread_state weft_thread_state __attribute__((tls_model("initial-exec"))) = {};
}
}  // namespace weft
