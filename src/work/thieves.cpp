// work/thieves.cpp: see thieves.hpp.
#include "work/thieves.hpp"

#include "os/membarrier.hpp"

namespace weft {

thieves_t thieves;

namespace {
bool have_membarrier = false;
}

void init_thieves() noexcept {
  static bool once = false;
  if (once) return;
  once = true;
  have_membarrier = os::register_membarrier() && os::membarrier();
  if (have_membarrier) thieves.count.fetch_sub(1, std::memory_order_release);  // [mo:thieves]
}

void barrier_on_all_threads() noexcept {
  if (!have_membarrier || !os::membarrier()) std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace weft
