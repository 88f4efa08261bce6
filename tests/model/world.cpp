// model/world.cpp: see world.hpp.
#include "world.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include <sys/epoll.h>

#include "os/futex.hpp"
#include "sched/in_runtime.hpp"
#include "sched/lockcheck.hpp"
#include "sched/park.hpp"
#include "machine.hpp"
#include "os/signals.hpp"
#include "sched/procs.hpp"
#include "sched/report.hpp"
#include "sched/traceback.hpp"
#include "sync/chan.hpp"
#include "task/task.hpp"
#include "work/netpoll.hpp"

namespace weft {

namespace {

constexpr std::size_t stack_bytes = 64 * 1024;
constexpr int max_ps = 4, max_threads = 8;

alignas(64) char sched_at_start[sizeof(scheduler)];
alignas(64) char p_memory[max_ps][sizeof(p)];
alignas(64) char g_memory[model::max_goroutines][sizeof(g)];
alignas(64) char waiter_memory[max_threads][sizeof(g)];
alignas(4096) char stacks[model::max_goroutines][stack_bytes];
// What each P has at hand for go(), so that nothing is asked of the process-wide pools, which would remember.
constexpr int spares = 2;
alignas(64) char spare_g_memory[max_ps][spares][sizeof(g)];
alignas(4096) char spare_stacks[max_ps][spares][default_stack_bytes];
std::function<void()> functions[model::max_goroutines];
eh_globals exceptions[max_threads];
int errnos[max_threads];

// Memory that goes at the end of each execution.
alignas(64) char arena[1 << 20];
std::size_t arena_used;

// Static variables of weft's files: as at the start of the process, but for the poller's descriptor, which is there.
void put_back_statics() {
  arena_used = 0;
  no_longer_stopper();
  netpoll_break();
  model::make_ready(model::event_fd, EPOLLIN);  // were a break under way, it would not be signalled again
  static_cast<void>(netpoll(1));
  model::forget_descriptors();
  while (netpoll_waiters() > 0) {
    static g nobody;
    poll_desc pd;
    pd.slot[0].store(reinterpret_cast<std::uintptr_t>(&nobody), std::memory_order_relaxed);
    static_cast<void>(poll_unblock(&pd, direction::read, true));
  }
}
const bool registered = (model::at_start(&put_back_statics), true);

}  // namespace

// What run.cpp and the reports do for a thread.
void bind_thread(m* mp) noexcept {
  self()->mp = mp;
  mp->eh = &exceptions[model::current()];
  mp->err = &errnos[model::current()];
}
void main_ended(m*) noexcept {}
void use_signal_stack(m*) noexcept {}
void drop_signal_stack(m*) noexcept {}
void stack_has_overflowed(const g*) noexcept { rt_throw("stack overflow"); }
void follow_procs(std::int64_t) noexcept {}
void start_lockcheck(lockcheck) noexcept {}
void look_for_locks(const g*) noexcept {}
void note_waiting(std::int64_t) noexcept {}
int os::signal_threads() noexcept { return 0; }

// No model has a channel with a clock, or a task group.
namespace detail {
chan_status take_tick_locked(chan_core*, void*) noexcept { model::fail("a tick"); }
bool is_due(const chan_core*) noexcept { model::fail("a tick"); }
void finish_child(task_base*) noexcept { model::fail("a child of a task group"); }
}  // namespace detail

extern "C" {
// The mutant of go_idle(): its barrier is left out, a thief's is there.
void __real__ZN4weft22barrier_on_all_threadsEv();
void __wrap__ZN4weft22barrier_on_all_threadsEv() {
  int announced;
  std::memcpy(&announced, &thieves.count, sizeof announced);
  if (model::knob() != model::no_barrier_in_go_idle || announced != 0) __real__ZN4weft22barrier_on_all_threadsEv();
}
// The pool would remember stacks that are static here.
void __wrap__ZN4weft11stacks_giveEhPKPcj(std::uint8_t, char* const*, std::uint32_t) {}
void* __wrap_aligned_alloc(std::size_t align, std::size_t size) {
  arena_used = (arena_used + align - 1) & ~(align - 1);
  void* at = arena + arena_used;
  arena_used += size;
  return arena_used <= sizeof arena ? at : nullptr;
}
void* __wrap_malloc(std::size_t size) { return __wrap_aligned_alloc(16, size); }
void __real_free(void* at);
void __wrap_free(void* at) {
  if (at < arena || at >= arena + sizeof arena) __real_free(at);
}
// current_or_thread(): the shipped one keeps the foreign thread's G in a thread_local, and all threads of a model are one.
g* __wrap__ZN4weft17current_or_threadEv() {
  if (g* gp = current_g()) return gp;
  return reinterpret_cast<g*>(waiter_memory[model::current()]);
}
}

namespace model {

world::world(int procs, bool membarrier) {
  static const bool once = (std::memcpy(sched_at_start, static_cast<void*>(&sched), sizeof sched), true);
  static_cast<void>(once);
  std::memcpy(static_cast<void*>(&sched), sched_at_start, sizeof sched);
  thieves.no_membarrier = !membarrier;
  thieves.count.store(membarrier ? 0 : 1, std::memory_order_relaxed);
  sched.deadlock.store(deadlock_policy::off, std::memory_order_relaxed);
  sched.last_poll.store(now(), std::memory_order_relaxed);
  sched.running.store(true, std::memory_order_relaxed);
  for (int i = 0; i < procs; i++) {
    p* pp = ::new (p_memory[i]) p();
    pp->id = i;
    for (int k = 0; k < spares; k++) {
      g* gp = ::new (spare_g_memory[i][k]) g();
      gp->link = pp->free_gs;
      pp->free_gs = gp;
      pp->stacks[k] = spare_stacks[i][k + 1];
    }
    pp->free_count = pp->stack_count = spares;
    sched.ps[i].store(pp, std::memory_order_relaxed);
    name(*pp, "P" + std::to_string(i));
    name(pp->queue, "P" + std::to_string(i) + ".queue");
    name(pp->status, "P" + std::to_string(i) + ".status");
    name(pp->timers, "P" + std::to_string(i) + ".timers");
  }
  for (auto& memory : waiter_memory) {
    g* gp = ::new (memory) g();
    gp->flags = g_thread;
    name(*gp, "thread");
  }
  sched.procs.store(procs, std::memory_order_relaxed);
  name(sched, "sched");
  name(sched.lock, "sched.lock");
  name(sched.spinning, "sched.spinning");
  name(sched.need_spinning, "sched.need_spinning");
  name(sched.idle_p_count, "sched.idle_p_count");
  name(sched.idle_m_count, "sched.idle_m_count");
  name(sched.global, "sched.global");
  name(sched.last_poll, "sched.last_poll");
  name(sched.poll_until, "sched.poll_until");
  name(sched.stopping, "sched.stopping");
  name(thieves, "thieves");
}

g* world::goroutine(std::function<void()> f) {
  const int i = made_++;
  g* gp = ::new (g_memory[i]) g();
  functions[i] = std::move(f);
  gp->closure = &functions[i];
  gp->entry = [](void* c) { (*static_cast<std::function<void()>*>(c))(); };
  gp->id = static_cast<std::uint64_t>(i) + 1;
  gp->stack = {stacks[i], stacks[i] + stack_bytes, sched.stack_size_class};
  gp->sp = arch::forge(gp->stack.high);
  gp->status.store(g_status::runnable, std::memory_order_relaxed);
  name(*gp, "g" + std::to_string(gp->id));
  name(gp->status, "g" + std::to_string(gp->id) + ".status");
  return gp;
}

void world::start(int i) {
  m* mp = make_m();
  name(*mp, "M" + std::to_string(mp->id));
  acquirep(mp, of(i));
  on_thread([mp] {
    bind_thread(mp);
    schedule(mp);
  });
}

void world::start_idle() {
  m* mp = make_m();
  name(*mp, "M" + std::to_string(mp->id));
  on_thread([mp] {
    bind_thread(mp);
    stopm(mp);
    schedule(mp);
  });
}

void world::start_monitor() {
  name(sched.sysmon_signal, "sched.sysmon_signal");
  on_thread([] {
    for (;;) {
      while (sched.sysmon_signal.exchange(0, std::memory_order_acquire) == 0) os::futex_wait(sched.sysmon_signal, 0);
      static_cast<void>(monitor(now()));
    }
  });
}

void submit(g* gp) {
  m* mp = self()->mp;
  const in_runtime inside(mp);
  put_next(mp->pp, gp);
  wakep();
}

}  // namespace model
}  // namespace weft
