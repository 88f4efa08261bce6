// time/function.cpp: see <weft/detail/function_core.hpp>. A timer that is queued holds a reference, which goes over to the
// goroutine when it fires: so the function outlives its handles, and one that is stopped leaves nothing behind.
#include "time/function.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/atomic.hpp"
#include "goroutine/timer.hpp"
#include "sched/bubble.hpp"
#include "sched/lap.hpp"
#include "work/timers.hpp"

namespace weft::detail {

struct function_core {
  atomic<std::uint32_t> refs{1};
  atomic<std::uint32_t> lock{0};  // who sets the timer, one after the other
  const function_ops* ops;
  void* place;
  heap_timer due;
  std::uint32_t bubble = 0;       // where it was made
};

new_function function_alloc(std::size_t size, std::size_t align, const function_ops* ops) {
  align = std::max(align, alignof(std::max_align_t));
  const std::size_t before = (sizeof(function_core) + align - 1) / align * align;
  const std::size_t bytes = (before + size + align - 1) / align * align;
  void* memory = align == alignof(std::max_align_t) ? std::malloc(bytes) : std::aligned_alloc(align, bytes);
  if (!memory) throw std::bad_alloc();
  auto* f = ::new (memory) function_core();
  f->ops = ops;
  f->bubble = bubble_id_here();
  f->place = static_cast<char*>(memory) + before;
  return {f, f->place};
}

void function_free(function_core* f) noexcept {
  f->~function_core();
  std::free(f);
}

void function_add_ref(function_core* f) noexcept { f->refs.fetch_add(1, std::memory_order_relaxed); }

void function_release(function_core* f) noexcept {
  // Alone: no locked instruction.
  if (f->refs.load(std::memory_order_acquire) != 1 &&               // [mo:function.refs] pairs with the release half below
      f->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;  // [mo:function.refs]
  f->ops->destroy(f->place);
  function_free(f);
}

void run_function(void* closure) {
  auto* f = *static_cast<function_core**>(closure);
  const function_ref own(f);
  f->ops->call(f->place);
}

bool function_set(function_core* f, std::int64_t when) noexcept {
  refuse_outsiders(f->bubble, when == timer_heap::never ? "stop of synctest timer" : "reset of synctest timer");
  lock_word(f->lock);
  const bool was_queued = timer_heap::remove(&f->due);
  if (when != timer_heap::never) {
    if (!was_queued) function_add_ref(f);
    f->due.when = when;
    f->due.arg = f;
    f->due.fire = [](heap_timer* t, due_list& due) noexcept { due.start(&run_function, t->arg); };
    add_timer(&f->due);
  }
  unlock_word(f->lock);
  if (was_queued && when == timer_heap::never) function_release(f);
  return was_queued;
}

}  // namespace weft::detail
