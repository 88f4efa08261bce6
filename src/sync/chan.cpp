// sync/chan.cpp: the untyped channel. Source: Go's chan.go.
// Invariants, under the lock
//   C1  of the two wait lists at least one is empty (but for a goroutine that waits on both, in a select).
//   C2  buffered: values in the buffer mean that no receiver waits; a free slot means that no sender waits.
// A value goes straight from a sender to a receiver that waits: into its frame, which cannot go away before ready().
#include <cstdlib>
#include <cstring>
#include <new>

#include <weft/detail/chan_core.hpp>
#include <weft/error.hpp>

#include "goroutine/sudog.hpp"
#include "sched/park.hpp"
#include "sched/park_until.hpp"

namespace weft::detail {

struct chan_core {
  ranked_lock<rank::channel> lock;
  std::uint32_t element_size;
  std::size_t capacity;
  std::size_t count = 0;      // in the buffer
  std::size_t send_at = 0, recv_at = 0;
  wait_list receivers, senders;
  bool closed = false;
  bool orphan = false;        // no handle is left, only who waits
  drop_fn drop;
  atomic<std::uint32_t> refs{1};

  char* slot(std::size_t i) noexcept { return reinterpret_cast<char*>(this + 1) + i * element_size; }
  void advance(std::size_t& at) const noexcept { at = at + 1 == capacity ? 0 : at + 1; }
};

namespace {

// Elements of a word are most of all there are; an inlined move beats a call of memcpy by 2 ns.
[[gnu::always_inline]] inline void copy(const chan_core* c, void* to, const void* from) noexcept {
  if (__builtin_expect(c->element_size == 8, 1)) std::memcpy(to, from, 8);
  else if (c->element_size != 0) std::memcpy(to, from, c->element_size);
}

bool commit_unlock(g* gp) noexcept {
  static_cast<chan_core*>(gp->commit_arg)->lock.unlock();
  return true;
}

bool commit_forever(g*) noexcept { return true; }

void destroy(chan_core* c) noexcept {
  if (c->drop)
    for (; c->count > 0; c->count--, c->advance(c->recv_at)) c->drop(c->slot(c->recv_at));
  c->~chan_core();
  std::free(c);
}

// A nil channel: nobody will ever come.
chan_status wait_for_ever(wait_reason why, std::int64_t deadline) {
  if (deadline == 0) return chan_status::would_block;
  g* gp = current_or_thread();
  if (deadline == no_deadline) {
    for (;;) park_anyone(gp, &commit_forever, nullptr, why);
  }
  begin_contest(gp);
  static_cast<void>(park_until(gp, &commit_forever, nullptr, why, deadline));
  return chan_status::timed_out;
}

// The lock is held: waits on `list` with the element at `element`; the lock is released once this stack is left.
[[gnu::always_inline]] inline chan_status wait_on(chan_core* c, wait_list& list, void* element, wait_reason why, std::int64_t deadline) {
  sudog s;
  m* mp = self()->mp;
  s.gp = __builtin_expect(mp && mp->curg, 1) ? mp->curg : current_or_thread();
  s.element = element;
  if (__builtin_expect(deadline != no_deadline, 0)) {
    s.contested = true;
    begin_contest(s.gp);
    push_back(list, &s);
    if (!park_until(s.gp, &commit_unlock, c, why, deadline)) {
      c->lock.lock();
      if (s.queued) remove(list, &s);
      const bool last = c->orphan && !c->receivers.first && !c->senders.first;
      c->lock.unlock();
      if (last) destroy(c);
      return chan_status::timed_out;
    }
  } else {
    push_back(list, &s);
    if (__builtin_expect((s.gp->flags & g_thread) == 0, 1)) park(&commit_unlock, c, why);
    else park_anyone(s.gp, &commit_unlock, c, why);
  }
  return s.success ? chan_status::done : chan_status::closed;
}

[[gnu::always_inline]] inline chan_status send(chan_core* c, const void* element, std::int64_t deadline) {
  if (__builtin_expect(c == nullptr, 0)) return wait_for_ever(wait_reason::chan_send_nil, deadline);
  c->lock.lock();
  if (__builtin_expect(c->closed, 0)) {
    c->lock.unlock();
    return chan_status::closed;
  }
  if (sudog* s = dequeue(c->receivers)) {
    copy(c, s->element, element);
    s->success = true;
    g* gp = s->gp;
    c->lock.unlock();
    ready(gp);
    return chan_status::done;
  }
  if (c->count < c->capacity) {
    copy(c, c->slot(c->send_at), element);
    c->advance(c->send_at);
    c->count++;
    c->lock.unlock();
    return chan_status::done;
  }
  if (deadline == 0) {
    c->lock.unlock();
    return chan_status::would_block;
  }
  return wait_on(c, c->senders, const_cast<void*>(element), wait_reason::chan_send, deadline);
}

[[gnu::always_inline]] inline chan_status recv(chan_core* c, void* element, std::int64_t deadline) {
  if (__builtin_expect(c == nullptr, 0)) return wait_for_ever(wait_reason::chan_receive_nil, deadline);
  c->lock.lock();
  if (c->count > 0) {
    copy(c, element, c->slot(c->recv_at));
    if (sudog* s = dequeue(c->senders)) {  // the buffer was full: the first who waits fills the slot, at the tail
      copy(c, c->slot(c->recv_at), s->element);
      c->advance(c->recv_at);
      c->send_at = c->recv_at;
      s->success = true;
      g* gp = s->gp;
      c->lock.unlock();
      ready(gp);
      return chan_status::done;
    }
    c->advance(c->recv_at);
    c->count--;
    c->lock.unlock();
    return chan_status::done;
  }
  if (sudog* s = dequeue(c->senders)) {
    copy(c, element, s->element);
    s->success = true;
    g* gp = s->gp;
    c->lock.unlock();
    ready(gp);
    return chan_status::done;
  }
  if (__builtin_expect(c->closed, 0)) {
    c->lock.unlock();
    return chan_status::closed;
  }
  if (deadline == 0) {
    c->lock.unlock();
    return chan_status::would_block;
  }
  return wait_on(c, c->receivers, element, wait_reason::chan_receive, deadline);
}

}  // namespace

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
  return c;
}

