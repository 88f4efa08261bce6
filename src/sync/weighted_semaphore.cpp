// sync/weighted_semaphore.cpp: see <weft/semaphore.hpp>. Everything happens under its lock, which is given back last: whoever gets
// what was released may destroy the semaphore.
#include <weft/semaphore.hpp>

#include "sync/waiting.hpp"

namespace weft {

using detail::wait_end;

struct semaphore::waiter : detail::sudog {
  std::ptrdiff_t n;
};

// To the first as long as it goes: who wants much is not passed by who wants little.
void semaphore::grant(void* woken) noexcept {
  while (core_.list.first && static_cast<waiter*>(core_.list.first)->n <= permits_) {
    const std::ptrdiff_t n = static_cast<waiter*>(core_.list.first)->n;
    if (detail::sudog* s = detail::dequeue_first(core_.list)) {
      permits_ -= n;
      static_cast<detail::wake_list*>(woken)->add(s);
    }
  }
}

bool semaphore::try_acquire(std::ptrdiff_t n) noexcept {
  lock_word(core_.lock);
  const bool got = !core_.list.first && permits_ >= n;
  if (got) permits_ -= n;
  unlock_word(core_.lock);
  return got;
}

wait_end semaphore::acquire_until(std::ptrdiff_t n, const detail::wait_limit& limit) {
  lock_word(core_.lock);
  if (!core_.list.first && permits_ >= n) {
    permits_ -= n;
    unlock_word(core_.lock);
    return wait_end::woken;
  }
  waiter me;
  me.n = n;
  const wait_end end = detail::wait_in(core_, me, wait_reason::semaphore_acquire, limit);
  if (end == wait_end::woken) return end;
  detail::wake_list woken;
  grant(&woken);  // to those that queued behind this one
  unlock_word(core_.lock);
  woken.inject_all();
  unwind_if_due();
  return end;
}

void semaphore::release(std::ptrdiff_t n) noexcept {
  detail::wake_list woken;
  lock_word(core_.lock);
  permits_ += n;
  grant(&woken);
  unlock_word(core_.lock);
  woken.inject_all();
}

}  // namespace weft
