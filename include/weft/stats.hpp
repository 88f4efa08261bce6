// stats.hpp: what the scheduler did since the process started. Sums over processors, read without stopping them:
// each figure is exact for a moment of its own.
#pragma once

#include <chrono>
#include <cstdint>

#include <weft/detail/config.hpp>

namespace weft {

/// How often the world was stopped, and for how long. In nanoseconds; sum and maximum over all stops.
struct stop_times {
  std::uint64_t count;
  std::uint64_t wait_ns, longest_wait_ns;        ///< from the request until all stood still; the wait for one's turn is not in it
  std::uint64_t stopped_ns, longest_stopped_ns;  ///< from then until they went on
};

struct scheduler_stats {
  std::uint64_t goroutines;      ///< alive now
  std::uint64_t started;         ///< ever
  std::uint64_t threads;         ///< weft's own, now
  std::uint64_t procs;
  std::uint64_t idle_procs;
  std::uint64_t switches;        ///< goroutines put on a thread, by either lap
  std::uint64_t short_switches;  ///< of these, straight from another goroutine
  std::uint64_t parks;
  std::uint64_t readies;
  std::uint64_t steals;          ///< times that one processor took work from another
  std::uint64_t stolen;          ///< goroutines taken so
  std::uint64_t wakeups;         ///< threads woken or started to look for work
  std::uint64_t retaken;         ///< times that the monitor took a processor from a goroutine in a call
  std::uint64_t taken_back;      ///< the same by a goroutine that came back from its own call, before the monitor did
  std::uint64_t displaced;       ///< as retaken, from a goroutine that computed and did not yield while others waited
  std::uint64_t polls;           ///< looks at the network poller
  std::uint64_t timers_fired;
  std::uint64_t stacks_mapped;   ///< stacks that exist, in use or cached
  std::uint64_t attached;        ///< threads that weft did not make and knows (attach.hpp), now
  std::chrono::nanoseconds uptime;  ///< since the first run() began, zero before
  stop_times stops;              ///< of all processors: set_procs(), dumps, paused_goroutines, stop_the_world(). The end of run() is none
  stop_times mutator_stops;      ///< of these, those that stopped also what computes or blocks: stop_the_world()
};

/// Threads: any.    Parks: no.    Allocates: no.
WEFT_API scheduler_stats stats() noexcept;

}  // namespace weft
