// sched/procs.hpp: how many Ps there are: what somebody asked for, or else what the machine leaves us, now and later.
#pragma once

#include <cstdint>
#include <string_view>

namespace weft {

/// For a run() that begins: its option; else what set_procs() left for it, or what the last run() had; else WEFT_PROCS; else what
/// the machine leaves us, and only that is followed from then on.
int procs_of_run(int option) noexcept;

/// For the monitor: when nobody has asked for a number, looks whether affinity or quota have changed, at most once a second, and
/// then has a goroutine change the number of Ps. Never waits, allocates nothing while nothing changes. `now` as os::now_ns().
/// The affinity is that of the thread that calls.
void follow_procs(std::int64_t now) noexcept;

/// Another machine to follow, see os::cpu_limits: for tests.
void follow_machine(std::string_view root, int cpus);

}  // namespace weft
