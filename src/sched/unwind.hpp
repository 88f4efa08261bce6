// sched/unwind.hpp: a goroutine ends before its function returns: by a forced unwind, which runs the destructors of all its frames,
// innermost first. It is no exception that a handler for a type could name, and a catch (...) that keeps it is a fatal error.
// park() never unwinds: only a public operation does, when it holds nothing any more.
#pragma once

#include "sched/sched.hpp"

/// On a function that has a handler of abi::__forced_unwind&: the C++ runtime enters that with a reference to nothing, which UBSan reports.
#define WEFT_HANDLES_FORCED_UNWIND __attribute__((no_sanitize("null")))

namespace weft {

/// Unwinds the calling goroutine up to the next frame with `catch (abi::__forced_unwind&) { unwound(); }`: the goroutine's first, or
/// that of a task which runs on its stack. What destructors do meanwhile may park.
[[noreturn]] void unwind();
/// First in that handler. Goes on with an unwind that is not weft's (pthread_exit).
void unwound();
/// The world ends, and it is this goroutine's turn.
inline bool is_to_unwind(const runnable* gp) noexcept { return (gp->flags & (g_must_exit | g_unwinding)) == g_must_exit; }
/// Before a wait, after one that was not served, and before a failure, when nothing is held but by objects with destructors:
/// unwinds if the calling goroutine is to.
inline void unwind_if_due() {
  if (const g* gp = current_g(); gp && is_to_unwind(gp)) unwind();
}
/// A task that this goroutine waited for was unwound, and did not give what this one needs to go on: waits for its turn and unwinds.
[[noreturn]] void unwind_in_turn();
/// On std::terminate: if it was called because the calling goroutine cannot unwind (a noexcept function is in the way), says so.
void explain_terminate() noexcept;

}  // namespace weft
