// context/node.cpp: see node.hpp.
#include "context/node.hpp"

#include <mutex>

#include <weft/go.hpp>
#include <weft/select.hpp>

#include "sched/bubble.hpp"
#include "sched/lap.hpp"
#include "sync/chan.hpp"

namespace weft::detail {

namespace {

struct cancel_key {
  friend bool operator==(const cancel_key&, const cancel_key&) noexcept = default;
};

bool is_immortal(const context_node* n) noexcept { return n->what == context_node::kind::background || n->what == context_node::kind::todo; }

void time_is_up(void* closure) {
  auto* n = *static_cast<cancel_node**>(closure);
  const context_ref own(n);
  n->end(errc::deadline_exceeded, n->due_reason);
}

// The canceller of a custom context that wraps a context of the library, and leaves its done() as it is.
cancel_node* wrapped(const custom_context& c, const receiver<void>& done) {
  const context_value_view found = c.value(view_of(cancel_key{}));
  if (!found.type || *found.type != typeid(cancel_node)) return nullptr;
  auto* n = const_cast<cancel_node*>(static_cast<const cancel_node*>(found.value));
  return chan_access::ref(done).get() == n->done_channel().get() ? n : nullptr;
}

}  // namespace

context_node::context_node(kind k, context_node* p) noexcept : what(k), parent(p) {
  if (!p) return;
  context_add_ref(p);
  if (k == kind::without_cancel) return;
  canceller = p->canceller;
  custom = p->custom;
  deadline = p->deadline;
}

void context_add_ref(context_node* n) noexcept {
  if (!is_immortal(n)) n->refs.fetch_add(1, std::memory_order_relaxed);
}

void context_release(context_node* n) noexcept {
  while (n && !is_immortal(n)) {  // a loop: a chain of parents may be long
    // [mo:context.refs] acq_rel: what was done through other references. To 0 in any case: add_ref_if_alive() must see that it is going.
    if (n->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    n->leave();
    context_node* parent = n->parent;
    delete n;
    n = parent;
  }
}

void cancelled_list::finish() noexcept {
  while (cancel_node* n = first) {
    first = n->next_later;
    if (n->source) n->source->request_stop();
    context_release(n);
  }
}

cancel_node::cancel_node(context_node* p) noexcept : context_node(kind::cancel, p) {
  canceller = this;
  custom = nullptr;
  core.bubble = bubble_id_here();
}

// Its children hold it, so what is hooked still is functions that will never run.
cancel_node::~cancel_node() {
  while (cancel_hook* h = first) {
    first = h->next;
    const std::shared_ptr<void> last = std::move(h->self);
  }
}

bool cancel_node::add(cancel_hook* h) noexcept {
  const std::lock_guard hold(mutex);
  if (now.load(std::memory_order_relaxed) != state::live) return false;
  h->prev = nullptr;
  h->next = first;
  if (first) first->prev = h;
  first = h;
  h->in_list = true;
  h->hooked.store(true, std::memory_order_relaxed);
  return true;
}

void cancel_node::remove(cancel_hook* h) noexcept {
  if (!h->hooked.load(std::memory_order_acquire)) return;  // [mo:hooked] all that was done to it is done
  const std::lock_guard hold(mutex);
  if (!h->in_list) return;
  if (h->prev) h->prev->next = h->next;
  else first = h->next;
  if (h->next) h->next->prev = h->prev;
  h->in_list = false;
  h->hooked.store(false, std::memory_order_relaxed);
}

void cancel_node::attach() {
  if (cancel_node* up = parent->canceller) {
    if (!up->add(this)) end(up->err(), up->reason);
  } else if (parent->custom) {
    const auto& user = parent->custom->user;
    const auto done = user->done();
    if (!done) return;
    if (done.try_recv().error() == errc::channel_closed) end(user->err(), cause_of(user->err()));
    else watch(user, this);
  }
}

void cancel_node::start_timer(std::exception_ptr reason_then) {
  const std::lock_guard hold(mutex);
  if (now.load(std::memory_order_relaxed) != state::live) return;
  due_reason = std::move(reason_then);
  due.when = deadline;
  due.arg = this;
  due.fire = [](heap_timer* t, due_list& list) noexcept { list.start(&time_is_up, t->arg); };
  context_add_ref(this);
  add_timer(&due);
}

void cancel_node::end(const std::error_code& err, const std::exception_ptr& cause) noexcept {
  cancelled_list later;
  end_here(err, cause, later);
  if (parent->canceller) parent->canceller->remove(this);
  later.finish();
}

// This one alone; true: it is the caller's to end what is hooked, and then to unlock the mutex.
bool cancel_node::begin_end(const std::error_code& err, const std::exception_ptr& cause) noexcept {
  mutex.lock();
  if (now.load(std::memory_order_relaxed) != state::live) {
    mutex.unlock();
    return false;
  }
  why = err;
  reason = cause;
  now.store(state::ending, std::memory_order_release);  // [mo:context.now] the error and its reason
  if (has_channel.load(std::memory_order_relaxed)) chan_close(channel.get());
  weft::detail::finish(core);
  now.store(state::ended, std::memory_order_release);  // [mo:context.now] whoever sees it finds done() closed
  return true;
}

void cancel_node::note_for_later(cancelled_list& later) noexcept {
  const bool was_queued = timer_heap::remove(&due);
  if (!source && !was_queued) return;
  // The timer's reference goes on the list. Without one the last handle may have gone: then there is nobody left to tell.
  if (!was_queued && !add_ref_if_alive(this)) return;
  next_later = later.first;
  later.first = this;
}

// From node to node and back, each locked until all below it have ended: a chain of contexts may be longer than a stack is deep.
// Afterwards `this` may be gone, unless the caller keeps it.
void cancel_node::end_here(const std::error_code& err, const std::exception_ptr& cause, cancelled_list& later) noexcept {
  if (!begin_end(err, cause)) return;
  for (cancel_node* n = this;;) {
    if (cancel_hook* h = n->first) {
      const std::shared_ptr<void> alive = std::move(h->self);
      n->first = h->next;
      if (n->first) n->first->prev = nullptr;
      h->in_list = false;
      if (cancel_node* child = h->parent_ended(err, cause)) n = child;
      else h->hooked.store(false, std::memory_order_release);  // [mo:hooked] our last touch
      continue;
    }
    n->note_for_later(later);
    cancel_node* up = n == this ? nullptr : n->parent->canceller;
    n->mutex.unlock();
    if (!up) return;
    n->hooked.store(false, std::memory_order_release);  // [mo:hooked]
    n = up;
  }
}

cancel_node* cancel_node::parent_ended(const std::error_code& err, const std::exception_ptr& cause) noexcept { return begin_end(err, cause) ? this : nullptr; }

void cancel_node::leave() noexcept {
  if (parent->canceller) parent->canceller->remove(this);
}

chan_ref cancel_node::done_channel() {
  if (!has_channel.load(std::memory_order_acquire)) {  // [mo:context.channel]
    const std::lock_guard hold(mutex);
    if (!channel.get()) {
      channel = chan_ref(chan_make(0, 0, nullptr));
      channel.get()->bubble = core.bubble;  // whoever asks first
      if (now.load(std::memory_order_relaxed) != state::live) chan_close(channel.get());
      has_channel.store(true, std::memory_order_release);  // [mo:context.channel]
    }
  }
  return channel;
}

std::error_code cancel_node::err() noexcept {
  const state s = now.load(std::memory_order_acquire);  // [mo:context.now]
  if (s == state::live) return {};
  if (s == state::ending) const std::lock_guard wait(mutex);  // its channel is being closed
  return why;
}

std::exception_ptr cancel_node::cause() noexcept {
  const std::error_code e = err();
  if (!e) return nullptr;  // live: `reason` may be written at this very moment
  return reason ? reason : cause_of(e);
}

std::stop_token cancel_node::stop_token() {
  {
    const std::lock_guard hold(mutex);
    if (now.load(std::memory_order_relaxed) == state::live) {
      if (!source) source.emplace();
      return source->get_token();
    }
  }
  std::stop_source stopped;
  stopped.request_stop();
  return stopped.get_token();
}

// How a custom context that wraps one of the library's is seen through: by this key, the nearest canceller answers with itself.
context_value_view cancel_node::find(const context_key_view& key) const {
  return *key.type == typeid(cancel_key) ? context_value_view{&typeid(cancel_node), this} : context_value_view{};
}

custom_node::custom_node(std::shared_ptr<const custom_context> c) : context_node(kind::custom, nullptr), user(std::move(c)) {
  custom = this;
  if (const auto t = user->deadline()) deadline = context_time(*t);
  if (const auto done = user->done()) {
    canceller = wrapped(*user, done);
    if (canceller) context_add_ref(canceller);
  }
}

cancel_node* custom_node::watcher() {
  const std::lock_guard hold(mutex);
  if (watching) return watching;
  auto* n = new cancel_node(context_access::node(background()));
  const context_ref own(n);  // the user's functions may throw
  if (user->done().try_recv().error() == errc::channel_closed) n->end(user->err(), cause_of(user->err()));
  else watch(user, n);
  context_add_ref(n);
  return watching = n;
}

void custom_node::leave() noexcept {
  if (canceller) context_release(canceller);
  if (!watching) return;
  watching->end(errc::canceled, nullptr);  // its goroutine has nobody left to tell
  context_release(watching);
}

void watch(const std::shared_ptr<const custom_context>& user, cancel_node* n) {
  context_add_ref(n);
  weft::go([user, own = context_ref(n), n] {
    select(on_recv(user->done(), [&] { n->end(user->err(), cause_of(user->err())); }), on_recv(chan_access::receiver_of<void>(n->done_channel())));
  });
}

std::exception_ptr cause_of(const std::error_code& err) {
  const auto make = [](errc e) { return new std::exception_ptr(std::make_exception_ptr(std::system_error(e))); };
  static const std::exception_ptr *canceled = make(errc::canceled), *exceeded = make(errc::deadline_exceeded);  // outlive static destructors
  if (err == errc::canceled) return *canceled;
  if (err == errc::deadline_exceeded) return *exceeded;
  return err ? std::make_exception_ptr(std::system_error(err)) : nullptr;
}

cancel_node* canceller_of(const context& ctx) {
  context_node* n = checked(ctx);
  if (n->canceller || !n->custom || !n->custom->user->done()) return n->canceller;
  return n->custom->watcher();
}

}  // namespace weft::detail
