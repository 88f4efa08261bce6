// sync/barrier.cpp: see <weft/barrier.hpp>. Between the last arrival and open() nobody is missing, so nobody can arrive: the
// completion function runs without the lock.
#include <weft/barrier.hpp>

#include <weft/error.hpp>

#include "sync/waiting.hpp"

namespace weft::detail {

barrier_core::~barrier_core() {
  if (core_.list.first) destroyed_in_use("weft::barrier");
}

barrier_core::arrival barrier_core::arrive(std::ptrdiff_t n, bool drop) {
  lock_word(core_.lock);
  const bool in_order = n > 0 && n <= missing_;
  if (in_order) {
    missing_ -= n;
    expected_ -= drop;
  }
  const arrival a{phase_, missing_ == 0};
  unlock_word(core_.lock);
  if (!in_order) throw panic("sync: too many arrivals at barrier");
  return a;
}

void barrier_core::open() noexcept {
  wake_list woken;
  lock_word(core_.lock);
  missing_ = expected_;
  phase_++;
  while (sudog* s = dequeue(core_.list)) woken.add(s);
  unlock_word(core_.lock);
  woken.inject_all();
}

wait_end barrier_core::wait(std::uint64_t phase, const wait_limit& limit) {
  lock_word(core_.lock);
  wait_end end = wait_end::woken;
  if (phase_ == phase) {
    sudog me;
    end = wait_in(core_, me, wait_reason::barrier_wait, limit);
    if (end == wait_end::woken) return end;
  }
  unlock_word(core_.lock);
  if (end != wait_end::woken) unwind_if_due();
  return end;
}

}  // namespace weft::detail
