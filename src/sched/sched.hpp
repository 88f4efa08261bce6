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
#include "mem/frame_cache.hpp"
#include "work/forks.hpp"
#include "work/global_runq.hpp"
#include "work/runq.hpp"
#include "work/steal_pace.hpp"
#include "work/timers.hpp"

namespace weft {

struct p;

inline constexpr int max_procs = 1024;

/// What the P's owner should do at its next lap besides running the next goroutine (design D1). Each raiser makes its condition
/// true first and sets its bit then; the long lap takes all bits first and then checks every condition: nothing is lost.
enum attention : std::uint32_t {
  attention_preempt = 1,     // the running goroutine has had its slice
  attention_stop = 2,        // the world stops
  attention_safe_point = 4,  // for_each_p() has a function for this P
  attention_always = 8,      // sched.long_laps: never cleared
  attention_forked = 16,     // this is a forked child, and may not go on
  attention_help = 32,       // others have more than they run: look at their queues first
};

/// How many laps may go by before one must look at the clock, the timers and the global queue. A prime, as in Go.
inline constexpr std::uint32_t laps_between_looks = 61;

/// The processor: the right to run goroutines, and what needs no lock because only its holder touches it.
struct alignas(64) p {
  enum class state : std::uint8_t { idle, running, stopped, dead };

  // What a lap touches.
  atomic<std::uint32_t> attention{0};
  std::uint32_t laps_left = laps_between_looks;
  atomic<m*> mp{nullptr};         // who holds it
  g* free_gs = nullptr;           // records of ended goroutines, less than a batch,
  g* spare_gs = nullptr;          // and one more batch, or null
  std::uint32_t free_count = 0;
  std::uint32_t stack_count = 0;
  atomic<std::uint32_t> tick{0};  // time slices begun: laps that inherited theirs do not count
  std::uint32_t slice_tick = 0;   // the tick at the last look at the clock,
  std::int64_t slice_start = 0;   // and when that was
  std::uint64_t give_up_at = UINT64_MAX;   // the lap whose goroutine is to give this P up at its next safe point; guarded by sched.lock
  std::uint64_t next_id = 0, last_id = 0;  // goroutine ids set aside for this P
  std::uint32_t starts_left = laps_between_looks;  // until a goroutine that starts others looks at the clock,
  bool slice_may_end_early = false;                // and whether it gives way when it has filled the ring
  std::uint8_t look_turn = 0;         // look.cpp: what it takes in next where there is room for one only,
  std::uint8_t unstarted_turn = 0;    // and whether a fork or a task,
  std::uint16_t fresh_turn = 0;       // and whose of those that have never run,
  std::int64_t first_run_at = 0;      // when it last took in the oldest that had never run,
  atomic<std::int64_t> looked_at{0};  // when it was last there,
  std::int64_t background_since = 0;  // and since when the goroutine of the background runs that it has let run last
  struct counters {
    atomic<std::uint64_t> switches{0}, short_switches{0}, parks{0}, retaken{0}, taken_back{0}, displaced{0}, readies{0};
    atomic<std::uint64_t> steals{0}, stolen{0}, polls{0}, timers_fired{0};
    atomic<std::int64_t> started{0}, ended{0};
  } count;
  atomic<void*> tasks{nullptr};   // task/: unstarted tasks
  frame_cache frames;             // coro/: memory of coroutines that have ended
  static constexpr std::uint32_t stack_cache = 64;
  char* stacks[stack_cache];      // high ends of free stacks of the default size, the warmest last

  g* carriers = nullptr;          // of coroutines, those that rest: sched/carrier.hpp
  std::uint32_t carrier_count = 0;

  runq queue;
  forks forked;
  timer_heap timers;

  // Guarded by sched.lock.
  alignas(64) fresh_batches fresh;  // of the global queue, those that have overflowed here; their size may be read without
  alignas(64) atomic<state> status{state::idle};
  atomic<bool> safe_point{false};  // for_each_p() has not been here yet; the owner's long lap looks without the lock
  // How many calls may be taken to be as long as the last one that was, before the monitor has looked. retake_old_p() looks without the lock.
  static constexpr int guesses_after_long_call = 8;
  atomic<int> guesses{0};
  p* link = nullptr;
  m* stopped_by = nullptr;  // who brought it to the last stop, and is to go on with it: its caches are warm there
  int id = 0;