void chan_add_ref(chan_core* c) noexcept { c->refs.fetch_add(1, std::memory_order_relaxed); }

void chan_release(chan_core* c) noexcept {
  // [mo:chan.refs] acq_rel: all that was done through other handles is done before the end. Alone: no locked instruction.
  if (c->refs.load(std::memory_order_acquire) != 1 && c->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  c->lock.lock();
  // Who still waits can never be woken by a value, but may by its deadline: the last of them destroys the channel.
  c->orphan = true;
  const bool waited_for = c->receivers.first || c->senders.first;
  c->lock.unlock();
  if (!waited_for) destroy(c);
}

chan_status chan_send(chan_core* c, const void* element) { return send(c, element, no_deadline); }
chan_status chan_recv(chan_core* c, void* element) { return recv(c, element, no_deadline); }
chan_status chan_send_until(chan_core* c, const void* element, std::int64_t deadline) { return send(c, element, deadline); }
chan_status chan_recv_until(chan_core* c, void* element, std::int64_t deadline) { return recv(c, element, deadline); }

void chan_close(chan_core* c) {
  if (!c) throw close_of_nil_channel();
  c->lock.lock();
  if (c->closed) {
    c->lock.unlock();
    throw close_of_closed_channel();
  }
  c->closed = true;
  g* woken = nullptr;  // through g::link, last first: then the first of them is readied last and runs next, as in Go
  for (wait_list* list : {&c->receivers, &c->senders}) {
    while (sudog* s = dequeue(*list)) {
      s->success = false;
      s->gp->link = woken;
      woken = s->gp;
    }
  }
  c->lock.unlock();
  while (g* gp = woken) {
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

void throw_closed_channel() { throw closed_channel(); }

}  // namespace weft::detail
