// lock/thread_state.cpp: see thread_state.hpp.
#include "lock/thread_state.hpp"

namespace weft {
extern "C" {
__thread thread_state weft_thread_state __attribute__((tls_model("initial-exec"))) = {};
}
}  // namespace weft
