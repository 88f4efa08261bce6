// sched/unwind.hpp: a goroutine ends before its function returns: by a forced unwind, which runs the destructors of all its frames,
// innermost first. It is no exception that a handler for a type could name, and a catch (...) that keeps it is a fatal error.
// park() never unwinds: only a public operation does, when it holds nothing any more.
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// Unwinds the calling goroutine up to the next frame with `catch (abi::__forced_unwind&) { unwound(); }`: the goroutine's first, or
/// that of a task which runs on its stack. What destructors do meanwhile may park.
[[noreturn]] void unwind();
/// First in that handler. Goes on with an unwind that is not weft's (pthread_exit).
void unwound();
/// On std::terminate: if it was called because the calling goroutine cannot unwind (a noexcept function is in the way), says so.
void explain_terminate() noexcept;

}  // namespace weft
