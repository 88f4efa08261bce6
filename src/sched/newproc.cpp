// sched/newproc.cpp: a goroutine is born: a G with a stack from the caches, a closure on the stack's top, the forged frame
// under it; then onto the queue, next in line.
#include "sched/lap.hpp"

#include <new>

#include <weft/go.hpp>
#include <weft/run.hpp>

#include "os/memory.hpp"

namespace weft {

namespace {

constexpr std::uint32_t p_cache = 512;        // free Gs a P keeps; half of them move at a time
constexpr std::uint32_t warm_gs = 2048;       // free Gs in all that keep their pages when the program is idle
constexpr std::size_t slab_gs = 256;
constexpr std::size_t max_slabs = 1 << 20;

// All Gs there are, in slabs that are never unmapped.
ranked_lock<rank::all_goroutines> all_lock;
atomic<g*>* slabs = nullptr;         // room for max_slabs pointers, committed as they are used
atomic<std::uint64_t> g_count{0};    // Gs made so far
g* cold_gs = nullptr;                // guarded by sched.lock: free Gs whose stacks' pages are given back

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
  if (g* gp = sched.free_gs) {
    sched.free_gs = gp->link;
    sched.free_count--;
    return gp;
  }
  if (g* gp = cold_gs) {
    cold_gs = gp->link;
    return gp;
  }
  return nullptr;
}

// A free G, with a stack of the default size if that is at hand.
g* take_free(p* pp) noexcept {
  if (pp) {
    if (!pp->free_gs && (sched.free_hint.load(std::memory_order_relaxed) != 0)) {
      lock_guard hold(sched.lock);
      while (pp->free_count < p_cache / 2) {
        g* gp = take_global_locked();
        if (!gp) {
          sched.free_hint.store(0, std::memory_order_relaxed);
          break;
        }
        gp->link = pp->free_gs;
        pp->free_gs = gp;
        pp->free_count++;
      }
    }
    if (g* gp = pp->free_gs) {
      pp->free_gs = gp->link;
      pp->free_count--;
      return gp;
    }
    return make_g();
  }
  {
    lock_guard hold(sched.lock);
    if (g* gp = take_global_locked()) return gp;
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

void give_back(g* gp) noexcept {
  gp->status.store(g_status::dead, std::memory_order_release);  // [mo:status]
  if (gp->stack.size_class != stack_class(sched.stack_bytes)) {
    if (gp->stack.low) stack_free(gp->stack);
    gp->stack = {};
  }
  m* mp = self()->mp;
  p* pp = mp ? mp->pp : nullptr;
  if (pp) {
    gp->link = pp->free_gs;
    pp->free_gs = gp;
    if (++pp->free_count < p_cache) return;
    lock_guard hold(sched.lock);
    while (pp->free_count > p_cache / 2) {
      g* out = pp->free_gs;
      pp->free_gs = out->link;
      pp->free_count--;
      out->link = sched.free_gs;
      sched.free_gs = out;
      sched.free_count++;
    }
    sched.free_hint.store(1, std::memory_order_relaxed);
    return;
  }
  lock_guard hold(sched.lock);
  gp->link = sched.free_gs;
  sched.free_gs = gp;
  sched.free_count++;
  sched.free_hint.store(1, std::memory_order_relaxed);
}

}  // namespace

void free_g(g* gp) noexcept { give_back(gp); }

bool trim_free_gs() noexcept {
  constexpr std::uint32_t at_once = 1024;
  if (sched.free_count <= warm_gs) return false;  // a guess; looked at again under the lock
  stack_memory stacks[at_once];
  g* taken = nullptr;
  std::uint32_t n = 0;
  bool more;
  {
    lock_guard hold(sched.lock);
    while (n < at_once && sched.free_count > warm_gs) {
      g* gp = sched.free_gs;
      sched.free_gs = gp->link;
      sched.free_count--;
      gp->link = taken;
      taken = gp;
      if (gp->stack.low) stacks[n++] = gp->stack;
    }
    more = sched.free_count > warm_gs;
  }
  stack_release_pages(stacks, n);
  lock_guard hold(sched.lock);
  while (g* gp = taken) {
    taken = gp->link;
    gp->link = cold_gs;
    cold_gs = gp;
  }
  return more;
}

void for_each_g(void (*f)(g*, void*), void* arg) noexcept {
  const std::uint64_t n = g_count.load(std::memory_order_acquire);  // [mo:all_g]
  for (std::uint64_t i = 0; i < n; i++) f(slabs[i / slab_gs].load(std::memory_order_relaxed) + i % slab_gs, arg);
}

int goroutines() noexcept {
  std::int64_t n = sched.started.load(std::memory_order_relaxed) - sched.ended.load(std::memory_order_relaxed);
  for (auto& slot : sched.ps) {
    const p* pp = slot.load(std::memory_order_acquire);  // [mo:procs]
    if (!pp) break;
    // Ends first: one that starts and ends in between is then not counted as below zero.
    n -= pp->count.ended.load(std::memory_order_relaxed);
    n += pp->count.started.load(std::memory_order_relaxed);
  }
  return static_cast<int>(n < 0 ? 0 : n);
}

g* go_prepare(g* gp, void (*run)(void*)) noexcept {
  gp->entry = run;
  gp->sp = arch::forge(gp->closure);
  m* mp = self()->mp;
  gp->id = new_id(mp ? mp->pp : nullptr);
  gp->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
  return gp;
}

std::uint64_t fresh_id() noexcept {
  m* mp = self()->mp;
  return new_id(mp ? mp->pp : nullptr);
}

namespace detail {

new_goroutine go_begin(std::size_t closure_size, std::size_t closure_align, const go_options* options) {
  m* mp = self()->mp;
  p* pp = mp ? mp->pp : nullptr;
  const std::size_t bytes = options && options->stack_size ? options->stack_size : sched.stack_bytes;
  g* gp = take_free(pp);
  if (__builtin_expect(gp->stack.low == nullptr || gp->stack.size_class != stack_class(bytes), 0)) {
    if (gp->stack.low) stack_free(gp->stack);
    gp->stack = {};
    if (!stack_allocate(bytes, gp->stack)) no_stack();
  }
  gp->status.store(g_status::idle, std::memory_order_relaxed);
  gp->why = wait_reason::none;
  gp->flags = g_fresh;
  if (options && options->fp_environment) {
    gp->flags |= g_fp_environment;
    gp->fp = arch::save_fp();
  }
  gp->name = options ? options->name : nullptr;
  gp->creator = mp && mp->curg ? mp->curg->id : 0;
  gp->identity = nullptr;
  gp->eh = {};
  gp->saved_errno = 0;
  const auto top = reinterpret_cast<std::uintptr_t>(gp->stack.top());
  const std::uintptr_t at = (top - closure_size) & ~(std::uintptr_t{closure_align < 16 ? 16 : closure_align} - 1);
  // The address is kept before the caller's constructor runs, which may switch threads or take its time.
  gp->closure = reinterpret_cast<void*>(at);
  return {gp, gp->closure};
}

void go_commit(g* gp, void (*run)(void*)) noexcept {
  go_prepare(gp, run);
  m* mp = self()->mp;
  p* pp = mp ? mp->pp : nullptr;
  if (__builtin_expect(pp != nullptr, 1)) {
    bump(pp->count.started);
    put_next(pp, gp);
  } else {
    sched.started.fetch_add(1, std::memory_order_relaxed);
    lock_guard hold(sched.lock);
    sched.global.put(gp);
  }
  wakep();
}

void go_abandon(g* gp) noexcept { give_back(gp); }

void go_of_nil() { fatal("go of nil func value"); }

}  // namespace detail
}  // namespace weft
