// task/task.cpp: tasks of async() that have not started, and who starts them (design D12).
// Each P has a list of them, newest at the back, under a lock of its own. join() of an unstarted task takes it off the list
// and runs it right there, on the joiner's stack; the P's scheduler takes the newest when it has nothing else; thieves, and
// every 61st lap, take the oldest, which is the largest piece of a tree. Off the list means claimed: there is no other race.
//
// A task that runs on its joiner's stack still has an identity of its own: an id, when it asks for one.
#include <cxxabi.h>

#include <cstdlib>
#include <new>
#include <stdexcept>

#include <weft/detail/task_core.hpp>
#include <weft/error.hpp>
#include <weft/go.hpp>
#include <weft/this_goroutine.hpp>

#include "goroutine/sudog.hpp"
#include "sched/bubble.hpp"
#include "sched/park.hpp"
#include "sched/suspend.hpp"
#include "sched/unwind.hpp"
#include "sched/upcalls.hpp"
#include "task/task.hpp"

namespace weft::detail {

namespace {

constexpr std::size_t class_bytes = 64, classes = 4, cached = 64;  // blocks of 64, 128, 192, 256 bytes

/// What a P has for tasks.
struct alignas(64) tasks_of_p {
  ranked_lock<rank::leaf> lock;
  atomic<task_base*> newest{nullptr};  // changed under lock; others look whether it is null
  task_base* oldest = nullptr;         // guarded by lock
  // Owner only: blocks that may be used again.
  struct block {
    block* next;
  };
  block* free[classes] = {};
  std::uint32_t free_count[classes] = {};
};

tasks_of_p* of(p* pp) noexcept { return static_cast<tasks_of_p*>(pp->tasks.load(std::memory_order_acquire)); }  // [mo:tasks]

[[gnu::cold, gnu::noinline]] tasks_of_p* make_tasks(p* pp) noexcept {
  void* memory = std::aligned_alloc(alignof(tasks_of_p), sizeof(tasks_of_p));
  if (!memory) fatal("out of memory: tasks");
  auto* t = ::new (memory) tasks_of_p();
  pp->tasks.store(t, std::memory_order_release);  // [mo:tasks]
  return t;
}
[[gnu::always_inline]] inline tasks_of_p* of_mine(p* pp) noexcept {
  tasks_of_p* t = of(pp);
  return __builtin_expect(t != nullptr, 1) ? t : make_tasks(pp);
}

// The P of the goroutine that runs on mp; null without one, and in the scheduler. Inside weft.
p* p_of(const m* mp) noexcept { return mp && mp->curg ? +mp->pp : nullptr; }
tasks_of_p* of_goroutine(const m* mp) noexcept {
  p* pp = p_of(mp);
  return pp ? of(pp) : nullptr;
}

void push_locked(tasks_of_p* l, task_base* t) noexcept {
  t->newer = nullptr;
  t->older = l->newest.load(std::memory_order_relaxed);
  if (t->older) t->older->newer = t;
  else l->oldest = t;
  l->newest.store(t, std::memory_order_relaxed);
  t->home.store(l, std::memory_order_relaxed);
}

[[gnu::always_inline]] inline void remove_locked(tasks_of_p* l, task_base* t) noexcept {
  if (t->newer) t->newer->older = t->older;
  else l->newest.store(t->older, std::memory_order_relaxed);
  if (t->older) t->older->newer = t->newer;
  else l->oldest = t->newer;
  t->home.store(nullptr, std::memory_order_relaxed);
}

// this_goroutine::exit(), of this task alone. In a handler.
[[gnu::cold]] void has_exited(task_base* t) {
  unwound();
  t->state.fetch_or(exited, std::memory_order_relaxed);  // [mo:own] published by finish()
}

[[gnu::noinline]] WEFT_HANDLES_FORCED_UNWIND void call_detached(task_base* t) {
  try {
    t->run(t);
  } catch (abi::__forced_unwind&) {
    has_exited(t);
  }
}

}  // namespace

WEFT_HANDLES_FORCED_UNWIND void call(task_base* t) {
  if (t->state.load(std::memory_order_relaxed) & detached) return call_detached(t);
  try {
    t->run(t);
  } catch (abi::__forced_unwind&) {
    has_exited(t);
  } catch (...) {
    t->error = std::current_exception();
  }
}

namespace {

[[gnu::cold, gnu::noinline]] void tell_of_exit(task_base* t) {
  // It did not choose to exit, but the world ends: so does who needs its result.
  if (const g* gp = current_g(); gp && (gp->flags & g_unwinding) == 0 && sched.unwinding.load(std::memory_order_relaxed)) unwind_in_turn();
  t->error = std::make_exception_ptr(task_exited());
}
[[gnu::always_inline]] inline void tell_joiner(task_base* t) {
  if (__builtin_expect((t->state.load(std::memory_order_relaxed) & exited) != 0, 0)) tell_of_exit(t);
}

}  // namespace

void rethrow_unseen(const std::exception_ptr& e) noexcept { std::rethrow_exception(e); }

namespace {

// Drops the runner's reference; an exception that the handle's owner will never see is a panic.
void finish(task_base* t) noexcept {
  const std::uint32_t old = t->state.fetch_or(done, std::memory_order_acq_rel);  // [mo:task]
  if (old & waited_for) ready(t->waiter->gp);
  if (__builtin_expect((old & task_base::has_channel) != 0, 0)) chan_close(t->channel);
  if ((old & detached) && t->error) rethrow_unseen(t->error);
  task_unref(t);
}

void run_as_goroutine(void* closure) {
  const bool only_drop = closure_is_to_be_dropped(closure);
  task_base* t = *static_cast<task_base**>(closure);
  if (only_drop) t->state.fetch_or(exited, std::memory_order_relaxed);  // [mo:own] published by finish()
  else call(t);
  if (t->state.load(std::memory_order_relaxed) & task_base::in_group) finish_child(t);  // [mo:own] set when it was made
  else finish(t);
}

// A claimed task becomes a goroutine of its own; it was counted when it was started.
g* make_goroutine(task_base* t) noexcept {
  const new_goroutine made = go_begin(sizeof(task_base*), alignof(task_base*), nullptr);
  *static_cast<task_base**>(made.closure) = t;
  made.gp->creator = t->creator;
  made.gp->created_at = t->created_at;
  return go_prepare(made.gp, &run_as_goroutine);
}

task_base* claim(tasks_of_p* l, bool from_newest) noexcept {
  if (!l || !l->newest.load(std::memory_order_relaxed)) return nullptr;
  lock_guard hold(l->lock);
  task_base* t = from_newest ? l->newest.load(std::memory_order_relaxed) : l->oldest;
  if (t) {
    remove_locked(l, t);
    t->state.fetch_or(started, std::memory_order_relaxed);
  }
  return t;
}

g* take(p* own) noexcept {
  task_base* t = claim(of(own), true);
  return t ? make_goroutine(t) : nullptr;
}
g* steal(p* victim) noexcept {
  task_base* t = claim(of(victim), false);
  return t ? make_goroutine(t) : nullptr;
}
bool any(p* pp) noexcept {
  const tasks_of_p* l = of(pp);
  return l && l->newest.load(std::memory_order_seq_cst) != nullptr;  // [mo:idle]
}

// The P goes: its tasks move. The world is stopped, but a foreign thread may join one of them.
void leave(p* from, p* heir) noexcept {
  tasks_of_p* l = of(from);
  if (!l) return;
  while (task_base* t = claim(l, false)) {
    tasks_of_p* to = of_mine(heir);
    lock_guard hold(to->lock);
    push_locked(to, t);
  }
}

// Takes t off whatever list it is on; false when somebody has started it.
[[gnu::always_inline]] inline bool claim_this(task_base* t) noexcept {
  for (;;) {
    auto* l = static_cast<tasks_of_p*>(t->home.load(std::memory_order_acquire));  // [mo:own] the lock decides
    if (!l) return false;
    lock_guard hold(l->lock);
    if (t->home.load(std::memory_order_relaxed) != l) continue;
    remove_locked(l, t);
    // [mo:own] The only handle is with the caller, who joins.
    t->state.store(started | (t->state.load(std::memory_order_relaxed) & task_base::has_channel), std::memory_order_relaxed);
    return true;
  }
}

// The sudog is in t->waiter. False: finished meanwhile, go on.
bool wait_for(task_base* t) noexcept {
  std::uint32_t old = t->state.load(std::memory_order_relaxed);
  do {
    if (old & done) return false;
    // [mo:task] release: the sudog and the saved context.
  } while (!t->state.compare_exchange_weak(old, old | waited_for, std::memory_order_release, std::memory_order_relaxed));
  return true;
}
bool commit_join(g* gp) noexcept { return wait_for(static_cast<task_base*>(gp->commit_arg)); }

}  // namespace
}  // namespace weft::detail

