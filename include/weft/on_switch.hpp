// on_switch.hpp: what a library keeps for each thread (a locale, OpenSSL's queue of errors, a current context) goes along with a goroutine.
#pragma once

#include <weft/detail/config.hpp>

namespace weft {

struct g;  // src/goroutine/g.hpp

/// Called on the thread that the goroutine comes to or leaves, on that thread's own large stack. They may not wait for goroutines: a
/// channel, mutex or sleep that would park is a fatal error ("schedule: in a switch hook"). errno is the thread's. They should be short:
/// the thread has its processor meanwhile, and others wait for it.
struct switch_hooks {
  void (*enter)(void* arg) noexcept = nullptr;  ///< puts the goroutine's state in the place of the thread's
  void (*leave)(void* arg) noexcept = nullptr;  ///< takes it away again
  void* arg = nullptr;
};

namespace detail {
struct hooked {
  switch_hooks hooks;
  hooked* older = nullptr;
  g* owner = nullptr;  // null: a plain thread
};
WEFT_API void begin_hooks(hooked& h);
WEFT_API void end_hooks(hooked& h) noexcept;
}  // namespace detail

/// While it lives, enter and leave are called around each stretch of the goroutine that made it on one thread: enter at once and
/// whenever it comes to a thread, leave whenever it leaves one and at the end. Between two it may be on another thread, or on none.
/// Nests: of several, the latest is left first and entered last. A task that join() runs on the joiner's stack runs between the joiner's.
/// On a plain thread they are called at the begin and at the end.
/// Its goroutine goes over the scheduler's stack at each switch, two switches for one; no other goroutine pays anything.
/// Destroyed by another goroutine, not latest first, or not before the goroutine's end: fatal. So: a local variable.
/// Parks: no.    Threads: any; not over a co_await.    Allocates: no.    Example: tests/hazard/on_switch_test.cpp
class [[nodiscard]] on_switch {
 public:
  explicit on_switch(const switch_hooks& hooks) : h_{.hooks = hooks} { detail::begin_hooks(h_); }
  ~on_switch() { detail::end_hooks(h_); }
  on_switch(const on_switch&) = delete;
  on_switch& operator=(const on_switch&) = delete;

 private:
  detail::hooked h_;
};

}  // namespace weft
