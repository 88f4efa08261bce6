// coro/frame.cpp: how a coroutine starts, ends, and is waited for: see <weft/detail/co_core.hpp>.
#include <cstdlib>
#include <new>
#include <stdexcept>

#include <weft/detail/co_core.hpp>

#include "base/throw.hpp"
#include "sched/bubble.hpp"
#include "sched/park.hpp"
#include "sched/suspend.hpp"

namespace weft::detail {

namespace {

/// The calling thread inside weft, where its P, if it has one, stays with it.
struct here {
  m* mp = this_m();
  in_runtime inside{mp};
  p* pp = __builtin_expect(mp != nullptr, 1) ? +mp->pp : nullptr;
};

std::uintptr_t address(runnable* r) noexcept { return reinterpret_cast<std::uintptr_t>(r); }

void destroy(co_frame* f) noexcept { std::coroutine_handle<>::from_address(f->sp).destroy(); }

void run_here(co_frame* f) {
  f->depth = 0;
  std::coroutine_handle<>::from_address(f->sp).resume();
  const here h;
  count_suspensions(self(), h.pp);
}

bool is_done(const co_frame* f) noexcept { return f->after.load(std::memory_order_acquire) == co_frame::done; }  // [mo:co.after]

bool commit_join(g* gp) noexcept {
  std::uintptr_t nobody = co_frame::nobody;
  // [mo:co.after] release: the saved context.
  return static_cast<co_frame*>(gp->commit_arg)->after.compare_exchange_strong(nobody, address(gp), std::memory_order_release, std::memory_order_relaxed);
}

// What carries a coroutine belongs to no bubble: neither would its timers, nor would anybody know that it still runs.
void refuse_bubbles() noexcept {
  if (__builtin_expect(bubble_here() != nullptr, 0)) fatal("co: coroutine started in synctest bubble");
}

[[noreturn]] void rethrow_unseen(const std::exception_ptr& e) noexcept { std::rethrow_exception(e); }

}  // namespace

void* co_alloc(std::size_t size) {
  const std::size_t cls = frame_cache::class_of(size);
  if (__builtin_expect(cls < frame_cache::classes, 1)) {
    const here h;
    if (h.pp)
      if (void* memory = h.pp->frames.take(cls)) return memory;
  }
  void* memory = std::malloc(frame_cache::bytes_of(cls));
  if (!memory) throw std::bad_alloc();
  return memory;
}

void co_free(void* memory, std::size_t size) noexcept {
  const std::size_t cls = frame_cache::class_of(size);
  if (__builtin_expect(cls < frame_cache::classes, 1)) {
    const here h;
    if (h.pp && h.pp->frames.give(memory, cls)) return;
  }
  std::free(memory);
}

void co_start(co_frame* f) noexcept {
  refuse_bubbles();
  f->after.store(co_frame::counted, std::memory_order_relaxed);
  sanitizers::not_leaked(f->sp);  // parked at the end, only those who park have it
  start(f);
}

void co_fork(co_frame* f) noexcept {
  refuse_bubbles();
  const here h;
  if (!h.pp) return put_global(f);
  if (__builtin_expect(!h.pp->forked.try_put(f), 0)) put_back(h.pp, f);
  if (somebody_could_come()) wakep();
}

bool co_take(co_frame* f) noexcept {
  const here h;
  return h.pp && h.pp->forked.take(f) != nullptr;
}

void co_join(co_frame* f, co_origin from) {
  refuse_bubbles();
  g* gp = current_or_thread();
  if (!(gp->flags & g_thread)) {
    if (from == co_origin::fresh || co_take(f)) run_here(f);
  } else if (from == co_origin::fresh) {
    put_global(f);
  }
  while (!is_done(f)) park_anyone(gp, &commit_join, f, wait_reason::join);
}

void co_drop(co_frame* f) noexcept {
  if (f->after.exchange(co_frame::dropped, std::memory_order_acq_rel) != co_frame::done) return;  // [mo:co.after]
  if (f->error) rethrow_unseen(f->error);
  destroy(f);
}

std::coroutine_handle<> co_finish(co_frame* f, std::uintptr_t next) noexcept {
  if (next > co_frame::counted) {
    f->after.store(co_frame::done, std::memory_order_release);  // [mo:co.after] for the joiner, who looks before it parks
    ready(reinterpret_cast<runnable*>(next));
  } else {
    if (f->error) rethrow_unseen(f->error);  // the handle was dropped in the moment between the throw and here
    destroy(f);
    if (next == co_frame::counted) count_ended(here().pp);
  }
  return std::noop_coroutine();
}

void co_continue(runnable* r) noexcept {
  put_next(here().pp, r);
}

void co_panic() noexcept { std::terminate(); }

void co_await_of_nothing() { throw std::logic_error("weft: an empty co::task cannot be awaited"); }

}  // namespace weft::detail