  /// The call in which the monitor saw its M last, by that M's count: when it is still in it, it is a call that lasts.
  atomic<std::uint64_t> call_seen{0};
  /// What the monitor saw here, and since when it has not changed. Its own.
  struct sight {
    const m* mp = nullptr;
    std::uint64_t calls = 0, laps = 0;
    std::uint32_t tick = 0;
    std::int64_t calls_since = 0, laps_since = 0, tick_since = 0, helped_at = 0;
    std::int64_t asked_at = 0;  // 0: its goroutine has not been asked to give way
    bool reported = false;
  } seen;
};

/// The P that an M holds, or null. Changed by the M itself, inside weft, or by a taker while the M is outside (in_runtime.hpp).
class held_p {
 public:
  operator p*() const noexcept { return p_.load(std::memory_order_relaxed); }
  p* operator->() const noexcept { return p_.load(std::memory_order_relaxed); }
  held_p& operator=(p* pp) noexcept { return p_.store(pp, std::memory_order_relaxed), *this; }

 private:
  atomic<p*> p_{nullptr};
};

/// Whose code runs on the scheduler's stack, besides weft's.
enum class guest : std::uint8_t { none, call_c, hook };

/// A thread of weft's. Its record is type-stable: a taker may look at one that has just ended.
struct alignas(64) m {
  void* g0_sp = nullptr;    // the context of the scheduler on this thread's own stack, while a goroutine runs
  g* curg = nullptr;        // the goroutine that runs
  held_p pp;
  atomic<bool> in_rt{true};     // inside weft: in_runtime.hpp
  atomic<bool> taking{false};   // somebody is about to take its P
  atomic<std::uint32_t> held_up{0};  // it stands still at the entry of weft, or in its signal's handler, for the stop of this number
  atomic<bool> leaving{false};    // without a P, a goroutine is on its way off its stack
  guest on_g0 = guest::none;
  atomic<std::uint32_t> visits{0};  // of such guests, come and gone: odd, one is there
  atomic<bool> displaced{false};  // its P was taken while it computed; guarded by sched.lock
  eh_globals* eh = nullptr; // this thread's C++ exception state,
  int* err = nullptr;       // and its errno: fetched once, at its start
  runnable* chosen = nullptr;  // what a short lap took from the queue and could not switch to,
  slice chosen_slice = slice::fresh;  // and whose slice that goes on with
  bool spinning = false;    // searches for work
  std::uint8_t vain_wakeups = 0;  // times in a row that it was woken soon after it had gone to sleep, and found nothing
  std::int64_t slept_at = 0;
  steal_pace pace;
  std::uint64_t stacks_seen = 0;   // give_memory_back(): stacks_activity() at the last look,
  std::int64_t stacks_still_at = 0;  // and since when it has stood still
  bool is_main = false;     // the thread that called run()
  bool lands = false;       // it has arrived on a stack, and finishes for the goroutine that was left
  bool main_ended = false;  // main's goroutine has just ended here
  atomic<std::uint64_t> calls{0};  // blocking calls entered and left: odd, it is in one
  p* old_p = nullptr;              // the P it had before its call
  thread_state* own = nullptr;     // its thread's; while it holds a P
  g* locked_g = nullptr;           // the goroutine that is locked to this thread,
  atomic<bool> locked_wait{false}; // for which it sleeps
  bool ends = false;               // a goroutine ended locked to this thread: nobody may have it any more
  random_source random;
  sanitizers::stack_state g0_sanitizer;
  arch::fp_environment fp{};  // as the thread had it
  void* signal_stack = nullptr;  // our own, if the thread had none
  std::size_t signal_stack_bytes = 0;

  // Guarded by sched.lock.
  note parked;
  p* next_p = nullptr;      // handed over with the wake-up,
  slice next_slice = slice::fresh;  // and to a locked M also this
  m* idle_next = nullptr;
  m* idle_prev = nullptr;
  bool on_idle_list = false;
  std::uint64_t id = 0;
  pthread_t thread{};
};

/// How long stops of the world took (weft::stop_times). Written by who is the stopper.
struct stop_counts {
  atomic<std::uint64_t> count{0}, wait_ns{0}, longest_wait_ns{0}, stopped_ns{0}, longest_stopped_ns{0};
  void add(std::int64_t asked, std::int64_t stopped, std::int64_t end) noexcept;
};

/// Where an M lies: in one list for good, however often it is used again.
struct m_node {
  m_node* next = nullptr;  // written once
  alignas(m) unsigned char memory[sizeof(m)];
  [[nodiscard]] m* get() noexcept { return reinterpret_cast<m*>(memory); }
};

/// What each lap or each submission reads lies in other cache lines than what others write meanwhile: each alignas(64) begins one.
struct scheduler {
  alignas(64) ranked_lock<rank::sched> lock;

