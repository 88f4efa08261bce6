// sched/bubble.cpp: see bubble.hpp.
#include "sched/bubble.hpp"

#include <memory>
#include <string>

#include "sched/lap.hpp"

namespace weft {

namespace {

// All there ever were. One is used again when its goroutines have ended and its timers are gone; until then timers, contexts
// and goroutines that outlived it may still look at it.
atomic<std::uint32_t> list_lock{0};
bubble* all_bubbles = nullptr;
std::uint32_t last_id = 0;

bool is_durable(const g* gp) noexcept {
  switch (gp->why()) {
    case wait_reason::none:
    case wait_reason::io_wait:
    case wait_reason::mutex_lock:
    case wait_reason::rwmutex_rlock:
    case wait_reason::rwmutex_lock:
    case wait_reason::stopped: return false;
    default: return (gp->flags & g_from_outside) == 0;
  }
}

// What has no mark of its own of where it belongs: only a goroutine of the bubble may end such a wait.
bool is_for_insiders(wait_reason why) noexcept {
  switch (why) {
    case wait_reason::wait_group_wait:
    case wait_reason::cond_wait:
    case wait_reason::semaphore_acquire:
    case wait_reason::latch_wait:
    case wait_reason::barrier_wait:
    case wait_reason::join:
    case wait_reason::sequence: return true;
    default: return false;
  }
}

// Who is to go on, because nobody else will. It takes `active` down again when it has seen to it.
g* next_locked(bubble* b) noexcept {
  if (b->running > 0 || b->active > 0 || !b->root) return nullptr;
  b->active++;
  const bool is_due = b->timers.earliest() <= b->now.load(std::memory_order_relaxed);
  return b->waiter && !is_due ? b->waiter : b->root;
}

void unlock_and_wake(bubble* b) noexcept {
  g* next = next_locked(b);
  if (b->total == 0) sched.bubbles.fetch_sub(1, std::memory_order_relaxed);
  unlock_word(b->lock);
  if (next) ready(next);
}

}  // namespace

void refuse_outsiders(std::uint32_t id, const char* what) noexcept {
  if (id != 0 && id != bubble_id_here()) fatal(std::string(what) + " from outside bubble");
}

bubble* open_bubble(g* root) noexcept {
  auto spare = std::make_unique<bubble>();  // before the lock, under which nobody may want malloc's
  bubble* b;
  lock_word(list_lock);
  for (b = all_bubbles; b; b = b->next) {
    lock_word(b->lock);
    const bool is_free = b->total == 0 && b->timers.earliest() == timer_heap::never;
    if (is_free) b->total = 1;
    unlock_word(b->lock);
    if (is_free) break;
  }
  if (!b) {
    b = spare.release();
    b->total = 1;
    b->next = all_bubbles;
    all_bubbles = b;
  }
  b->id = ++last_id;
  unlock_word(list_lock);
  constexpr std::int64_t year_2000_ns = 946'684'800'000'000'000;
  b->now.store(year_2000_ns, std::memory_order_relaxed);
  b->root = root;
  b->main = b->waiter = nullptr;
  b->waiting = b->main_ended = false;
  b->running = 1;
  b->active = 1;  // the root's, whenever it runs
  root->its_bubble = b;
  root->flags |= g_bubbled;
  sched.bubbles.fetch_add(1, std::memory_order_relaxed);
  return b;
}

void close_bubble(bubble* b) noexcept {
  lock_word(b->lock);
  b->root->flags &= static_cast<std::uint16_t>(~g_bubbled);
  b->root = nullptr;
  b->total--;
  b->running--;
  unlock_and_wake(b);
}

void join_bubble(bubble* b, g* gp) noexcept {
  gp->its_bubble = b;
  gp->flags |= g_bubbled;
  lock_word(b->lock);
  b->total++;
  b->running++;
  unlock_word(b->lock);
}

void leave_bubble(g* gp) noexcept {
  bubble* b = gp->its_bubble;
  gp->flags &= static_cast<std::uint16_t>(~g_bubbled);
  lock_word(b->lock);
  b->total--;
  b->running--;
  if (gp == b->main) b->main_ended = true;
  unlock_and_wake(b);
}

bubble* parking_in_bubble(g* gp) noexcept {
  if (gp->status.load(std::memory_order_relaxed) != g_status::waiting || !is_durable(gp)) return nullptr;  // [mo:own] a yield, an end
  bubble* b = gp->its_bubble;
  lock_word(b->lock);
  b->running--;
  b->active++;  // the commit may wake it again, or refuse
  unlock_word(b->lock);
  return b;
}

void parked_in_bubble(bubble* b, bool committed) noexcept {
  lock_word(b->lock);
  b->active--;
  if (!committed) b->running++;
  unlock_and_wake(b);
}

void readied_in_bubble(const g* gp) noexcept {
  if (!is_durable(gp)) return;
  bubble* b = gp->its_bubble;
  // On g0 (a bubble's own wake-up) and at the end of the world nobody is asked where he comes from.
  const g* by = current_g();
  if (by && bubble_of(by) != b && is_for_insiders(gp->why()) && !sched.ending.load(std::memory_order_relaxed) &&
      !sched.unwinding.load(std::memory_order_relaxed))
    fatal("semaphore wake of synctest goroutine from outside bubble");
  lock_word(b->lock);
  b->running++;
  unlock_word(b->lock);
}

}  // namespace weft
