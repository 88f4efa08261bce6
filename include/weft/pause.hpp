// pause.hpp: all goroutines but one are set aside for a while. Source: Go's schedEnableUser (proc.go), there for the collector alone.
#pragma once

#include <weft/detail/config.hpp>

namespace weft {

/// While it lives, only the calling goroutine runs: for fork(), for a debugger's freeze, for a test that wants to look at what the others
/// have left, or set up what they are to find, without their moving on.
///
/// When the constructor returns, no other goroutine or coroutine runs but those that compute without a call of weft, or are in calls
/// that block: these go on, and stop where they next call weft or their call returns (a free mutex is taken without a call);
/// still_running() tells. Who is runnable, becomes runnable (by a timer, the network, the caller, a plain thread) or is started is set
/// aside, functions of after_func() included. The destructor lets all go on, in the order in which they were set aside (they go to the
/// global queue, of which each processor takes a batch at a time).
///
/// The caller may do what it likes, and park: but who waits for one that is set aside waits for ever, which is reported as a deadlock. Timers and
/// the poller go on, so it may sleep, and talk to sockets and plain threads. stop_the_world() stops the others wherever they are, for shorter.
/// Ends the process: called in a coroutine; destroyed by another goroutine; not destroyed when the caller ends.
/// Nests.  Another goroutine's pause waits until this one is over. While at_exit::unwind unwinds, it does nothing: nobody else runs then.
/// Parks: until its turn.    Threads: goroutines.    Allocates: no.    Throws: nothing.
class paused_goroutines {
 public:
  WEFT_API paused_goroutines() noexcept;
  WEFT_API ~paused_goroutines();
  paused_goroutines(const paused_goroutines&) = delete;
  paused_goroutines& operator=(const paused_goroutines&) = delete;

  /// How many others are still in code that does not call weft, or in a call that blocks. Never grows.
  [[nodiscard]] WEFT_API int still_running() const noexcept;

 private:
  bool active_ = true;
};

}  // namespace weft
