// base/sanitizers.hpp: what AddressSanitizer and ThreadSanitizer must be told when a thread changes its stack.
// leave() is called on the old stack right before the switch, arrive() on the new one right after. All empty without them.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#if WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if WEFT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__clang__)
#define WEFT_UNSANITIZED [[clang::disable_sanitizer_instrumentation]]
#else
#define WEFT_UNSANITIZED [[gnu::no_sanitize_address]]
#endif

namespace weft::sanitizers {

/// What the sanitizers know of one stack.
struct stack_state {
#if WEFT_ASAN
  void* fake_stack = nullptr;
  const void* bottom = nullptr;  // of a thread's own stack: learnt when it is left first
  std::size_t size = 0;
#endif
#if WEFT_TSAN
  void* fiber = nullptr;
#endif
};

enum class leaving { for_now, for_good };

/// Before a switch from one stack to another, with the other's bounds. Inlined: the ThreadSanitizer call must come from
/// the very function that switches, or its record of calls goes out of step. A stack that is left for good is left by a
/// function that is WEFT_UNSANITIZED: nothing may follow on it that the sanitizers hear of, not even a return.
[[gnu::always_inline]] inline void leave([[maybe_unused]] stack_state& from, [[maybe_unused]] stack_state& to,
                                         [[maybe_unused]] const void* to_bottom, [[maybe_unused]] std::size_t to_size,
                                         [[maybe_unused]] leaving how = leaving::for_now) noexcept {
#if WEFT_ASAN
  __sanitizer_start_switch_fiber(how == leaving::for_good ? nullptr : &from.fake_stack, to_bottom ? to_bottom : to.bottom, to_bottom ? to_size : to.size);
#endif
#if WEFT_TSAN
  __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

/// After a switch; `from` may be null at the very first arrival, `from_is_thread` when bounds of it are to be learnt.
[[gnu::always_inline]] inline void arrive([[maybe_unused]] stack_state& self, [[maybe_unused]] stack_state* thread_stack) noexcept {
#if WEFT_ASAN
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(self.fake_stack, &bottom, &size);
  self.fake_stack = nullptr;
  if (thread_stack && !thread_stack->bottom) thread_stack->bottom = bottom, thread_stack->size = size;
#endif
}

/// The leak checker knows what threads have on their stacks. What lies here is in use, too. (It reads the list of the process's mappings
/// anew for each such region: there must be few.)
inline void add_root([[maybe_unused]] const void* at, [[maybe_unused]] std::size_t size) noexcept {
#if WEFT_ASAN
  __lsan_register_root_region(at, size);
#endif
}
inline void forget_root([[maybe_unused]] const void* at, [[maybe_unused]] std::size_t size) noexcept {
#if WEFT_ASAN
  __lsan_unregister_root_region(at, size);
#endif
}

/// Before frames are left without returning from them.
inline void about_to_unwind() noexcept {
#if WEFT_ASAN
  __asan_handle_no_return();
#endif
}

/// What lies in this block of malloc's, and what it leads to, is in use.
inline void not_leaked([[maybe_unused]] const void* block) noexcept {
#if WEFT_ASAN
  __lsan_ignore_object(block);
#endif
}

/// What one thread gives to the kernel and another gets back from it is in order, but ThreadSanitizer does not see it when the
/// system call is made without libc's wrapper (epoll_pwait2).
inline void give_to_kernel([[maybe_unused]] void* at) noexcept {
#if WEFT_TSAN
  __tsan_release(at);
#endif
}
inline void got_from_kernel([[maybe_unused]] void* at) noexcept {
#if WEFT_TSAN
  __tsan_acquire(at);
#endif
}

/// Valgrind takes a large change of the stack pointer for one large frame, unless it knows that there is another stack. A few
/// instructions that do nothing, where the program does not run under it.
inline void add_stack([[maybe_unused]] const void* low, [[maybe_unused]] const void* high) noexcept {
#ifdef VALGRIND_STACK_REGISTER
  static_cast<void>(VALGRIND_STACK_REGISTER(low, high));
#endif
}

inline void* make_fiber() noexcept {
#if WEFT_TSAN
  return __tsan_create_fiber(0);
#else
  return nullptr;
#endif
}

}  // namespace weft::sanitizers
