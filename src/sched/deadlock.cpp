// sched/deadlock.cpp: when every thread of weft's sleeps and nothing is due, nothing will ever happen again: say so.
// Source: Go's checkdead. A program with threads that weft did not make may still be woken by one of them: then it is silent,
// unless run_options say otherwise.
#include "sched/lap.hpp"

#include <dirent.h>

#include <climits>

#include <weft/run.hpp>

#include "os/signals.hpp"

namespace weft {

namespace {

int threads_of_process() noexcept {
  DIR* d = ::opendir("/proc/self/task");
  if (!d) return INT_MAX;  // cannot tell: say nothing
  int n = 0;
  while (const dirent* e = ::readdir(d)) n += e->d_name[0] != '.';
  ::closedir(d);
  n -= os::signal_threads();
#if WEFT_TSAN
  n--;  // ThreadSanitizer's own
#endif
  return n;
}

}  // namespace

void check_deadlock() noexcept {
  static atomic<std::int64_t> ask_again{0};
  const auto nothing_can_run = [] {
    if (!sched.running.load(std::memory_order_relaxed) || sched.ending.load(std::memory_order_relaxed)) return false;
    if (sched.stopping.load(std::memory_order_relaxed) || dying()) return false;
    if (sched.outsiders.load(std::memory_order_relaxed) != 0) return false;
    if (sched.m_count.load(std::memory_order_relaxed) != sched.idle_m_count.load(std::memory_order_relaxed) + sched.locked_idle) return false;
    if (sched.global.size() != 0 || sched.background.size() != 0 || sched.waiting_ps || sched.given_ps || sched.monitor_polls)
      return false;
    const int n = sched.procs.load(std::memory_order_relaxed);
    if (sched.idle_p_count.load(std::memory_order_relaxed) != n) return false;  // the monitor has one in its hand
    for (int i = 0; i < n; i++) {
      const p* pp = sched.ps[i].load(std::memory_order_relaxed);
      if (pp->status.load(std::memory_order_relaxed) != p::state::idle || pp->timers.earliest() != timer_heap::never || !pp->queue.empty()) return false;
    }
    return true;
  };
  const deadlock_policy policy = sched.deadlock.load(std::memory_order_relaxed);
  if (policy == deadlock_policy::off) return;
  {
    lock_guard hold(sched.lock);
    if (!nothing_can_run()) return;
  }
  if (policy == deadlock_policy::automatic || policy == deadlock_policy::warn) {
    const std::int64_t now = os::now_ns();
    if (now < ask_again.load(std::memory_order_relaxed)) return;
    const bool others = threads_of_process() > sched.m_count.load(std::memory_order_relaxed) + 1;  // and sysmon
    lock_guard hold(sched.lock);
    if (!nothing_can_run()) return;
    if (others || policy == deadlock_policy::warn) {
      ask_again.store(now + 1'000'000'000, std::memory_order_relaxed);
      if (policy == deadlock_policy::warn) error_text() << "weft: warning: all goroutines are asleep\n";
      return;
    }
  }
  if (sched.main_exited.load(std::memory_order_relaxed) && goroutines() == 0) fatal("no goroutines (main called runtime.Goexit) - deadlock!");
  fatal("all goroutines are asleep - deadlock!");
}

}  // namespace weft
