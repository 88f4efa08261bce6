// sched/stats.cpp: see <weft/stats.hpp>.
#include <weft/stats.hpp>

#include <weft/run.hpp>

#include "os/clock.hpp"
#include "sched/attach.hpp"
#include "sched/lap.hpp"

namespace weft {

namespace {
stop_times times_of(const stop_counts& c) noexcept {
  return {.count = c.count.load(std::memory_order_relaxed),
          .wait_ns = c.wait_ns.load(std::memory_order_relaxed),
          .longest_wait_ns = c.longest_wait_ns.load(std::memory_order_relaxed),
          .stopped_ns = c.stopped_ns.load(std::memory_order_relaxed),
          .longest_stopped_ns = c.longest_stopped_ns.load(std::memory_order_relaxed)};
}
}  // namespace

scheduler_stats stats() noexcept {
  scheduler_stats s{};
  s.goroutines = static_cast<std::uint64_t>(goroutines());
  s.threads = static_cast<std::uint64_t>(sched.m_count.load(std::memory_order_relaxed));
  s.procs = static_cast<std::uint64_t>(sched.procs.load(std::memory_order_relaxed));
  s.idle_procs = static_cast<std::uint64_t>(sched.idle_p_count.load(std::memory_order_relaxed));
  s.wakeups = sched.wakeups.load(std::memory_order_relaxed);
  s.started = static_cast<std::uint64_t>(sched.started.load(std::memory_order_relaxed));
  for (auto& slot : sched.ps) {
    const p* pp = slot.load(std::memory_order_acquire);  // [mo:procs]
    if (!pp) break;
    const auto& c = pp->count;
    s.started += static_cast<std::uint64_t>(c.started.load(std::memory_order_relaxed));
    const std::uint64_t short_switches = c.short_switches.load(std::memory_order_relaxed);
    s.short_switches += short_switches;
    s.switches += short_switches + c.switches.load(std::memory_order_relaxed);
    s.parks += c.parks.load(std::memory_order_relaxed);
    s.readies += c.readies.load(std::memory_order_relaxed);
    s.steals += c.steals.load(std::memory_order_relaxed);
    s.stolen += c.stolen.load(std::memory_order_relaxed);
    s.retaken += c.retaken.load(std::memory_order_relaxed);
    s.taken_back += c.taken_back.load(std::memory_order_relaxed);
    s.displaced += c.displaced.load(std::memory_order_relaxed);
    s.polls += c.polls.load(std::memory_order_relaxed);
    s.timers_fired += c.timers_fired.load(std::memory_order_relaxed);
  }
  s.stacks_mapped = stacks_mapped();
  const std::int64_t began = sched.began_ns.load(std::memory_order_relaxed);
  s.uptime = std::chrono::nanoseconds(began != 0 ? os::now_ns() - began : 0);
  s.attached = static_cast<std::uint64_t>(attached_threads());
  s.stops = times_of(sched.stops);
  s.mutator_stops = times_of(sched.mutator_stops);
  return s;
}

}  // namespace weft