constinit const weft::task_hooks_t weft::task_hooks = {&detail::take, &detail::steal, &detail::any, &detail::leave};

namespace weft::detail {

bool has_room(const g* gp) noexcept {
  const auto* here = static_cast<const char*>(__builtin_frame_address(0));  // a local may lie in AddressSanitizer's own memory
  return here - gp->stack.low >= (std::ptrdiff_t{1} << sched.stack_size_class) >> 1;
}

task_base* claim_newest_of(const task_group_core& c) noexcept {
  p* const pp = this_m()->pp;  // read once: it may be taken at any time
  tasks_of_p* l = pp ? of(pp) : nullptr;
  if (!l || !l->newest.load(std::memory_order_relaxed)) return nullptr;
  lock_guard hold(l->lock);
  task_base* t = l->newest.load(std::memory_order_relaxed);
  for (int looked = 0; t && looked < 16; looked++, t = t->older) {
    if ((t->state.load(std::memory_order_relaxed) & task_base::in_group) == 0 || t->group != &c) continue;  // [mo:own]
    remove_locked(l, t);
    return t;
  }
  return nullptr;
}

bool has_unstarted(p* pp) noexcept {
  const tasks_of_p* l = of(pp);
  return l && l->newest.load(std::memory_order_relaxed) != nullptr;
}

namespace {

constexpr bool is_cached(std::size_t size, std::size_t align) noexcept { return size <= classes * class_bytes && align <= alignof(std::max_align_t); }

[[gnu::noinline]] void* alloc_anew(std::size_t size, std::size_t align) {
  if (align > alignof(std::max_align_t)) return ::operator new(size, std::align_val_t(align));
  if (is_cached(size, align)) size = (size + class_bytes - 1) / class_bytes * class_bytes;
  void* memory = std::malloc(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void free_for_good(void* memory, std::size_t align) noexcept {
  if (align > alignof(std::max_align_t)) ::operator delete(memory, std::align_val_t(align));
  else std::free(memory);
}

}  // namespace

void* task_alloc(std::size_t size, std::size_t align) {
  m* mp = this_m();
  if (is_cached(size, align) && mp && enter_runtime_at_once(mp)) {
    const std::size_t cls = (size - 1) / class_bytes;
    tasks_of_p* l = of_goroutine(mp);
    auto* b = l ? l->free[cls] : nullptr;
    if (b) {
      l->free[cls] = b->next;
      l->free_count[cls]--;
    }
    leave_runtime(mp);
    if (b) return b;
  }
  return alloc_anew(size, align);
}

void task_free(void* memory, std::size_t size, std::size_t align) noexcept {
  m* mp = this_m();
  if (is_cached(size, align) && mp && enter_runtime_at_once(mp)) {
    const std::size_t cls = (size - 1) / class_bytes;
    tasks_of_p* l = of_goroutine(mp);
    const bool has_room = l && l->free_count[cls] < cached;
    if (has_room) {
      auto* b = static_cast<tasks_of_p::block*>(memory);
      b->next = l->free[cls];
      l->free[cls] = b;
      l->free_count[cls]++;
    }
    leave_runtime(mp);
    if (has_room) return;
  }
  free_for_good(memory, align);
}

void task_start(task_base* t) noexcept {
  const void* const created_at = __builtin_return_address(0);
  {
    m* mp = this_m();
    const in_runtime inside(mp);
    if (p* pp = bubble_here() ? nullptr : p_of(mp)) {  // a bubble must know of all that may run in it
      t->creator = id_of(mp->curg);
      t->created_at = created_at;
      bump(pp->count.started);
      tasks_of_p* l = of_mine(pp);
      {
        lock_guard hold(l->lock);
        push_locked(l, t);
      }
      // [mo:idle] The list, then who sleeps: see idle.cpp. With one P nobody could be searching.
      if (sched.procs.load(std::memory_order_relaxed) > 1 && somebody_could_come()) wakep();
      return;
    }
  }
  // Before run(), on a foreign thread, without a P, or in a bubble: a goroutine like any other.
  t->state.fetch_or(started, std::memory_order_relaxed);
  const new_goroutine made = go_begin(sizeof(task_base*), alignof(task_base*), nullptr);
  *static_cast<task_base**>(made.closure) = t;
  made.gp->created_at = created_at;
  go_commit(made.gp, &run_as_goroutine);
}

namespace {

[[gnu::cold, gnu::noinline]] bool start_claimed(task_base* t) noexcept {
  g* fresh = make_goroutine(t);
  m* mp = this_m();
  const in_runtime inside(mp);
  put_next(mp ? +mp->pp : nullptr, fresh);
  wakep();
  return false;
}

[[gnu::always_inline]] inline bool run_or_start(task_base* t) {
  if (!t) throw std::logic_error("weft: join of an empty task handle");
  // [mo:task] acquire, pairs with the release in finish(): the result.
  if (t->state.load(std::memory_order_acquire) & done) return true;
  if (!claim_this(t)) return false;
  g* gp = current_g();
  if (!gp || !has_room(gp)) return start_claimed(t);
  {
    const borrowed_identity id(gp);
    call(t);
  }
  // [mo:own] Both references are ours.
  const std::uint32_t now = t->state.load(std::memory_order_relaxed) | done;
  t->state.store(now, std::memory_order_relaxed);
  t->refs.store(1, std::memory_order_relaxed);
  {
    m* mp = this_m();
    const in_runtime inside(mp);
    count_ended(mp->pp);
  }
  if (__builtin_expect((now & task_base::has_channel) != 0, 0)) chan_close(t->channel);
  return true;
}

}  // namespace

bool task_run_or_start(task_base* t) { return run_or_start(t); }

bool task_await(task_base* t, sudog& s, runnable& r) noexcept {
  s.gp = &r;
  t->waiter = &s;
  suspend(r, wait_reason::join);
  return wait_for(t);
}

void task_join(task_base* t) {
  if (run_or_start(t)) return tell_joiner(t);
  unwind_if_due();
  if (t->state.load(std::memory_order_relaxed) & task_base::has_channel) {  // [mo:own] the handle's owner made it
    chan_recv(t->channel, nullptr);
    return tell_joiner(t);
  }
  g* gp = current_or_thread();
  sudog s;
  s.gp = gp;
  t->waiter = &s;
  while ((t->state.load(std::memory_order_acquire) & done) == 0)  // [mo:task]
    park_anyone(gp, &commit_join, t, wait_reason::join);
  tell_joiner(t);
}

bool task_is_done(const task_base* t) noexcept { return !t || (t->state.load(std::memory_order_acquire) & done) != 0; }  // [mo:task]

chan_ref task_done(task_base* t) {
  if (!t) return {};
  if ((t->state.load(std::memory_order_relaxed) & task_base::has_channel) == 0) {  // [mo:own] only the handle's owner makes it
    t->channel = chan_make(0, 0, nullptr);
    // [mo:task] acq_rel, pairs with finish(): whichever comes second closes it.
    if (t->state.fetch_or(task_base::has_channel, std::memory_order_acq_rel) & done) chan_close(t->channel);
  }
  chan_add_ref(t->channel);
  return chan_ref(t->channel);
}

void task_detach(task_base* t) noexcept {
  const std::uint32_t old = t->state.fetch_or(detached, std::memory_order_acq_rel);  // [mo:task]
  if ((old & done) && t->error) rethrow_unseen(t->error);
  task_unref(t);
}

void task_unref(task_base* t) noexcept {
  // Alone, as after an inlined join: no locked instruction.
  if (t->refs.load(std::memory_order_acquire) != 1 &&               // [mo:task.refs] pairs with the release half below
      t->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;  // [mo:task.refs]
  const std::size_t size = t->size, align = t->align;
  if (__builtin_expect((t->state.load(std::memory_order_relaxed) & task_base::has_channel) != 0, 0)) chan_release(t->channel);
  t->destroy(t);
  task_free(t, size, align);
}

}  // namespace weft::detail
