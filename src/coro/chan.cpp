// coro/chan.cpp: see <weft/co/chan.hpp>.
#include <weft/co/chan.hpp>

#include "sched/bubble.hpp"
#include "sched/lap.hpp"
#include "sched/suspend.hpp"
#include "sync/chan.hpp"

namespace weft::detail {

namespace {

[[gnu::always_inline]] inline bool wait_on(chan_core* c, wait_list& list, void* element, sudog& s, runnable& r, wait_reason why) noexcept {
  s.gp = &r;
  s.element = element;
  suspend(r, why);
  push_back(list, &s);
  c->lock.unlock();
  return true;
}

[[gnu::always_inline]] inline bool at_once(chan_core* c, chan_status now, sudog& s, runnable* served) noexcept {
  c->lock.unlock();
  s.success = now == chan_status::done;
  if (served) ready(served);
  return false;
}

// A nil channel: nobody will ever come.
bool wait_for_ever(runnable& r, wait_reason why) noexcept {
  suspend(r, why);
  return true;
}

}  // namespace

bool chan_has_clock(const chan_core* c) noexcept { return c && c->clock; }

bool co_send(chan_core* c, const void* element, sudog& s, runnable& r) noexcept {
  if (__builtin_expect(c == nullptr, 0)) return wait_for_ever(r, wait_reason::chan_send_nil);
  if (__builtin_expect(c->bubble != 0, 0)) refuse_outsiders(c->bubble, "send on synctest channel");
  c->lock.lock();
  runnable* served;
  const chan_status now = send_locked(c, element, served);
  if (now == chan_status::would_block) return wait_on(c, c->senders, const_cast<void*>(element), s, r, wait_reason::chan_send);
  return at_once(c, now, s, served);
}

bool co_recv(chan_core* c, void* element, sudog& s, runnable& r) noexcept {
  if (__builtin_expect(c == nullptr, 0)) return wait_for_ever(r, wait_reason::chan_receive_nil);
  if (__builtin_expect(c->bubble != 0, 0)) refuse_outsiders(c->bubble, "receive on synctest channel");
  c->lock.lock();
  runnable* served;
  const chan_status now = recv_locked(c, element, served);
  if (now == chan_status::would_block) return wait_on(c, c->receivers, element, s, r, wait_reason::chan_receive);
  return at_once(c, now, s, served);
}

}  // namespace weft::detail
