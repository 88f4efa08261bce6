// debug.hpp: looking at a program from inside. Source of the idea: Go's runtime/debug and SIGQUIT.
#pragma once

#include <iosfwd>

#include <weft/detail/config.hpp>

namespace weft::debug {

/// Writes every goroutine to os, the calling one first: its state (and how long it has been in it, once that has been seen
/// for a minute), its stack with functions, files and lines, and who created it. The same as SIGQUIT writes to stderr.
///
/// The others stop while their stacks are read, a few microseconds for each; those that run and do not call weft run on, and
/// are listed without a stack. WEFT_TRACEBACK=system shows weft's own frames too.
/// Parks: only if the stream does.    Threads: any.    Allocates: yes.    Throws: what the stream throws; std::bad_alloc.
WEFT_API void dump(std::ostream& os);

}  // namespace weft::debug
