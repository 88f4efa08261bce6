// work/thieves.cpp: see thieves.hpp.
#include "work/thieves.hpp"

#include "base/throw.hpp"
#include "os/membarrier.hpp"

namespace weft {

thieves_t thieves;

void init_thieves() noexcept {
  static bool once = false;
  if (once) return;
  once = true;
  thieves.no_membarrier = !os::register_membarrier() || !os::membarrier();
  if (!thieves.no_membarrier) thieves.count.fetch_sub(1, std::memory_order_release);  // [mo:thieves]
}

void barrier_on_all_threads() noexcept {
  if (thieves.no_membarrier) full_fence();
  else if (!os::membarrier()) fatal("membarrier failed, which had worked before");  // a sandbox entered after run()?
}

}  // namespace weft
