// sched/sched.hpp: the scheduler's own state: M, P, and what they share. The steps of the lap are declared in sched/lap.hpp.
#pragma once

#include <pthread.h>

#include <cstdint>

#include <weft/run.hpp>

#include "base/atomic.hpp"
#include "base/random.hpp"
#include "goroutine/g.hpp"
#include "lock/lock.hpp"
#include "lock/note.hpp"
#include "work/global_runq.hpp"
#include "work/runq.hpp"
#include "work/timers.hpp"

namespace weft {

struct p;

inline constexpr int max_procs = 1024;

/// What the P's owner should do at its next lap besides running the next goroutine (design D1). Each raiser makes its condition
/// true first and sets its bit then; the long lap takes all bits first and then checks every condition: nothing is lost.
enum attention : std::uint32_t {
  attention_preempt = 1,  // the running goroutine has had its slice
  attention_stop = 2,     // the world stops
  attention_safe_point = 4,
  attention_always = 8,   // sched.long_laps: never cleared
};

/// How many laps may go by before one must look at the clock, the timers and the global queue. A prime, as in Go.
inline constexpr std::uint32_t laps_between_looks = 61;
inline constexpr std::int64_t slice_ns = 10'000'000;

/// The processor: the right to run goroutines, and what needs no lock because only its holder touches it.
struct alignas(64) p {
  enum class state : std::uint8_t { idle, running, stopped, dead };

  // What a lap touches.
  atomic<std::uint32_t> attention{0};
  std::uint32_t laps_left = laps_between_looks;
  m* mp = nullptr;
  g* free_gs = nullptr;           // records of ended goroutines
  std::uint32_t free_count = 0;
  std::uint32_t stack_count = 0;
  std::uint32_t tick = 0;         // time slices begun: laps that inherited theirs do not count
  std::uint32_t slice_tick = 0;   // the tick at the last look at the clock,
  std::int64_t slice_start = 0;   // and when that was
  std::uint64_t next_id = 0, last_id = 0;  // goroutine ids set aside for this P
  struct counters {
    atomic<std::uint64_t> switches{0}, short_switches{0}, parks{0}, readies{0}, steals{0}, stolen{0}, polls{0}, timers_fired{0};
    atomic<std::int64_t> started{0}, ended{0};
  } count;
  atomic<void*> tasks{nullptr};   // task/: unstarted tasks
  static constexpr std::uint32_t stack_cache = 64;
  char* stacks[stack_cache];      // high ends of free stacks of the default size, the warmest last

  runq queue;
  timer_heap timers;

  // Guarded by sched.lock.
  atomic<state> status{state::idle};
  p* link = nullptr;
  int id = 0;
};

/// A thread of weft's.
struct alignas(64) m {
  void* g0_sp = nullptr;    // the context of the scheduler on this thread's own stack, while a goroutine runs
  g* curg = nullptr;        // the goroutine that runs
  p* pp = nullptr;          // the P held, or null
  eh_globals* eh = nullptr; // this thread's C++ exception state,
  int* err = nullptr;       // and its errno: fetched once, at its start
  g* chosen = nullptr;      // what a short lap took from the queue and could not switch to
  bool spinning = false;    // searches for work
  std::uint8_t vain_wakeups = 0;  // times in a row that it was woken soon after it had gone to sleep, and found nothing
  std::int64_t slept_at = 0;
  bool stole_little = false;   // its last spell of stealing,
  std::int64_t stole_at = 0;   // and when
  std::uint64_t stacks_seen = 0;   // give_memory_back(): stacks_activity() at the last look,
  std::int64_t stacks_still_at = 0;  // and since when it has stood still
  bool is_main = false;     // the thread that called run()
  bool main_ended = false;  // main's goroutine has just ended here
  random_source random;
  sanitizers::stack_state g0_sanitizer;
  arch::fp_environment fp{};  // as the thread had it
  void* signal_stack = nullptr;  // our own, if the thread had none
  std::size_t signal_stack_bytes = 0;

  // Guarded by sched.lock.
  note parked;
  p* next_p = nullptr;      // handed over with the wake-up
  m* idle_next = nullptr;
  m* idle_prev = nullptr;
  bool on_idle_list = false;
  std::uint64_t id = 0;
  pthread_t thread{};
};

struct scheduler {
  ranked_lock<rank::sched> lock;

  // Guarded by lock; what is atomic may be read without.
  m* idle_ms = nullptr;
  atomic<int> idle_m_count{0};
  p* idle_ps = nullptr;
  atomic<int> idle_p_count{0};
  atomic<int> spinning{0};         // Ms that search, sched/idle.cpp has the protocol
  atomic<bool> need_spinning{false};
  global_runq global;
  atomic<int> m_count{0};
  std::uint64_t next_m_id = 0;
  int max_ms = 10'000;
  g* free_gs = nullptr;            // records of ended goroutines
  atomic<int> free_hint{0};        // whether the list is worth a look

  // Stopping (sched/stop.cpp).
  atomic<bool> stopping{false};
  int stop_wait = 0;
  note stopped;

  // The one thread that blocks in the poller.
  atomic<std::int64_t> last_poll{0};   // when it last came back; 0: it is in there
  atomic<std::int64_t> poll_until{0};  // and for how long, at most

  atomic<p*> ps[max_procs] = {};
  atomic<int> procs{0};
  atomic<std::uint64_t> ids{1};        // goroutine ids given out to Ps; 1 is main's
  atomic<std::uint64_t> wakeups{0};
  atomic<std::int64_t> started{0}, ended{0};  // goroutines counted without a P
  std::uint8_t stack_size_class = stack_class(default_stack_bytes);

  // run() (sched/run.cpp).
  atomic<bool> running{false};
  atomic<bool> ending{false};          // main's function has returned
  m* main_m = nullptr;
  atomic<deadlock_policy> deadlock{deadlock_policy::automatic};  // run() sets it while Ms of an earlier run() sleep and look
  atomic<int> wanted_procs{0};         // set_procs() before run()

  // WEFT_DEBUG.
  bool long_laps = false;  // every lap is a long one: for what follows
  bool lockcheck = false;  // sched/lockcheck.hpp
  bool chaos = false;
  std::uint64_t seed = 0;
};

extern scheduler sched;

/// The G that stands for the calling thread or goroutine: what a sudog may name.
g* current_or_thread() noexcept;

/// The running goroutine, or null: on a foreign thread, or in the scheduler.
[[gnu::always_inline]] inline g* current_g() noexcept {
  m* mp = self()->mp;
  return mp ? mp->curg : nullptr;
}

}  // namespace weft
