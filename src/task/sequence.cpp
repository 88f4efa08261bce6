// task/sequence.cpp: see <weft/detail/sequence_core.hpp>.
#include <weft/detail/sequence_core.hpp>

#include "goroutine/sudog.hpp"
#include "sched/park_until.hpp"

namespace weft::detail {

namespace {

bool commit_unlock(g* gp) noexcept {
  unlock_word(static_cast<sequence_core*>(gp->commit_arg)->lock);
  return true;
}

}  // namespace

void sequence_advance(sequence_core& s) noexcept {
  g_list woken;
  lock_word(s.lock);
  s.value.store(s.value.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // [mo:sequence] what was done before
  // Each is claimed, so it waits for us to make it ready: its frame and its link are ours until then.
  while (sudog* w = dequeue(s.waiters)) woken.push_back(w->gp);
  unlock_word(s.lock);
  while (runnable* gp = woken.pop_front()) ready(gp);
}

wait_end sequence_wait(sequence_core& s, std::uint64_t seen, const wait_limit& limit) {
  if (s.value.load(std::memory_order_acquire) != seen) return wait_end::woken;  // [mo:sequence]
  lock_word(s.lock);
  if (s.value.load(std::memory_order_relaxed) != seen) {
    unlock_word(s.lock);
    return wait_end::woken;
  }
  sudog me;
  me.gp = current_or_thread();
  if (limit.none()) {
    push_back(s.waiters, &me);
    park_anyone(me.gp, &commit_unlock, &s, wait_reason::sequence);
    return wait_end::woken;
  }
  me.contested = true;
  begin_contest(me.gp);
  push_back(s.waiters, &me);
  const wait_end end = park_until(me.gp, &commit_unlock, &s, wait_reason::sequence, limit);
  if (end != wait_end::woken) {
    lock_word(s.lock);
    if (me.queued) remove(s.waiters, &me);
    unlock_word(s.lock);
  }
  return end;
}

}  // namespace weft::detail
