// sync/chan.cpp: the operations of one channel. Source: Go's chan.go.
#include "sync/chan.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include <weft/error.hpp>

#include "sched/bubble.hpp"
#include "sched/park.hpp"
#include "sched/park_until.hpp"
#include "sched/unwind.hpp"

namespace weft::detail {

namespace {

bool commit_unlock(g* gp) noexcept {
  static_cast<chan_core*>(gp->commit_arg)->lock.unlock();
  return true;
}

bool commit_forever(g*) noexcept { return true; }

chan_status ended_by(wait_end e) noexcept { return e == wait_end::cancelled ? chan_status::cancelled : chan_status::timed_out; }

// A nil channel: nobody will ever come.
chan_status wait_for_ever(wait_reason why, const wait_limit& limit) {
  if (limit.deadline == 0) return chan_status::would_block;
  g* gp = current_or_thread();
  unwind_if_due();
  while (limit.none() && !world_unwinds()) park_anyone(gp, &commit_forever, nullptr, why);
  begin_contest(gp);
  const wait_end end = park_until(gp, &commit_forever, nullptr, why, limit);
  unwind_if_due();
  return ended_by(end);
}

[[gnu::noinline]] void park_elsewhere(g* gp, chan_core* c, wait_reason why) noexcept {
  const wait_on_bubble where(gp, c->bubble);
  park_anyone(gp, &commit_unlock, c, why);
}

struct chan_hold {
  chan_core* c;
  ~chan_hold() { chan_release(c); }
};

// The lock is held: waits on `list` with the element at `element`; the lock is released once this stack is left.
[[gnu::always_inline]] inline chan_status wait_on(chan_core* c, wait_list& list, void* element, wait_reason why, const wait_limit& limit) {
  sudog s;
  m* mp = this_m();
  g* gp = __builtin_expect(mp && mp->curg, 1) ? mp->curg : current_or_thread();
  s.gp = gp;
  s.element = element;
  if (__builtin_expect(!limit.none(), 0) || world_unwinds()) {
    if (is_to_unwind(gp)) c->lock.unlock(), unwind();
    s.contested = true;
    begin_contest(gp);
    chan_add_ref(c);  // who is not woken needs the channel, whatever becomes of its handles meanwhile
    const chan_hold hold{c};
    const wait_on_bubble where(gp, c->bubble);
    push_back(list, &s);
    const wait_end end = park_until(gp, &commit_unlock, c, why, limit);
    if (end != wait_end::woken) {
      c->lock.lock();
      if (s.queued) remove(list, &s);
      c->lock.unlock();
      unwind_if_due();
      return ended_by(end);
    }
  } else {
    push_back(list, &s);
    if (__builtin_expect((gp->flags & (g_thread | g_bubbled)) == 0, 1)) park(&commit_unlock, c, why);
    else park_elsewhere(gp, c, why);
  }
  return s.success ? chan_status::done : chan_status::closed;
}

[[gnu::always_inline]] inline chan_status send(chan_core* c, const void* element, const wait_limit& limit) {
  if (__builtin_expect(c == nullptr, 0)) return wait_for_ever(wait_reason::chan_send_nil, limit);
  if (__builtin_expect(c->bubble != 0, 0)) refuse_outsiders(c->bubble, "send on synctest channel");
  c->lock.lock();
  runnable* served;
  const chan_status now = send_locked(c, element, served);
  if (now == chan_status::would_block && limit.deadline != 0) return wait_on(c, c->senders, const_cast<void*>(element), wait_reason::chan_send, limit);
  c->lock.unlock();
  if (served) ready(served);
  honour_request();
  return now;
}

// The lock is held, and the timer's time has not come.
[[gnu::noinline]] chan_status wait_for_tick(chan_core* c, void* element, const wait_limit& limit) {
  chan_add_ref(c);  // it is looked at again after each wait, in which its handles may go
  const chan_hold hold{c};
  for (;;) {
    const wait_limit shorter{.deadline = std::min(limit.deadline, c->clock()->when), .done = limit.done};
    const chan_status end = wait_on(c, c->receivers, element, wait_reason::chan_receive, shorter);
    if (end == chan_status::cancelled) return end;
    c->lock.lock();  // its time has come, or was changed
    const chan_status now = take_tick_locked(c, element);
    if (now == chan_status::done || time_here() >= limit.deadline) {
      c->lock.unlock();
      return now == chan_status::done ? now : chan_status::timed_out;
    }
  }
}

[[gnu::always_inline]] inline chan_status recv(chan_core* c, void* element, const wait_limit& limit) {
  if (__builtin_expect(c == nullptr, 0)) return wait_for_ever(wait_reason::chan_receive_nil, limit);
  if (__builtin_expect(c->bubble != 0, 0)) refuse_outsiders(c->bubble, "receive on synctest channel");
  c->lock.lock();
  runnable* served;
  const chan_status now = recv_locked(c, element, served);
  if (now == chan_status::would_block && limit.deadline != 0) {
    if (__builtin_expect(c->ticks, 0)) return wait_for_tick(c, element, limit);
    return wait_on(c, c->receivers, element, wait_reason::chan_receive, limit);
  }
  c->lock.unlock();
  if (served) ready(served);
  honour_request();
  return now;
}

}  // namespace

void destroy(chan_core* c) noexcept {
  if (c->drop)
    for (; c->count > 0; c->count--, c->advance(c->recv_at)) c->drop(c->slot(c->recv_at));
  c->~chan_core();
  std::free(c);
}

chan_core* chan_make(std::size_t element_size, std::int64_t capacity, drop_fn drop) {
  constexpr auto most = static_cast<std::size_t>(PTRDIFF_MAX) - sizeof(chan_core);
  if (capacity < 0 || (element_size > 0 && static_cast<std::size_t>(capacity) > most / element_size)) throw bad_chan_size();
  const std::size_t bytes = sizeof(chan_core) + static_cast<std::size_t>(capacity) * element_size;
  void* memory = std::malloc(bytes);
  if (!memory) throw std::bad_alloc();
  auto* c = ::new (memory) chan_core();
  c->element_size = static_cast<std::uint32_t>(element_size);
  c->capacity = static_cast<std::size_t>(capacity);
  c->drop = drop;
  c->bubble = bubble_id_here();
  return c;
}

void chan_add_ref(chan_core* c) noexcept { c->refs.fetch_add(1, std::memory_order_relaxed); }

void chan_release(chan_core* c) noexcept {
  // All that was done through other handles is done before the end. Alone: no locked instruction.
  if (c->refs.load(std::memory_order_acquire) != 1 &&               // [mo:chan.refs] pairs with the release half below
      c->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;  // [mo:chan.refs]
  c->lock.lock();
  c->orphan = true;
  const bool last = is_abandoned(c);
  c->lock.unlock();
  if (last) destroy(c);  // else the last of the selects does, or somebody waits for ever, and the channel with it
}

chan_status chan_send(chan_core* c, const void* element) { return send(c, element, {}); }
chan_status chan_recv(chan_core* c, void* element) { return recv(c, element, {}); }
chan_status chan_send_until(chan_core* c, const void* element, const wait_limit& limit) { return send(c, element, limit); }
chan_status chan_recv_until(chan_core* c, void* element, const wait_limit& limit) { return recv(c, element, limit); }

void chan_close(chan_core* c) {
  if (!c) throw close_of_nil_channel();
  refuse_outsiders(c->bubble, "close of synctest channel");
  c->lock.lock();
  if (c->closed) {
    c->lock.unlock();
    throw close_of_closed_channel();
  }
  c->closed = true;
  runnable* woken = nullptr;  // through g::link, last first: then the first of them is readied last and runs next, as in Go
  for (wait_list* list : {&c->receivers, &c->senders}) {
    while (sudog* s = dequeue(*list)) {
      s->success = false;
      s->gp->link = woken;
      woken = s->gp;
    }
  }
  c->lock.unlock();
  while (runnable* gp = woken) {
    woken = gp->link;
    gp->link = nullptr;
    ready(gp);
  }
}

std::size_t chan_size(const chan_core* c) noexcept {
  if (!c) return 0;
  auto* mutable_c = const_cast<chan_core*>(c);
  lock_guard hold(mutable_c->lock);
  return c->count;
}

std::size_t chan_capacity(const chan_core* c) noexcept { return c ? c->capacity : 0; }

void throw_closed_channel() {
  unwind_if_due();
  throw closed_channel();
}

}  // namespace weft::detail
