// goroutine/g.hpp: a goroutine. Its record is type-stable memory that is never unmapped, so that who looks at a stale
// pointer (a thief, a dump, a debugger) sees a G, if another one. Its stack is separate and may be given back.
#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/detail/runnable.hpp>

#include "arch/gogo.hpp"
#include "base/atomic.hpp"
#include "base/sanitizers.hpp"
#include "goroutine/timer.hpp"
#include "goroutine/wait_reason.hpp"
#include "mem/stack.hpp"

namespace weft {

struct m;
struct sudog;
struct bubble;
namespace detail {
struct local_node;
struct hooked;
}

/// Who owns the stack in each state is the point of them.
enum class g_status : std::uint8_t {
  idle,      // just taken from a cache: whoever called go() builds the closure on the stack
  runnable,  // on a run queue, or in the hand of who takes it to one: the queue owns the stack
  running,   // the M in g::mp runs on it
  waiting,   // nobody runs on it; whoever finds it (a sudog, a timer, a poll_desc) may make it runnable, once
  syscall,   // as running, in a call that may block: its P may be taken away
  dead,      // ended: on a free list, or about to be
};

/// The C++ runtime's exception state of one thread, as the Itanium ABI lays it out: swapped at each switch (design D5).
struct eh_globals {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

enum g_flags : std::uint16_t {
  g_fp_environment = 1,  // takes its floating-point control words along
  g_thread = 2,          // not a goroutine: stands for a thread that weft did not make
  g_main = 4,            // the goroutine of run()'s function
  g_fresh = 8,           // has never run: it has no stack yet, unless its closure is too large for the record
  g_locked = 16,         // locked to a thread
  g_background = 32,     // gets what the others leave
  g_unwinding = 64,      // ends: a forced unwind runs the destructors of its frames
  g_must_exit = 128,     // the world is unwound and it is this one's turn: its public operation is to unwind (sched/unwind_all.cpp)
  g_claimable = 256,     // waits in park_until(): who wins `claimed` may wake it
  g_in_call = 512,       // in a call that may block (sched/syscall.cpp)
  g_bubbled = 2048,      // belongs to a bubble (sched/bubble.hpp)
  g_from_outside = 4096,  // and waits for what may come from outside of it
  g_taken_in = g_from_outside,  // of one that has never run, and so waits for nothing: a look has taken it in (work/global_runq.hpp)
  g_unguarded = 8192,     // its stack has a canary for a guard
  g_pauser = 16384,       // has paused all others (sched/pause.cpp)
  g_hooked = 32768,       // has switch hooks (sched/on_switch.hpp)
  g_coroutine = runnable::coroutine,  // not a goroutine: a coroutine, which one of a P's carriers runs (sched/carrier.hpp)
  g_long_only = g_fp_environment | g_locked | g_background | g_must_exit | g_in_call | g_bubbled | g_unguarded | g_hooked,  // what a short lap does not know how to switch
  g_special = g_long_only | g_fresh | g_coroutine,
};

inline constexpr std::uint8_t g_wait_noted = 0x80;

struct alignas(64) g : runnable {
  // What a lap touches.
  int saved_errno = 0;
  std::uint32_t many = 0;  // this and `last`: of one that has never run and leads a batch (work/fresh_batches.hpp)
  g* batch = nullptr;      // of who leads a batch, there or of free ones: the batch next to it
  eh_globals eh;
  union {
    void* commit_arg = nullptr;  // for the commit of the park that is under way
    g* last;
  };
  m* mp = nullptr;             // while running; while locked, the thread it is locked to
  runnable* cargo = nullptr;   // a carrier: the coroutine to run; null for all others

  // What it was made with.
  void (*entry)(void*) = nullptr;
  void* closure = nullptr;
  stack_memory stack;
  std::uint64_t id = 0;
  std::uint64_t creator = 0;
  const void* created_at = nullptr;  // the return address of its go()
  const char* name = nullptr;
  std::uint64_t* identity = nullptr;  // the id of the task that runs on this stack for now, made when asked for; null: its own
  std::uint32_t locks_of_thread = 0;   // lock_thread() less unlock_thread()
  bubble* its_bubble = nullptr;        // with g_bubbled
  detail::local_node* locals = nullptr;  // its values of weft::local, newest first; null again when it ends
  atomic<std::int64_t> waiting_since{0};  // with g_wait_noted: when note_waiting() saw it first
  detail::hooked* hooks = nullptr;       // with g_hooked: the latest first
  heap_timer sleep_timer;
  arch::fp_environment fp{};
  sanitizers::stack_state sanitizer;
  atomic<std::uint32_t> wakeup{0};  // g_thread: the futex word it sleeps on. g_hooked: hooks_at

  // The closure, if it fits: then go() touches no stack.
  static constexpr std::size_t small_closure = 64;
  alignas(16) char small[small_closure];

  [[nodiscard]] wait_reason why() const noexcept { return static_cast<wait_reason>(wait.load(std::memory_order_relaxed) & ~g_wait_noted); }
};

/// A first-in first-out list through runnable::link. Owned by one at a time.
struct g_list {
  runnable* first = nullptr;
  runnable* last = nullptr;
  std::uint32_t size = 0;

  [[nodiscard]] bool empty() const noexcept { return first == nullptr; }
  void push_back(runnable* gp) noexcept {
    gp->link = nullptr;
    if (last) last->link = gp;
    else first = gp;
    last = gp;
    size++;
  }
  void push_front(runnable* gp) noexcept {
    gp->link = first;
    first = gp;
    if (!last) last = gp;
    size++;
  }
  [[nodiscard]] runnable* pop_front() noexcept {
    runnable* gp = first;
    if (!gp) return nullptr;
    first = gp->link;
    if (!first) last = nullptr;
    gp->link = nullptr;
    size--;
    return gp;
  }
  void append(g_list& o) noexcept {
    if (o.empty()) return;
    if (last) last->link = o.first;
    else first = o.first;
    last = o.last;
    size += o.size;
    o = {};
  }
};

}  // namespace weft
