// sched/report.hpp: what a dying process says: uncaught exceptions as panics, and every goroutine.
#pragma once

#include <cstdint>

namespace weft {

class error_text;
struct m;

/// Installs the terminate handler and the dump of goroutines. Once.
void install_reports() noexcept;
/// One line for the code at pc: its function, or else the object that it lies in.
void print_pc(error_text& out, std::uintptr_t pc) noexcept;

// overflow.cpp
/// Stack overflows of goroutines are reported from now on. Once.
void install_overflow_report() noexcept;
/// Gives the calling thread a stack for signals, and takes it away again before the thread ends.
void use_signal_stack(m* mp) noexcept;
void drop_signal_stack(m* mp) noexcept;

}  // namespace weft
