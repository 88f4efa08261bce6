// sync/semaphore.hpp: the sleeping semaphore under mutex and wait_group: detail::semaphore_core's operations.
// A permit goes straight to the first who waits. Source: Go's sema.go.
#pragma once

#include <weft/detail/wait_list.hpp>

#include "goroutine/wait_reason.hpp"

namespace weft::detail {

enum class queue_end : bool { back, front };

/// Takes a permit, waiting for it at that end of the queue. Parks: yes. Any thread.
void acquire(semaphore_core& s, queue_end where, wait_reason why) noexcept;
/// The same, but the end of an unwinding world may claim the waiter: false then, without a permit.
[[nodiscard]] bool acquire_unless_unwound(semaphore_core& s, wait_reason why) noexcept;
/// Gives a permit: to the first who waits, else it is kept. Parks: no. Any thread.
/// True when somebody was made ready. After it returns, and even while, the semaphore's owner may be gone.
bool release(semaphore_core& s) noexcept;

}  // namespace weft::detail
