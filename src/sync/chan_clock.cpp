// sync/chan_clock.cpp: the channel of a timer or ticker. It holds a time instead of a buffer: from then on a receive takes one
// value, which is that time. No timer is queued for it: who receives parks until then, and who only drops the handle leaves
// nothing behind. So nothing stale can lie in it either, after the time was changed.
#include "sync/chan.hpp"

#include <chrono>
#include <cstdlib>
#include <new>

#include "os/clock.hpp"
#include "sched/bubble.hpp"
#include "sched/park.hpp"

namespace weft::detail {

chan_core* chan_make_clock(std::int64_t when, std::int64_t period) {
  void* memory = std::malloc(sizeof(chan_core) + sizeof(chan_clock));
  if (!memory) throw std::bad_alloc();
  auto* c = ::new (memory) chan_core();
  c->element_size = sizeof(std::chrono::steady_clock::time_point);
  c->capacity = 0;
  c->drop = nullptr;
  c->bubble = bubble_id_here();
  c->ticks = true;
  ::new (static_cast<void*>(c + 1)) chan_clock{when, period};
  return c;
}

chan_status take_tick_locked(chan_core* c, void* element) noexcept {
  chan_clock& clock = *c->clock();
  const std::int64_t when = clock.when;
  if (when == never_due) return chan_status::would_block;
  const std::int64_t now = time_here();
  if (now < when) return chan_status::would_block;
  ::new (element) std::chrono::steady_clock::time_point(std::chrono::nanoseconds(when));
  // The next multiple that lies ahead: those that were missed are not made up for.
  const std::int64_t next = clock.period == 0 ? never_due : os::add_ns(when, clock.period * (1 + (now - when) / clock.period));
  __atomic_store_n(&clock.when, next, __ATOMIC_RELAXED);  // a select glances at it without the lock
  return chan_status::done;
}

bool is_due(const chan_core* c) noexcept {
  const std::int64_t when = __atomic_load_n(&c->clock()->when, __ATOMIC_RELAXED);
  return when != never_due && when <= time_here();
}

bool chan_clock_set(chan_core* c, std::int64_t when, std::int64_t period) noexcept {
  refuse_outsiders(c->bubble, when == never_due ? "stop of synctest timer" : "reset of synctest timer");
  g_list woken;  // those that wait look at the new time
  c->lock.lock();
  const bool was_set = c->clock()->when != never_due;
  __atomic_store_n(&c->clock()->when, when, __ATOMIC_RELAXED);
  c->clock()->period = period;
  if (when != never_due) {
    while (sudog* s = dequeue(c->receivers)) {
      s->success = false;
      woken.push_back(s->gp);
    }
  }
  c->lock.unlock();
  while (runnable* gp = woken.pop_front()) ready(gp);
  return was_set;
}

}  // namespace weft::detail
