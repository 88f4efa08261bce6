// sched/report.hpp: what a dying process says: uncaught exceptions as panics, and every goroutine.
#pragma once

namespace weft {

/// Installs the terminate handler and the dump of goroutines. Once.
void install_reports() noexcept;

}  // namespace weft
