// sync/latch.cpp: see <weft/latch.hpp>. The count is under the lock even where an atomic would do: who sees 0 may destroy the latch,
// and so must not see it before the last count_down() has let go of it.
#include <weft/latch.hpp>

#include <weft/error.hpp>

#include "sync/waiting.hpp"

namespace weft {

using detail::wait_end;

void latch::count_down(std::ptrdiff_t n) {
  detail::wake_list woken;
  lock_word(core_.lock);
  const bool enough = n >= 0 && n <= count_;
  if (enough) count_ -= n;
  if (enough && count_ == 0) {
    while (detail::sudog* s = dequeue(core_.list)) woken.add(s);
  }
  unlock_word(core_.lock);
  if (!enough) throw panic("sync: negative latch counter");
  woken.inject_all();
}

bool latch::try_wait() const noexcept {
  lock_word(core_.lock);
  const bool open = count_ == 0;
  unlock_word(core_.lock);
  return open;
}

wait_end latch::wait_until_limit(const detail::wait_limit& limit) const {
  lock_word(core_.lock);
  wait_end end = wait_end::woken;
  if (count_ != 0) {
    detail::sudog me;
    end = detail::wait_in(core_, me, wait_reason::latch_wait, limit);
    if (end == wait_end::woken) return end;
  }
  unlock_word(core_.lock);
  if (end != wait_end::woken) unwind_if_due();
  return end;
}

}  // namespace weft
