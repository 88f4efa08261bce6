// sched/lockcheck.hpp: WEFT_DEBUG=lockcheck=1: who parks while it holds a lock of its thread's, a std::mutex say.
#pragma once

#include "sched/sched.hpp"

namespace weft {

enum class lockcheck : std::uint8_t { off, report, fatal };

/// From now on. Every lap is then a long one, which is where the looks are.
void start_lockcheck(lockcheck how) noexcept;

/// gp is about to leave its stack; on it. Says so if it holds a lock: once for each pair of where it was taken and where it parks.
[[gnu::cold, gnu::noinline]] void look_for_locks(const g* gp) noexcept;

}  // namespace weft
