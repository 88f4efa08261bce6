// task/parallel.cpp: see <weft/parallel.hpp>: when a loop is cut in two.
#include <weft/parallel.hpp>

#include <weft/this_goroutine.hpp>

#include "task/task.hpp"

namespace weft::detail {

bool split_wanted() noexcept {
  poll();
  const m* mp = this_m();
  if (!mp || !mp->curg) return sched.idle_p_count.load(std::memory_order_relaxed) != 0;  // a part is a goroutine for an idle P
  // A thief has taken what this P had, or it never had any.
  p* const pp = mp->pp;  // read once: it may be taken at any time
  return sched.procs.load(std::memory_order_relaxed) > 1 && pp && !has_unstarted(pp);
}

}  // namespace weft::detail
