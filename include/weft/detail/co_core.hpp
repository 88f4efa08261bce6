// detail/co_core.hpp: the untyped coroutine under co::task<T>, as src/coro/ implements it.
#pragma once

#include <atomic>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>

#include <weft/detail/atomic.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/runnable.hpp>

namespace weft::detail {

/// What every promise begins with. While the coroutine is suspended nobody runs it, and whoever finds it on a list may make it
/// runnable, once.
struct co_frame : runnable {
  /// Who goes on when it has ended: a runnable's address, or one of these.
  enum : std::uintptr_t { nobody = 0, done = 1, dropped = 2, counted = 3 };  // counted: by co::go(), as a goroutine
  atomic<std::uintptr_t> after{nobody};
  std::exception_ptr error;

  co_frame() noexcept { flags = coroutine; }
};

template <class P>
concept co_promise_type = std::derived_from<P, co_frame>;

/// Room for the scheduler's timer, in an awaiter.
struct timer_room {
  alignas(8) unsigned char bytes[40];
};

/// Memory for a frame, from the processor's cache.    Threads: any, for both.
WEFT_API void* co_alloc(std::size_t size);
WEFT_API void co_free(void* memory, std::size_t size) noexcept;

/// Counts it, and makes it runnable for the first time.
WEFT_API void co_start(co_frame* f) noexcept;
/// Puts it among the forks of this processor.
WEFT_API void co_fork(co_frame* f) noexcept;
/// Takes it back, if it is the newest of those: true when the caller is to run it.
[[nodiscard]] WEFT_API bool co_take(co_frame* f) noexcept;
/// Runs it here unless somebody has started it; waits until it is done. `forked`: somebody may have.
enum class co_origin : std::uint8_t { fresh, forked };
WEFT_API void co_join(co_frame* f, co_origin from);
/// The handle of a fork goes: what nobody will ask for is destroyed, an exception that nobody will see a panic.
WEFT_API void co_drop(co_frame* f) noexcept;
/// f has ended, and no coroutine waits for it: a goroutine does, which is made ready, or nobody ever will. `next` was in f->after.
WEFT_API std::coroutine_handle<> co_finish(co_frame* f, std::uintptr_t next) noexcept;
/// Makes a suspended coroutine runnable.
WEFT_API void co_continue(runnable* r) noexcept;
/// An exception leaves a coroutine that nobody waits for.
[[noreturn]] WEFT_API void co_panic() noexcept;
[[noreturn]] WEFT_API void co_await_of_nothing();

// A call runs on top of its caller's stack frame, as a function would: where nothing waits, calls and returns are predicted and
// the caller goes straight on. So each coroutine knows how many lie below it since a carrier resumed the first, and past
// this many the next one goes through the run queue. Frames are small: what a coroutine keeps over a wait is not on the stack.
inline constexpr std::uint8_t co_most_nested = 32;

/// Has `caller` wait for f, which somebody runs. False: it is done already; true: caller may be on its way elsewhere.
inline bool co_wait(co_frame& f, co_frame& caller) noexcept {
  std::uintptr_t nobody = co_frame::nobody;
  // [mo:co.after] acq_rel: release the caller's frame to whoever resumes it; acquire the result.
  return f.after.compare_exchange_strong(nobody, reinterpret_cast<std::uintptr_t>(&caller), std::memory_order_acq_rel, std::memory_order_acquire);
}

/// Runs f, which nobody has started, for `caller`. The same answer.
inline bool co_run(co_frame& f, co_frame& caller) noexcept {
  if (WEFT_UNLIKELY(caller.depth >= co_most_nested)) {
    f.after.store(reinterpret_cast<std::uintptr_t>(&caller), std::memory_order_relaxed);  // [mo:own]
    co_continue(&f);
    return true;
  }
  f.depth = static_cast<std::uint8_t>(caller.depth + 1);
  std::coroutine_handle<>::from_address(f.sp).resume();
  if (WEFT_LIKELY(f.after.load(std::memory_order_acquire) == co_frame::done)) return false;  // [mo:co.after]
  return co_wait(f, caller);
}

/// Where to go on after `from`, which has ended: with `to`, which waited for it. clang makes that a tail call; g++ only at -O2
/// and without sanitizers, which the code cannot ask it: there it counts as one more that is nested.
inline std::coroutine_handle<> co_return_to(runnable& from, runnable& to) noexcept {
#if defined(__clang__)
  to.depth = from.depth;
#else
  if (WEFT_UNLIKELY(from.depth >= co_most_nested)) {
    co_continue(&to);
    return std::noop_coroutine();
  }
  to.depth = static_cast<std::uint8_t>(from.depth + 1);
#endif
  return std::coroutine_handle<>::from_address(to.sp);
}

struct co_final {
  static bool await_ready() noexcept { return false; }
  template <co_promise_type P>
  static std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) noexcept {
    co_frame& f = h.promise();
    std::uintptr_t next = f.after.load(std::memory_order_acquire);  // [mo:co.after]
    // [mo:co.after] acq_rel: release the result to whoever looks, who may then destroy f; acquire who has come to wait.
    if (next == co_frame::nobody && (next = f.after.exchange(co_frame::done, std::memory_order_acq_rel)) == co_frame::nobody) return std::noop_coroutine();
    if (next > co_frame::counted) {
      auto& r = *reinterpret_cast<runnable*>(next);
      if (WEFT_LIKELY((r.flags & runnable::coroutine) != 0)) return co_return_to(f, r);
    }
    return co_finish(&f, next);
  }
  static void await_resume() noexcept {}
};

}  // namespace weft::detail
