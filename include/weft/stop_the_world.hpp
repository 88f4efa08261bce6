// stop_the_world.hpp: a moment in which no goroutine runs. Source: Go's stopTheWorld (proc.go); threads that are outside weft are
// stopped by a signal, as Go preempts them.
#pragma once

#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>

namespace weft {

namespace detail {
WEFT_API void stop_the_world(void (*f)(void*), void* arg);
}

/// Calls f while no other goroutine runs: those that compute or are in blocking() or call_c() stand still wherever they are, also inside malloc or
/// with a lock held. So f may look at memory, and must not allocate, print through stdio, take a lock or wait. Threads that weft did not
/// make go on. Threads are stopped by SIGURG (SA_RESTART): a nanosleep(), poll() or
/// select() in blocking() may return early with EINTR, a read() goes on.
/// One at a time: a second caller waits.    Parks: until its turn.    Threads: goroutines.    Allocates: no.    f: noexcept.
template <class F>
void stop_the_world(F&& f) {
  static_assert(std::is_nothrow_invocable_v<F&>, "what runs while the world stands still must be noexcept");
  detail::stop_the_world([](void* arg) { (*static_cast<std::remove_reference_t<F>*>(arg))(); }, const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace weft
