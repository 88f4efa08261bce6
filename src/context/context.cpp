// context/context.cpp: the handles and the makers: see <weft/context.hpp>.
#include <weft/context.hpp>

#include <optional>
#include <stop_token>
#include <utility>

#include <weft/detail/context_wait.hpp>

#include "context/node.hpp"
#include "sched/bubble.hpp"
#include "sched/lap.hpp"

namespace weft {

using detail::cancel_node;
using detail::checked;
using detail::checked_parent;
using detail::context_access;
using detail::context_node;
using detail::context_ref;

namespace {

struct immortal : context_node {
  explicit immortal(kind k) noexcept : context_node(k, nullptr) {}
};
context_node* root(context_node::kind k) noexcept {
  static context_node *const background = new immortal(context_node::kind::background), *const todo = new immortal(context_node::kind::todo);
  return k == context_node::kind::todo ? todo : background;
}

// Ends with a std::stop_token. The callback runs in the middle of somebody's request_stop(), on a thread that must not park there:
// so it leaves the work to a goroutine.
struct stop_node final : cancel_node {
  using cancel_node::cancel_node;
  struct callback {
    stop_node* n;
    void operator()() const noexcept { n->stop_asked(); }
  };
  void stop_asked() noexcept {
    if (!add_ref_if_alive(this)) return;
    start_goroutine(
        [](void* closure) {
          auto* n = *static_cast<stop_node**>(closure);
          const context_ref own(n);
          n->end(errc::canceled, nullptr);
        },
        this);
  }
  void leave() noexcept override {
    on_stop.reset();
    cancel_node::leave();
  }
  std::optional<std::stop_callback<callback>> on_stop;
};

}  // namespace

custom_context::~custom_context() = default;
std::optional<std::chrono::steady_clock::time_point> custom_context::deadline() const { return std::nullopt; }
context_value_view custom_context::value(const context_key_view&) const { return {}; }
std::string custom_context::name() const { return detail::type_text(typeid(*this)); }

context::context(std::shared_ptr<const custom_context> c) {
  if (!c) throw panic("runtime error: invalid memory address or nil pointer dereference");
  node_ = context_ref(new detail::custom_node(std::move(c)));
}

std::optional<context::time_point> context::deadline() const {
  const std::int64_t d = checked(*this)->deadline;
  if (d == INT64_MAX) return std::nullopt;
  return time_point(std::chrono::nanoseconds(d));
}

receiver<void> context::done() const {
  const context_node* n = checked(*this);
  if (n->custom) return n->custom->user->done();
  return n->canceller ? detail::chan_access::receiver_of<void>(n->canceller->done_channel()) : receiver<void>();
}

std::error_code context::err() const {
  const context_node* n = checked(*this);
  if (n->custom) return n->custom->user->err();
  return n->canceller ? n->canceller->err() : std::error_code();
}

std::exception_ptr context::cause() const {
  const context_node* n = checked(*this);
  return n->canceller ? n->canceller->cause() : detail::cause_of(err());
}

context_value_view context::find(const context_key_view& key) const {
  for (const context_node* n = checked(*this); n; n = n->parent) {
    const context_value_view found = n->find(key);
    if (found.type) return found;
  }
  return {};
}

std::stop_token context::get_stop_token() const {
  cancel_node* n = detail::canceller_of(*this);
  return n ? n->stop_token() : std::stop_token();
}

detail::done_core* context::done_core() const {
  cancel_node* n = node_.get() ? detail::canceller_of(*this) : nullptr;
  return n ? &n->core : nullptr;
}

context background() noexcept { return context_access::make(context_ref(root(context_node::kind::background))); }
context todo() noexcept { return context_access::make(context_ref(root(context_node::kind::todo))); }

void canceler::cancel(const cancel_cause& why) const noexcept {
  const context_ref own(node_);  // who waits for the end may go on at once, and destroy *this
  if (auto* n = static_cast<cancel_node*>(own.get())) n->end(errc::canceled, why.get());
}

cancelable with_stop_token(const context& parent, std::stop_token token) {
  auto* n = new stop_node(checked_parent(parent));
  cancelable made = detail::to_cancelable(context_ref(n));
  n->attach();
  if (token.stop_requested()) n->end(errc::canceled, nullptr);
  else if (token.stop_possible()) n->on_stop.emplace(std::move(token), stop_node::callback{n});
  return made;
}

context without_cancel(const context& parent) {
  return context_access::make(context_ref(new context_node(context_node::kind::without_cancel, checked_parent(parent))));
}

namespace detail {

context_ref context_cancelable(const context& parent) {
  auto* n = new cancel_node(checked_parent(parent));
  context_ref own(n);
  n->attach();
  return own;
}

context_ref context_until(const context& parent, std::int64_t when, const cancel_cause& why) {
  if (when == INT64_MAX || checked_parent(parent)->deadline < when) return context_cancelable(parent);
  auto* n = new cancel_node(checked_parent(parent));
  context_ref own(n);
  n->deadline = when;
  n->timed = true;
  n->attach();
  if (when <= time_here()) n->end(errc::deadline_exceeded, why.get());
  else n->start_timer(why.get());
  return own;
}

context context_with_entry(const context& parent, std::unique_ptr<context_entry> e) {
  auto* n = new context_node(context_node::kind::value, checked_parent(parent));
  n->entry = std::move(e);
  return context_access::make(context_ref(n));
}

void throw_nil_key() { throw panic("nil key"); }
void throw_nil_parent() { throw panic("cannot create context from nil parent"); }

done_core* done_of(const context& ctx) {
  cancel_node* n = canceller_of(ctx);
  return n ? &n->core : nullptr;
}

std::error_code err_of(const context& ctx) { return ctx.err(); }

}  // namespace detail
}  // namespace weft
