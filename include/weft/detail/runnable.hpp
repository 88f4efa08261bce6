// detail/runnable.hpp: what waits and is run: the head of a goroutine's record, and all that a coroutine has of one. The run
// queues and the wait lists carry it; who takes one off a queue looks at its flags.
#pragma once

#include <cstdint>

#include <weft/detail/atomic.hpp>

namespace weft {

enum class g_status : std::uint8_t;     // src/goroutine/g.hpp
enum class wait_reason : std::uint8_t;  // src/goroutine/wait_reason.hpp

struct runnable {
  static constexpr std::uint16_t coroutine = 1024;  // a bit of flags; the others are in src/goroutine/g.hpp

  // A goroutine's saved context, while it is off its processor; a coroutine's frame.
  void* sp = nullptr;
  runnable* link = nullptr;  // the next on whatever list it is on
  // Waiting on several things at once (a channel and a timer): who sets it from 0 to 1 wakes it.
  detail::atomic<std::uint8_t> claimed{0};
  detail::atomic<g_status> status{};
  detail::atomic<std::uint8_t> wait{0};  // the wait_reason, and g_wait_noted
  std::uint8_t depth = 0;  // a coroutine's: how many lie below it on the stack: detail/co_core.hpp
  std::uint16_t flags = 0;

  [[gnu::always_inline]] void set_why(wait_reason why) noexcept { wait.store(static_cast<std::uint8_t>(why), std::memory_order_relaxed); }
};

}  // namespace weft
