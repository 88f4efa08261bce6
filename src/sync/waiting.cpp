// sync/waiting.cpp: see <weft/detail/waiters.hpp>.
#include "sync/waiting.hpp"

#include <string>

#include <weft/detail/waiters.hpp>

#include "base/throw.hpp"

namespace weft::detail {

bool goroutines_run() noexcept { return sched.running.load(std::memory_order_relaxed) && !sched.ending.load(std::memory_order_relaxed); }

void destroyed_in_use(const char* what) noexcept {
  if (goroutines_run()) fatal(std::string("sync: destroyed while somebody waits: ") + what);
}

void end_of_vain_wait() { unwind_if_due(); }

}  // namespace weft::detail
