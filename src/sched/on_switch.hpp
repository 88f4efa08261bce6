// sched/on_switch.hpp: the switch hooks of goroutines that have some (g_hooked), as execute.cpp calls them on g0. Such a goroutine
// takes long laps only, so the others pay nothing.
// A goroutine that parks may be found, and run elsewhere, as soon as its commit has let go of what it parks on; and before that the commit
// may hold a lock, under which no code of the user's may run. So `leave` is called after the commit, and the next one to run it waits
// until that is done: g::wakeup says where it is.
#pragma once

#include <cstdint>

#include "sched/sched.hpp"

namespace weft {

enum hooks_at : std::uint32_t {
  hooks_out,     // on no thread
  hooks_in,      // entered, or about to be left
  hooks_stay,    // its park was called off: it goes on where it is
};

/// gp comes to this thread. mp->curg is gp, its errno and exception state are in place: so they are afterwards.
void enter_hooks(m* mp, g* gp) noexcept;
/// gp has left this thread, after its commit.
void leave_hooks(m* mp, g* gp) noexcept;

}  // namespace weft
