// call_c.hpp: to foreign code and back.
// C libraries need deep stacks now and then; a goroutine's is small. And foreign threads call back when they like.
// docs/guide/the_end.md#foreign-code says which of the two is for what.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/async.hpp>
#include <weft/detail/config.hpp>

namespace weft {

namespace detail {
WEFT_API void call_on_g0(void (*f)(void*), void* arg);
WEFT_API void wait_for_init() noexcept;
WEFT_API bool in_goroutine() noexcept;
}  // namespace detail

/// Calls f() on the thread's own stack, at least 8 MiB, and gives what it returns or throws. It may not wait for goroutines there: a
/// channel, mutex or sleep that would park is a fatal error ("schedule: in call_c"); what does not wait works, go() too.
/// It keeps the processor meanwhile.
/// Parks: no.    Threads: any; without a goroutine it is a plain call.    Allocates: no.
template <class F>
auto call_c(F&& f) -> std::invoke_result_t<F> {
  using result = std::invoke_result_t<F>;
  static_assert(!std::is_reference_v<result>, "weft::call_c: f returns a reference; return a pointer");
  struct call {
    F& f;
    std::exception_ptr error = {};
    std::optional<std::conditional_t<std::is_void_v<result>, char, result>> value = {};
    static void run(void* self) {
      auto& c = *static_cast<call*>(self);
      try {
        if constexpr (std::is_void_v<result>) std::invoke(std::forward<F>(c.f));
        else c.value.emplace(std::invoke(std::forward<F>(c.f)));
      } catch (...) {  // no unwinding from one stack to another
        c.error = std::current_exception();
      }
    }
  } c{f};
  detail::call_on_g0(&call::run, &c);
  if (WEFT_UNLIKELY(c.error != nullptr)) std::rethrow_exception(std::move(c.error));
  if constexpr (!std::is_void_v<result>) return *std::move(c.value);
}

/// For a callback on a thread that weft did not make: runs f() as a goroutine, blocks the thread until that has ended, and gives what it
/// returns or throws (task_exited if it exits). An attached thread (attach.hpp) stays a thread, so there too. Before the init tasks of
/// the first run() have ended it waits for them first. In a goroutine it is a plain call.
/// All else works from such threads without it: channels, mutexes, go(), async(). This is for code that must be a goroutine, since
/// it wants an id, or to wait for many things one after the other without a thread that wakes for each.
/// Parks: yes.    Threads: any.    Allocates: a task.
template <class F>
auto call_weft(F&& f) -> std::invoke_result_t<F&> {
  if (detail::in_goroutine()) return std::invoke(f);
  detail::wait_for_init();
  return async([&f]() -> std::invoke_result_t<F&> { return std::invoke(f); }).join();
}

}  // namespace weft
