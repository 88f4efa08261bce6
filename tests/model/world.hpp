// model/world.hpp: the scheduler of weft, as shipped, with its threads played by the explorer: a world of Ps whose Ms run schedule(),
// and goroutines with stacks of their own. What run() does around it is left out.
#pragma once

#include <functional>

#include "explorer.hpp"
#include "sched/lap.hpp"

namespace weft::model {

inline constexpr int max_goroutines = 6;

/// Knobs of mutants.
inline constexpr int no_barrier_in_go_idle = 1, without_membarrier = 2;

struct world {
  /// Everything as at the start of the process. Ps are idle until an M takes them.
  explicit world(int procs, bool membarrier = knob() != without_membarrier);
  world(const world&) = delete;

  p* of(int i) { return sched.ps[i].load(std::memory_order_relaxed); }
  /// A goroutine that runs f; on no queue.
  g* goroutine(std::function<void()> f);
  /// An M with P number `i`: a thread of the model.
  void start(int i);
  /// An M that sleeps, as after stopm().
  void start_idle();
  /// The monitor, which looks when it is woken, and at no other time.
  void start_monitor();

 private:
  int made_ = 0;
};

/// From a goroutine: gp is runnable from here on.
void submit(g* gp);

}  // namespace weft::model
