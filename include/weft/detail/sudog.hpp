// detail/sudog.hpp: a goroutine (or a coroutine, or a foreign thread) that waits on something: one entry of that thing's wait list.
// It lies in the frame of the operation that waits, which does not go on before the entry is off the list.
#pragma once

#include <weft/detail/runnable.hpp>

namespace weft::detail {

struct sudog {
  runnable* gp = nullptr;
  sudog* next = nullptr;
  sudog* prev = nullptr;
  void* element = nullptr;  // a channel's: where the value is or goes
  bool contested = false;   // gp waits on other things too: win gp->claimed before waking it
  bool success = false;     // woken by a value, not by close
  bool queued = false;
  bool served = false;      // contested, and it was this entry by which gp was woken
};

}  // namespace weft::detail
