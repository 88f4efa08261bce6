// sync/semaphore.hpp: the sleeping semaphore under mutex and wait_group: detail::semaphore_core's operations.
// A permit goes straight to the first who waits. Source: Go's sema.go.
#pragma once

#include <weft/detail/sudog.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/wait_list.hpp>

#include "goroutine/wait_reason.hpp"

namespace weft::detail {

enum class queue_end : bool { back, front };

/// Takes a permit, waiting for it at that end of the queue. Parks: yes. Any thread.
void acquire(semaphore_core& s, queue_end where, wait_reason why) noexcept;
/// The same until the limit, or the end of an unwinding world, which seems to be a time-out. Ended otherwise than woken, no permit
/// was taken, and the caller is off the queue: one that is given meanwhile goes to the next who waits, or is kept.
[[nodiscard]] wait_end acquire(semaphore_core& s, queue_end where, wait_reason why, const wait_limit& limit) noexcept;
/// Takes a permit that is there.
[[nodiscard]] bool try_acquire(semaphore_core& s) noexcept;
/// The same for a coroutine, with s in its frame: true when it has to wait, and then r is on its way elsewhere.
[[nodiscard]] bool co_acquire(semaphore_core& core, queue_end where, wait_reason why, sudog& s, runnable& r) noexcept;
/// Gives a permit: to the first who waits, else it is kept. Parks: no. Any thread.
/// True when somebody was made ready. After it returns, and even while, the semaphore's owner may be gone.
bool release(semaphore_core& s) noexcept;

}  // namespace weft::detail
