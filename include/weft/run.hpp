// run.hpp: where a program of weft begins and ends, and how wide it runs.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>

namespace weft {

/// What becomes of the goroutines that are left when main's function returns.
enum class at_exit_policy {
  stop,    ///< they stay parked as they are; a later run() continues the same world (design D9)
  unwind,  ///< each is unwound where it waits, children before parents: destructors run, and a later run() begins with nothing.
           ///< docs/guide/the_end.md says what holds up a goroutine; such a one stays as it is, and a line on stderr names it
};

/// What a deadlock of all goroutines leads to.
enum class deadlock_policy {
  automatic,  ///< fatal, unless the process has threads that are not weft's, which might end it
  fatal,
  warn,
  off,
};

struct run_options {
  // What changes behaviour:
  at_exit_policy at_exit = at_exit_policy::stop;
  deadlock_policy deadlock = deadlock_policy::automatic;
  std::string_view debug = {};  ///< settings as in WEFT_DEBUG, which is read after them and wins
  // What changes only speed and memory:
  int procs = 0;                ///< how many goroutines run at once; 0: as in the last run(), else WEFT_PROCS, else CPUs, affinity and cgroup quota
  std::size_t stack_size = 0;   ///< bytes of address space per goroutine, rounded up to a power of two; 0: 256 KiB. Counts in the first run()
};

namespace detail {
WEFT_API int run_main(void (*call)(void*), void* arg, int* value, const run_options& options);
}

/// Runs f as a goroutine (number 1 in the first run) and returns its int (0 for void) when it returns.
///
/// Exit hooks run first, latest registered first. Other goroutines are not waited for: they stay as they are, and go
/// on in a later run(), or are unwound (run_options.at_exit). If one of them cannot be stopped within a grace time, the process ends by _exit with the value.
/// A run() inside run(), or beside another, is a fatal error. f may be callable with () or (int argc, char** argv).
/// Threads:   a thread that weft did not make; it becomes one of weft's for the time.    Example: examples/hello.cpp
template <class F>
  requires std::is_invocable_v<F&>
int run(F&& f, const run_options& options = {}) {
  struct call {
    F& f;
    int value = 0;
    static void invoke(void* self) {
      auto& c = *static_cast<call*>(self);
      if constexpr (std::is_convertible_v<std::invoke_result_t<F&>, int>) c.value = std::invoke(c.f);
      else std::invoke(c.f);
    }
  } c{f};
  return detail::run_main(&call::invoke, &c, &c.value, options);
}
template <class F>
  requires std::is_invocable_v<F&, int, char**>
int run(F&& f, int argc, char** argv, const run_options& options = {}) {
  return run([&] { return std::invoke(f, argc, argv); }, options);
}

/// Ends the process with this status: exit hooks, C's atexit handlers and stdio as std::exit does. Called by a goroutine, the
/// others are stopped first, where they are.    Threads: any.    Parks: no.
[[noreturn]] WEFT_API void exit(int status);
/// Registers a hook that run() or exit() calls, latest first.    Threads: any.    Allocates: yes.
WEFT_API void at_exit(std::function<void()> hook);

/// The number of processors: how many goroutines run at once.    Threads: any.    Parks: no.
WEFT_API int procs() noexcept;
/// Sets it when n is 1 or more, at most 1,024, and stops following the machine's; returns the previous value.
/// Stops the scheduler for a moment. On a thread that is not a goroutine's it counts from the next run() on.
/// Threads: any.    Parks: yes.
WEFT_API int set_procs(int n);
/// Sets it to what the machine leaves this process (CPUs, affinity, the cgroup's CPU quota), WEFT_PROCS notwithstanding, and
/// follows that from now on, with a look once a second at most. That is the state in which a program starts when neither
/// WEFT_PROCS nor run_options say otherwise. On a thread that is not a goroutine's it counts from the next run() on.
/// Threads: any.    Parks: yes.    Allocates: seldom.
WEFT_API void set_default_procs();
/// Gives back to the kernel, and to malloc, what weft keeps for the next goroutines and coroutines: the pages of all free stacks and the
/// frames of coroutines that have ended, the caches of all processors included. For after a burst. What is used next is a little dearer.
/// Of its own accord weft gives back only stacks, when it has been quiet for a while, and keeps 2,048. What malloc keeps is malloc's matter.
/// Goroutines that compute or are in calls that block are not waited for. Between two run() only what no processor has is given back.
///
/// Parks:      until its turn.    Threads: any.    Allocates: yes, a little, and does without if it cannot.    Throws: nothing.
WEFT_API void release_memory() noexcept;
/// How many goroutines there are: those that were started and have not ended, main's included, weft's own not. What the ones that have
/// ended did happens before what the caller does next, so a loop until it is 1 is a way, if a poor one, to wait for all.
WEFT_API int goroutines() noexcept;

}  // namespace weft
