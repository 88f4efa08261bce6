// sched/report.hpp: what a dying process says: uncaught exceptions as panics, and every goroutine.
#pragma once

namespace weft {

struct g;
struct m;

/// Installs the terminate handler, the dump of goroutines, and a handler for SIGQUIT if there is none. Once.
void install_reports() noexcept;

// fault.cpp
/// Stack overflows and other faults of goroutines are reported from now on. Once.
void install_fault_reports() noexcept;
/// gp, which has just left its stack, wrote beyond the end of it (g_unguarded). The process ends.
[[noreturn]] void stack_has_overflowed(const g* gp) noexcept;
/// Gives the calling thread a stack for signals, and takes it away again before the thread ends.
void use_signal_stack(m* mp) noexcept;
void drop_signal_stack(m* mp) noexcept;

}  // namespace weft
