// sched/on_switch.cpp: see <weft/on_switch.hpp> and on_switch.hpp.
#include "sched/on_switch.hpp"

#include <weft/on_switch.hpp>

#include <sched.h>

#include "base/throw.hpp"
#include "sched/call_c.hpp"

namespace weft {

namespace {

using detail::hooked;

void enter_oldest_first(const hooked* h) noexcept {
  if (!h) return;
  enter_oldest_first(h->older);
  if (h->hooks.enter) h->hooks.enter(h->hooks.arg);
}

}  // namespace

void enter_hooks(m* mp, g* gp) noexcept {
  // [mo:hooks] acquire, pairs with the release in leave_hooks(): who left it is done with it. Seldom does anybody wait here.
  for (int looks = 0; gp->wakeup.load(std::memory_order_acquire) == hooks_in; looks++) {
    if (looks < 100) cpu_relax();
    else ::sched_yield();
  }
  if (gp->wakeup.load(std::memory_order_relaxed) == hooks_out) {
    const visit_to_g0 here(mp, guest::hook, gp);
    *mp->eh = {};
    enter_oldest_first(gp->hooks);
  }
  gp->wakeup.store(hooks_in, std::memory_order_relaxed);
  *mp->eh = gp->eh;
  *mp->err = gp->saved_errno;
}

void leave_hooks(m* mp, g* gp) noexcept {
  {
    const visit_to_g0 here(mp, guest::hook, nullptr);
    *mp->eh = {};
    for (const hooked* h = gp->hooks; h; h = h->older)
      if (h->hooks.leave) h->hooks.leave(h->hooks.arg);
  }
  gp->wakeup.store(hooks_out, std::memory_order_release);  // [mo:hooks] from here on it may be anywhere
}

namespace detail {

void begin_hooks(hooked& h) {
  g* gp = current_g();
  if (h.hooks.enter) call_on_g0(h.hooks.enter, h.hooks.arg, guest::hook);
  if (!gp) return;
  h.owner = gp;
  h.older = gp->hooks;
  gp->hooks = &h;
  gp->wakeup.store(hooks_in, std::memory_order_relaxed);
  gp->flags |= g_hooked;
}

void end_hooks(hooked& h) noexcept {
  g* gp = current_g();
  if (h.owner != gp || (gp && gp->hooks != &h)) fatal("on_switch: destroyed by another goroutine, or not the latest first");
  if (gp) {
    gp->hooks = h.older;
    if (!h.older) gp->flags &= static_cast<std::uint16_t>(~g_hooked);
  }
  if (h.hooks.leave) call_on_g0(h.hooks.leave, h.hooks.arg, guest::hook);
}

}  // namespace detail

}  // namespace weft
