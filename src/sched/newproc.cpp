// sched/newproc.cpp: a goroutine is born: a G from the caches with its closure in it (or, when that is large, on the top of its
// stack); then onto the queue, next in line. It gets its stack when it first runs: so a thousand that are started and
// run one after the other use one warm stack, and those that wait to be run cost no page.
#include "sched/attach.hpp"
#include "sched/bubble.hpp"
#include "sched/in_runtime.hpp"
#include "sched/lap.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <weft/go.hpp>
#include <weft/run.hpp>

#include "os/memory.hpp"

namespace weft {

namespace {

constexpr std::uint32_t batch_gs = 256;       // free Gs move between Ps so many at a time; a P keeps up to two batches
constexpr std::size_t slab_gs = 256;
constexpr std::size_t max_slabs = 1 << 20;
constexpr std::size_t few_slabs = 4;          // further ones are made real at once
constexpr std::uint32_t crowd = runq::capacity * 3 / 4;  // and 61 more fit: who starts them looks after so many

// All Gs there are, in slabs that are never unmapped.
ranked_lock<rank::all_goroutines> all_lock;
atomic<g*>* slabs = nullptr;         // room for max_slabs pointers, committed as they are used
atomic<std::uint64_t> g_count{0};    // Gs made so far

[[noreturn]] void no_stack() noexcept {
  begin_report();
  error_text() << "runtime: cannot map a stack for a goroutine: " << stacks_mapped()
               << " exist; the limit may be the address space (ulimit -v), memory, or vm.max_map_count\n";
  fatal("out of memory: goroutine stack");
}

g* make_g() noexcept {
  lock_guard hold(all_lock);
  if (!slabs) {
    slabs = static_cast<atomic<g*>*>(os::reserve(max_slabs * sizeof(*slabs), 4096));
    if (!slabs) fatal("out of memory: goroutines");
  }
  const std::uint64_t n = g_count.load(std::memory_order_relaxed);
  const std::uint64_t slab = n / slab_gs;
  if (n % slab_gs == 0) {
    if (slab == max_slabs) fatal("too many goroutines");
    void* memory = os::reserve(slab_gs * sizeof(g), 4096);
    if (!memory) fatal("out of memory: goroutines");
    sanitizers::add_root(memory, slab_gs * sizeof(g));
    if (slab >= few_slabs) static_cast<void>(os::commit(memory, slab_gs * sizeof(g)));  // cheaper than page by page
    slabs[slab].store(static_cast<g*>(memory), std::memory_order_relaxed);
  }
  g* gp = ::new (static_cast<void*>(slabs[slab].load(std::memory_order_relaxed) + n % slab_gs)) g();
#if WEFT_TSAN
  gp->sanitizer.fiber = sanitizers::make_fiber();
#endif
  gp->status.store(g_status::dead, std::memory_order_relaxed);
  g_count.store(n + 1, std::memory_order_release);  // [mo:all_g] pairs with the acquire in for_each_g()
  return gp;
}

g* take_global_locked() noexcept {
  g* gp = sched.free_gs;
  if (gp) sched.free_gs = static_cast<g*>(gp->link);
  return gp;
}

// A P has no free G at hand: its other batch, or one from the common list, in one step: nothing is read there but the first, for
// they were last used on another processor. Else those that came one by one. Source of the two batches: Bonwick's magazines.
[[gnu::noinline]] void refill(p* pp) noexcept {
  if (pp->spare_gs) {
    pp->free_gs = std::exchange(pp->spare_gs, nullptr);
    pp->free_count = batch_gs;
    return;
  }
  if (sched.free_hint.load(std::memory_order_relaxed) == 0) return;
  lock_guard hold(sched.lock);
  if (g* first = sched.free_batches) {
    sched.free_batches = first->batch;
    pp->free_gs = first;
    pp->free_count = batch_gs;
    return;
  }
  while (pp->free_count < batch_gs) {
    g* gp = take_global_locked();
    if (!gp) {
      sched.free_hint.store(0, std::memory_order_relaxed);
      return;
    }
    gp->link = pp->free_gs;
    pp->free_gs = gp;
    pp->free_count++;
  }
}

// Its batch is full: it becomes the spare one, and the spare one goes to the common list.
[[gnu::noinline]] void put_away(p* pp) noexcept {
  g* full = std::exchange(pp->spare_gs, std::exchange(pp->free_gs, nullptr));
  pp->free_count = 0;
  if (!full) return;
  {
    lock_guard hold(sched.lock);
    full->batch = sched.free_batches;
    sched.free_batches = full;
  }
  sched.free_hint.store(1, std::memory_order_relaxed);
}

g* take_free(p* pp) noexcept {
  if (pp) {
    if (__builtin_expect(!pp->free_gs, 0)) refill(pp);
    if (g* gp = pp->free_gs) {
      pp->free_gs = static_cast<g*>(gp->link);
      pp->free_count--;
      return gp;
    }
    return make_g();
  }
  {
    lock_guard hold(sched.lock);
    if (g* gp = take_global_locked()) return gp;
    if (g* first = sched.free_batches) {
      sched.free_batches = first->batch;
      sched.free_gs = static_cast<g*>(first->link);
      return first;
    }
  }
  return make_g();
}

std::uint64_t new_id(p* pp) noexcept {
  if (!pp) return sched.ids.fetch_add(1, std::memory_order_relaxed) + 1;
  if (pp->next_id == pp->last_id) {
    constexpr std::uint64_t batch = 16;
    pp->next_id = sched.ids.fetch_add(batch, std::memory_order_relaxed);
    pp->last_id = pp->next_id + batch;
  }
  return ++pp->next_id;
}

void give_back(p* pp, g* gp) noexcept {
  gp->status.store(g_status::dead, std::memory_order_release);  // [mo:status]
  if (pp) {
    gp->link = pp->free_gs;
    pp->free_gs = gp;
    if (__builtin_expect(++pp->free_count == batch_gs, 0)) put_away(pp);
    return;
  }
  lock_guard hold(sched.lock);
  gp->link = sched.free_gs;
  sched.free_gs = gp;
  sched.free_hint.store(1, std::memory_order_relaxed);
}

// A stack of gp's size class, which is not the default one or not at hand.
stack_memory take_stack(p* pp, std::uint8_t cls) noexcept {
  char* one = nullptr;
  if (pp && cls == sched.stack_size_class) {
    if (pp->stack_count == 0) pp->stack_count = stacks_take(cls, pp->stacks, p::stack_cache / 2);
    if (pp->stack_count > 0) one = pp->stacks[--pp->stack_count];
  } else if (stacks_take(cls, &one, 1) == 0) {
    one = nullptr;
  }
  if (!one) no_stack();
  return stack_at(one, cls);
}

void give_stack(g* gp, const stack_memory& s) noexcept {
  gp->stack = s;
  if (__builtin_expect(s.guarded, 1)) return;
  gp->flags |= g_unguarded;
  place_canary(s);
}

// The slice of a goroutine that starts others, at its first look at the clock.
void note_slice(p* pp, std::int64_t now, bool may_end_early) noexcept {
  pp->slice_tick = pp->tick;
  pp->slice_start = now;
  pp->slice_may_end_early = may_end_early;
}

// Whether the running goroutine has had its slice: then the others come first. So it has when it has filled the ring: one ring of goroutines find
// their records in the cache, and no more records than that are needed. Not who is locked to a thread or of the background: their turns cost
// a change of threads, and a wait.
[[gnu::noinline]] bool slice_used_up(p* pp, const g* gp) noexcept {
  pp->starts_left = laps_between_looks;
  if (pp->status.load(std::memory_order_relaxed) != p::state::running) return false;  // it has stopped the world, and would wait for itself
  const std::int64_t now = os::now_ns();
  if (pp->slice_tick != pp->tick) {
    note_slice(pp, now, true);
    return false;
  }
  if (now - pp->slice_start > sched.slice_ns || pp->attention.load(std::memory_order_relaxed) != 0) return true;
  return pp->slice_may_end_early && pp->queue.ring_size() >= crowd && (gp->flags & (g_locked | g_background)) == 0;
}

// If its turn came late the others are more than it has started, or compute: its next slice is a whole one, as theirs are.
[[gnu::noinline]] void give_way_to_started() noexcept {
  const std::int64_t left = os::now_ns();
  give_way();
  m* mp = this_m();
  const in_runtime inside(mp);
  const std::int64_t now = os::now_ns();
  if (p* pp = mp->pp) note_slice(pp, now, now - left <= sched.slice_ns);
}

}  // namespace

void bind_stack(p* pp, g* gp) noexcept {
  if (gp->stack.low) return;  // go() needed it for the closure
  if (__builtin_expect(gp->stack.size_class == sched.stack_size_class && pp->stack_count > 0, 1)) give_stack(gp, stack_at(pp->stacks[--pp->stack_count], gp->stack.size_class));
  else give_stack(gp, take_stack(pp, gp->stack.size_class));
  gp->sp = arch::forge(gp->stack.top());
}

void free_g(p* pp, g* gp) noexcept {
  if (gp->stack.high) {
    char* const stack = gp->stack.tagged();
    gp->stack.low = gp->stack.high = nullptr;
    if (pp && gp->stack.size_class == sched.stack_size_class) {
      if (pp->stack_count == p::stack_cache) {  // the coldest half goes
        stacks_give(gp->stack.size_class, pp->stacks, p::stack_cache / 2);
        std::copy(pp->stacks + p::stack_cache / 2, pp->stacks + p::stack_cache, pp->stacks);
        pp->stack_count = p::stack_cache / 2;
      }
      pp->stacks[pp->stack_count++] = stack;
    } else {
      stacks_give(gp->stack.size_class, &stack, 1);
    }
  }
  give_back(pp, gp);
}

void for_each_g(void (*f)(g*, void*), void* arg) noexcept {
  const std::uint64_t n = count_of_gs();
  for (std::uint64_t i = 0; i < n; i++) f(g_at(i), arg);
}

std::uint64_t count_of_gs() noexcept { return g_count.load(std::memory_order_acquire); }  // [mo:all_g]

g* g_at(std::uint64_t i) noexcept { return slabs[i / slab_gs].load(std::memory_order_relaxed) + i % slab_gs; }

int goroutines() noexcept {
  const std::int64_t ended = sched.ended.load(std::memory_order_acquire);  // [mo:ended]
  std::int64_t n = sched.started.load(std::memory_order_relaxed) - ended;
  for (auto& slot : sched.ps) {
    const p* pp = slot.load(std::memory_order_acquire);  // [mo:procs]
    if (!pp) break;
    // Ends first: one that starts and ends in between is then not counted as below zero.
    n -= pp->count.ended.load(std::memory_order_acquire);  // [mo:ended]
    n += pp->count.started.load(std::memory_order_relaxed);
  }
  return static_cast<int>(n < 0 ? 0 : n);
}

g* go_prepare(g* gp, void (*run)(void*)) noexcept {
  gp->entry = run;
  m* mp = this_m();
  const in_runtime inside(mp);
  gp->id = new_id(mp ? +mp->pp : nullptr);
  gp->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
  return gp;
}

void start(runnable* r) noexcept {
  m* mp = this_m();
  bool slice_is_up = false;
  {
    const in_runtime inside(mp);
    p* pp = mp ? +mp->pp : nullptr;
    count_started(pp);
    put_next(pp, r);
    if (somebody_could_come()) wakep();
    // Every 61st start looks at the clock, as every 61st lap does: who starts goroutines without end lets them run after its slice.
    if (mp && mp->curg) {
      if (__builtin_expect(!pp || pp->starts_left <= 1, 0)) slice_is_up = !pp || slice_used_up(pp, mp->curg);
      else pp->starts_left--;
    }
  }
  if (__builtin_expect(slice_is_up, 0)) give_way_to_started();
}

std::uint64_t fresh_id() noexcept {
  m* mp = this_m();
  const in_runtime inside(mp);
  return new_id(mp ? +mp->pp : nullptr);
}

void start_goroutine(void (*run)(void*), void* arg) noexcept {
  m* mp = this_m();
  const in_runtime inside(mp);
  const detail::new_goroutine made = detail::go_begin(sizeof arg, alignof(void*), nullptr);
  *static_cast<void**>(made.closure) = arg;
  go_prepare(made.gp, run);
  if (p* pp = mp ? +mp->pp : nullptr) {
    bump(pp->count.started);
    put_back(pp, made.gp);
  } else {
    sched.started.fetch_add(1, std::memory_order_relaxed);
    lock_guard hold(sched.lock);
    sched.global.put(made.gp);
  }
  wakep();
}

namespace detail {

new_goroutine go_begin(std::size_t closure_size, std::size_t closure_align, const go_options* options) {
  m* mp = this_m();
  const in_runtime inside(mp);
  p* pp = mp ? +mp->pp : nullptr;
  g* gp = take_free(pp);
  gp->stack.size_class = options && options->stack_size ? stack_class(options->stack_size) : sched.stack_size_class;
  gp->status.store(g_status::idle, std::memory_order_relaxed);
  gp->set_why(wait_reason::none);
  gp->flags = g_fresh;
  gp->locks_of_thread = 0;
  if (options && options->priority == go_priority::background) gp->flags |= g_background;
  if (options && options->fp_environment) {
    gp->flags |= g_fp_environment;
    gp->fp = arch::save_fp();
  }
  gp->name = options ? options->name : nullptr;
  const g* creator = mp ? mp->curg : attached_g();
  gp->creator = creator ? creator->id : 0;
  if (__builtin_expect(bubble_of(creator) != nullptr, 0)) join_bubble(creator->its_bubble, gp);
  gp->created_at = __builtin_return_address(0);
  gp->identity = nullptr;
  gp->cargo = nullptr;
  gp->eh = {};
  gp->saved_errno = 0;
  if (__builtin_expect(closure_size <= g::small_closure && closure_align <= 16, 1)) {
    gp->closure = gp->small;
  } else {
    give_stack(gp, take_stack(pp, gp->stack.size_class));
    const auto top = reinterpret_cast<std::uintptr_t>(gp->stack.top());
    // Room for the closure and as much again, and never less than a few pages, to run in.
    if (closure_size > gp->stack.size() / 2) {
      begin_report();
      error_text() << "runtime: a goroutine's arguments take " << static_cast<std::uint64_t>(closure_size) << " bytes, its stack has "
                   << static_cast<std::uint64_t>(gp->stack.size()) << ": pass a pointer, or raise go_options.stack_size\n";
      fatal("closure does not fit onto its stack");
    }
    gp->closure = reinterpret_cast<void*>((top - closure_size) & ~(std::uintptr_t{closure_align < 16 ? 16 : closure_align} - 1));
    gp->sp = arch::forge(gp->closure);
  }
  return {gp, gp->closure};
}

void go_commit(g* gp, void (*run)(void*)) noexcept { start(go_prepare(gp, run)); }

void go_abandon(g* gp) noexcept {
  m* mp = this_m();
  const in_runtime inside(mp);
  if (gp->flags & g_bubbled) leave_bubble(gp);
  free_g(mp ? +mp->pp : nullptr, gp);
}

void go_of_nil() { fatal("go of nil func value"); }

}  // namespace detail
}  // namespace weft