  // Guarded by lock; what is atomic may be read without.
  m* idle_ms = nullptr;
  p* idle_ps = nullptr;
  g* free_gs = nullptr;       // records of ended goroutines,
  g* free_batches = nullptr;  // and batches of them, joined by g::batch
  atomic<int> free_hint{0};   // whether the list is worth a look
  atomic<int> idle_m_count{0};
  alignas(64) global_runq global;
  alignas(64) atomic<int> idle_p_count{0};
  atomic<int> spinning{0};         // Ms that search, sched/idle.cpp has the protocol
  atomic<bool> need_spinning{false};
  alignas(64) global_runq background;  // of go_priority::background: what is left over is theirs
  std::int64_t background_due = 0;  // when the next of them is to run though others are runnable
  atomic<int> m_count{0};
  std::uint64_t next_m_id = 0;
  int max_ms = 10'000;
  int soft_ms = 512;               // beyond it sysmon starts threads, one at a time
  p* waiting_ps = nullptr;         // Ps that wait for a thread because of that
  p* given_ps = nullptr;           // Ps given up at safe points, for sysmon to hand over
  bool monitor_polls = false;      // it may have goroutines in its hand: no deadlock
  int locked_idle = 0;             // locked Ms that sleep until their goroutine can run
  m* free_ms = nullptr;            // records of threads that ended
  atomic<m_node*> all_ms{nullptr};  // all records there are
  m* new_ms = nullptr;             // threads that sysmon is to make
  atomic<int> displaced{0};        // goroutines that run without the P that was theirs

  // Stopping (sched/stop.cpp).
  alignas(64) atomic<bool> stopping{false};
  int stop_wait = 0;
  note stopped;
  std::int64_t stop_asked_at = 0, stop_since = 0;  // the stopper's; 0: nothing to be counted
  stop_counts stops, mutator_stops;
  atomic<std::uint32_t> stand_still{0};  // the number of the stop of all mutators that is under way (sched/stop_mutators.cpp), or 0

  // For each P (sched/for_each_p.cpp).
  void (*safe_point_fn)(p* pp, void* arg) noexcept = nullptr;
  void* safe_point_arg = nullptr;
  int safe_point_wait = 0;             // Ps that it has not been called for
  note safe_points_done;

  // The one thread that blocks in the poller.
  alignas(64) atomic<std::int64_t> last_poll{0};  // when it last came back; 0: it is in there
  atomic<std::int64_t> poll_until{0};  // and for how long, at most

  alignas(64) atomic<std::uint64_t> ids{1};  // goroutine ids given out to Ps; 1 is main's
  atomic<std::uint64_t> wakeups{0};
  atomic<std::int64_t> started{0}, ended{0};  // goroutines counted without a P
  alignas(64) atomic<p*> ps[max_procs] = {};
  atomic<int> procs{0};
  std::uint8_t stack_size_class = stack_class(default_stack_bytes);

  // run() (sched/run.cpp).
  atomic<bool> running{false};
  atomic<bool> ending{false};          // main's function has returned
  atomic<bool> exiting{false};         // exit() has stopped the world
  atomic<bool> main_exited{false};     // main's goroutine has ended otherwise: by this_goroutine::exit()
  m* main_m = nullptr;
  atomic<std::int64_t> began_ns{0};    // when the first run() began; 0: not yet
  atomic<deadlock_policy> deadlock{deadlock_policy::automatic};  // run() sets it while Ms of an earlier run() sleep and look
  atomic<int> bubbles{0};              // with goroutines in them (sched/bubble.hpp)
  atomic<int> outsiders{0};            // who may make a goroutine runnable from outside, at any time: then nothing is a deadlock
  atomic<int> wanted_procs{0};         // set_procs() before run()

  // sysmon (sched/sysmon.cpp).
  alignas(64) atomic<std::uint32_t> sysmon_signal{0};  // what it sleeps on
  atomic<bool> sysmon_deep{false};          // it sleeps until a P is taken from the idle list
  bool sysmon_rests = true;                 // between two runs; guarded by lock
  std::int64_t patience_ended = 0;          // when it last made a thread for one of waiting_ps
  std::int64_t trace_every_ns = 0;          // WEFT_DEBUG=schedtrace
  bool trace_detail = false;
  std::int64_t slice_ns = 10'000'000;       // WEFT_DEBUG=slice: how long one may run while others wait
  std::int64_t report_slices_ns = 0;        // WEFT_DEBUG=longslice
  atomic<bool> unwinds{false};         // at_exit::unwind: goroutines wait so that the end can claim them, as a time-out would
  atomic<bool> unwinding{false};       // unwind_all() is at work: all laps are long

  // The gate in schedule(), of unwind_all() and of paused_goroutines: 0, it is open; else only who has one of these flags passes, and
  // all laps are long. It is closed while the world is stopped.
  atomic<std::uint16_t> gate{0};
  g_list held;                         // by the gate
  int pauses = 0;                      // paused_goroutines of the one that may run; its own

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
  m* mp = this_m();
  return mp ? mp->curg : nullptr;
}

}  // namespace weft
