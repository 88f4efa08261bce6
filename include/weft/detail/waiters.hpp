// detail/waiters.hpp: what most primitives are made of: a list of those that wait, under a small lock.
#pragma once

#include <cstdint>

#include <weft/detail/atomic.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

/// Ends the program ("sync: destroyed while somebody waits: WHAT") if goroutines can run: those that are left behind when run()
/// has returned wait for nothing any more.
WEFT_API WEFT_COLD void destroyed_in_use(const char* what) noexcept;

/// After a wait that nobody's notification has ended: the goroutine ends here when its turn has come (at_exit::unwind).
WEFT_API void end_of_vain_wait();

struct waiters_core {
  atomic<std::uint32_t> lock{0};
  std::uint32_t inside = 0;  // guarded by lock: a condition variable's, how many will still touch it
  wait_list list;            // guarded by lock
};

}  // namespace weft::detail
