// coro/chan.cpp: see <weft/co/chan.hpp>.
#include <weft/co/chan.hpp>

#include <cstring>
#include <new>

#include "sched/bubble.hpp"
#include "sched/ready.hpp"
#include "sched/suspend.hpp"
#include "sync/chan.hpp"

namespace weft::detail {

namespace {

// The lock is held, and nothing can be done at once.
[[gnu::always_inline]] inline bool wait_on(chan_core* c, wait_list& list, void* element, sudog& s, runnable& r, wait_reason why) noexcept {
  suspend(r, why);
  append(list, ::new (static_cast<void*>(&s)) sudog{.gp = &r, .element = element});
  c->lock.unlock();
  return true;
}

// A nil channel: nobody will ever come.
bool wait_for_ever(runnable& r, wait_reason why) noexcept {
  suspend(r, why);
  return true;
}

bool at_once(chan_core* c, chan_status now, sudog& s, runnable* served) noexcept {
  c->lock.unlock();
  s.success = now == chan_status::done;
  return served && ready_whoever(served);
}

[[gnu::noinline]] bool send_held(chan_core* c, const void* element, sudog& s, runnable& r) noexcept {
  runnable* served;
  const chan_status now = send_locked(c, element, served);
  if (now == chan_status::would_block) return wait_on(c, c->senders, const_cast<void*>(element), s, r, wait_reason::chan_send);
  return at_once(c, now, s, served);
}

[[gnu::noinline]] bool recv_held(chan_core* c, void* element, sudog& s, runnable& r) noexcept {
  runnable* served;
  const chan_status now = recv_locked(c, element, served);
  if (now == chan_status::would_block) return wait_on(c, c->receivers, element, s, r, wait_reason::chan_receive);
  return at_once(c, now, s, served);
}

[[gnu::noinline]] bool send_otherwise(chan_core* c, const void* element, sudog& s, runnable& r) noexcept {
  if (c == nullptr) return wait_for_ever(r, wait_reason::chan_send_nil);
  if (c->bubble != 0) refuse_outsiders(c->bubble, "send on synctest channel");
  c->lock.lock();
  return send_held(c, element, s, r);
}

[[gnu::noinline]] bool recv_otherwise(chan_core* c, void* element, sudog& s, runnable& r) noexcept {
  if (c == nullptr) return wait_for_ever(r, wait_reason::chan_receive_nil);
  if (c->bubble != 0) refuse_outsiders(c->bubble, "receive on synctest channel");
  c->lock.lock();
  return recv_held(c, element, s, r);
}

// Whether `first` is there, and takes or gives a word, and nobody else may wake it: the usual case.
[[gnu::always_inline]] inline bool is_plain(const chan_core* c, const sudog* first) noexcept {
  return __builtin_expect(c->element_size == 8 && !first->contested, 1);
}

[[gnu::always_inline]] inline bool meet(chan_core* c, wait_list& list, sudog* first, void* to, const void* from, sudog& s) noexcept {
  take_first(list, first);
  std::memcpy(to, from, 8);
  first->success = true;
  runnable* served = first->gp;
  c->lock.unlock();
  s.success = true;
  return ready_from_coroutine(served);
}

}  // namespace

bool chan_has_clock(const chan_core* c) noexcept { return c && c->ticks; }

// What is usual, here: a word goes to the first who waits, or nobody is there and r waits. The rest is called last, so that
// these two save no registers.
bool co_send(chan_core* c, const void* element, sudog& s, runnable& r) noexcept {
  if (__builtin_expect(c == nullptr || c->bubble != 0 || !c->lock.try_lock(), 0)) return send_otherwise(c, element, s, r);
  if (sudog* first = c->receivers.first) {
    if (is_plain(c, first)) return meet(c, c->receivers, first, first->element, element, s);
  } else if (c->count == c->capacity && __builtin_expect(!c->closed, 1)) {
    return wait_on(c, c->senders, const_cast<void*>(element), s, r, wait_reason::chan_send);
  }
  return send_held(c, element, s, r);
}

bool co_recv(chan_core* c, void* element, sudog& s, runnable& r) noexcept {
  if (__builtin_expect(c == nullptr || c->bubble != 0 || !c->lock.try_lock(), 0)) return recv_otherwise(c, element, s, r);
  if (c->count == 0) {
    if (sudog* first = c->senders.first) {
      if (is_plain(c, first)) return meet(c, c->senders, first, element, first->element, s);
    } else if (__builtin_expect(!c->closed && !c->ticks, 1)) {
      return wait_on(c, c->receivers, element, s, r, wait_reason::chan_receive);
    }
  }
  return recv_held(c, element, s, r);
}

}  // namespace weft::detail
