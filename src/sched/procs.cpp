// sched/procs.cpp: see procs.hpp. Source: Go's GOMAXPROCS, SetDefaultGOMAXPROCS and sysmonUpdateGOMAXPROCS (proc.go, debug.go).
// Whether the machine is followed is decided under sched.lock, together with the change itself: once set_procs() has returned,
// nobody else changes the number.
#include "sched/procs.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <string_view>
#include <utility>

#include <weft/go.hpp>
#include <weft/run.hpp>

#include "os/cpu.hpp"
#include "sched/lap.hpp"

namespace weft {

namespace {

// Guarded by sched.lock; read without it for a first look.
atomic<bool> following{false};
atomic<bool> change_under_way{false};  // a goroutine that changes the number has been started

// The files are read under a thread's lock: that takes longer than a runtime's lock may be held, and the monitor cannot park.
std::mutex limits_lock;
os::cpu_limits& limits() {
  static auto& all = *new os::cpu_limits();  // never destroyed: the monitor may look while the process ends
  return all;
}

int machine_procs() noexcept {
  const std::lock_guard hold(limits_lock);
  return std::min(limits().default_procs(), max_procs);
}

// WEFT_PROCS; 0: it does not say.
int environment_procs() noexcept {
  const char* text = std::getenv("WEFT_PROCS");
  if (!text) return 0;
  const std::string_view all = text;
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), n);
  if (error == std::errc() && end == all.data() + all.size() && n >= 1) return n < max_procs ? static_cast<int>(n) : max_procs;
  error_text() << "weft: WEFT_PROCS=\"" << text << "\" is not a number of 1 or more: ignored\n";
  return 0;
}

// On a goroutine. What the machine leaves now, not what it left when this was asked for.
void change_to_default(bool by_hand) {
  const int n = machine_procs();
  stopped_world stopped;
  lock_guard hold(sched.lock);
  if (by_hand) following.store(true, std::memory_order_relaxed);
  else if (!following.load(std::memory_order_relaxed)) return;
  if (n != sched.procs.load(std::memory_order_relaxed)) resize_procs_locked(this_m(), n);
}

}  // namespace

void follow_machine(std::string_view root, int cpus) {
  const std::lock_guard hold(limits_lock);
  limits() = os::cpu_limits(root, cpus);
}

int procs_of_run(int option) noexcept {
  const int wanted = sched.wanted_procs.exchange(0, std::memory_order_relaxed);
  if (option > 0) {
    following.store(false, std::memory_order_relaxed);
    return std::min(option, max_procs);
  }
  if (wanted) return wanted;
  if (const int n = sched.procs.load(std::memory_order_relaxed)) return n;
  const int asked = environment_procs();
  following.store(asked == 0, std::memory_order_relaxed);
  return asked ? asked : machine_procs();
}

void follow_procs(std::int64_t now) noexcept {
  static atomic<std::int64_t> look_at{0};
  if (now < look_at.load(std::memory_order_relaxed) || !following.load(std::memory_order_relaxed)) return;
  look_at.store(now + 1'000'000'000, std::memory_order_relaxed);
  if (!sched.running.load(std::memory_order_relaxed) || machine_procs() == sched.procs.load(std::memory_order_relaxed)) return;
  // [mo:follow] acquire, pairs with the release of who has done: it has seen what was to be seen before.
  if (change_under_way.exchange(true, std::memory_order_acquire)) return;
  struct over {  // also when the goroutine is unwound before it has run
    bool mine = true;
    over() = default;
    over(over&& o) noexcept : mine(std::exchange(o.mine, false)) {}
    ~over() {
      if (mine) change_under_way.store(false, std::memory_order_release);  // [mo:follow]
    }
  };
  go([done = over()] { change_to_default(false); });
}

int procs() noexcept {
  if (const int n = sched.procs.load(std::memory_order_relaxed)) return n;
  const int asked = environment_procs();
  return asked ? asked : machine_procs();
}

int set_procs(int n) {
  const int before = procs();
  if (n < 1) return before;
  if (n > max_procs) n = max_procs;
  {
    lock_guard hold(sched.lock);
    following.store(false, std::memory_order_relaxed);
    if (!current_g()) {  // a plain thread: the number is kept for the next run()
      sched.wanted_procs.store(n, std::memory_order_relaxed);
      return before;
    }
    if (sched.procs.load(std::memory_order_relaxed) == n) return n;
  }
  stopped_world stopped;
  lock_guard hold(sched.lock);
  const int old = sched.procs.load(std::memory_order_relaxed);
  if (n != old) resize_procs_locked(this_m(), n);
  return old;
}

void set_default_procs() {
  if (current_g()) return change_to_default(true);
  const int n = machine_procs();
  lock_guard hold(sched.lock);
  following.store(true, std::memory_order_relaxed);
  sched.wanted_procs.store(n, std::memory_order_relaxed);
}

}  // namespace weft
