// detail/wait_list.hpp: who waits on a primitive: a first-in first-out list under a small lock of its own.
#pragma once

#include <cstdint>

#include <weft/detail/atomic.hpp>
#include <weft/detail/config.hpp>

namespace weft::detail {

struct sudog;  // src/goroutine/sudog.hpp: one waiting goroutine or thread, on its own stack

struct wait_list {
  sudog* first = nullptr;
  sudog* last = nullptr;
};

/// A sleeping semaphore, as under Go's mutex (sema.go), with its queue inside instead of in a table.
struct semaphore_core {
  atomic<std::uint32_t> lock{0};
  std::uint32_t permits = 0;  // released before somebody came for them
  wait_list waiters;
};

}  // namespace weft::detail
