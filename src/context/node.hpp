// context/node.hpp: the tree of contexts from inside.
// Each node holds its parent; a parent knows only those that it has to cancel, through hooks that they take away when they end.
//   context_node  the root (background, todo), a value, or without_cancel
//   cancel_node   what can be cancelled: with_cancel, with_deadline, with_stop_token
//   custom_node   stands for a context of the user's own making
// Locks: a cancel_node's mutex is held while it cancels its descendants, top down, so that when any cancel() returns all of
// them are done. Nobody asks for a parent's mutex while he holds a child's. It parks: no runtime lock may be held.
// References: handles; children; the timer while it is queued; a goroutine that is on its way to cancel.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>

#include <weft/chan.hpp>
#include <weft/context.hpp>
#include <weft/detail/context_core.hpp>
#include <weft/mutex.hpp>

#include "base/atomic.hpp"
#include "goroutine/timer.hpp"
#include "work/timers.hpp"

namespace weft::detail {

struct cancel_node;
struct custom_node;

/// Nodes that have something left to do once no lock is held any more; each with a reference.
struct cancelled_list {
  cancel_node* first = nullptr;
  void finish() noexcept;
};

/// What a cancel_node does when it ends, besides: a child, an after_func(), an operation on a socket.
struct cancel_hook {
  cancel_hook() = default;
  cancel_hook(const cancel_hook&) = delete;
  virtual ~cancel_hook() = default;
  /// The parent ends, whose mutex is held. Gives a node of which the hooks are to end next, locked; else null.
  virtual cancel_node* parent_ended(const std::error_code& err, const std::exception_ptr& cause) noexcept = 0;

  std::shared_ptr<void> self;  // keeps it while it is hooked; null: its owner unhooks it in time
  // Guarded by the parent's mutex.
  cancel_hook* prev = nullptr;
  cancel_hook* next = nullptr;
  bool in_list = false;
  // False: the parent will not touch it any more. Its last step, so that who sees it may go without taking the mutex.
  atomic<bool> hooked{false};
};

struct context_node {
  enum class kind : std::uint8_t { background, todo, value, without_cancel, cancel, custom };
  context_node(kind k, context_node* p) noexcept;  // p gets a reference
  context_node(const context_node&) = delete;
  virtual ~context_node() = default;
  /// The last reference has gone: leaves the tree. The node is deleted next, and then the parent loses a reference.
  virtual void leave() noexcept {}
  /// What it has itself for this key.
  [[nodiscard]] virtual context_value_view find(const context_key_view& key) const { return entry ? entry->find(key) : context_value_view{}; }

  atomic<std::uint32_t> refs{1};
  const kind what;
  context_node* const parent;
  cancel_node* canceller = nullptr;  // the nearest one that ends when this does, or null
  custom_node* custom = nullptr;     // the nearest one of the user's, below that canceller
  std::int64_t deadline = INT64_MAX;
  std::unique_ptr<context_entry> entry;  // of a value
};

/// A reference for who has none; false when the last one has gone: then the node is going, and leave() waits for us.
[[nodiscard]] inline bool add_ref_if_alive(context_node* n) noexcept {
  std::uint32_t old = n->refs.load(std::memory_order_relaxed);  // [mo:context.refs] once 0, it stays
  do {
    if (old == 0) return false;
  } while (!n->refs.compare_exchange_weak(old, old + 1, std::memory_order_relaxed));
  return true;
}

struct cancel_node : context_node, cancel_hook {
  explicit cancel_node(context_node* p) noexcept;
  ~cancel_node() override;

  /// Joins the parent's fate; done at once if the parent is.
  void attach();
  /// Queues its timer. Not when it has ended.
  void start_timer(std::exception_ptr why);
  /// Ends it and all its descendants, and leaves the parent. Again: waits until the first has done it.
  void end(const std::error_code& err, const std::exception_ptr& cause) noexcept;

  /// Hooks h; false when it has ended, or is ending.
  [[nodiscard]] bool add(cancel_hook* h) noexcept;
  /// Unhooks h. When it returns, h is not touched any more.
  void remove(cancel_hook* h) noexcept;

  [[nodiscard]] chan_ref done_channel();
  [[nodiscard]] std::error_code err() noexcept;
  [[nodiscard]] std::exception_ptr cause() noexcept;
  [[nodiscard]] std::stop_token stop_token();

  [[nodiscard]] context_value_view find(const context_key_view& key) const override;
  void leave() noexcept override;
  cancel_node* parent_ended(const std::error_code& err, const std::exception_ptr& cause) noexcept override;

  enum class state : std::uint8_t { live, ending, ended };
  weft::mutex mutex;
  atomic<state> now{state::live};  // changed under mutex
  std::error_code why;             // written once, before `now`
  std::exception_ptr reason;       // the same; null: the error is
  done_core core;
  chan_ref channel;                // guarded by mutex until it is there
  atomic<bool> has_channel{false};
  cancel_hook* first = nullptr;    // guarded by mutex
  bool timed = false;              // made with a deadline of its own
  heap_timer due;                  // guarded by mutex: whether it is queued
  std::exception_ptr due_reason;
  std::optional<std::stop_source> source;  // guarded by mutex; once ended, it is for finish()
  cancel_node* next_later = nullptr;       // of a cancelled_list

 private:
  [[nodiscard]] bool begin_end(const std::error_code& err, const std::exception_ptr& cause) noexcept;
  void end_here(const std::error_code& err, const std::exception_ptr& cause, cancelled_list& later) noexcept;
  void note_for_later(cancelled_list& later) noexcept;
};

struct custom_node final : context_node {
  explicit custom_node(std::shared_ptr<const custom_context> c);
  /// One of the library's that ends when this does, for those that can wait only on such: made when first asked for.
  [[nodiscard]] cancel_node* watcher();
  void leave() noexcept override;
  [[nodiscard]] context_value_view find(const context_key_view& key) const override { return user->value(key); }

  const std::shared_ptr<const custom_context> user;
  weft::mutex mutex;
  cancel_node* watching = nullptr;  // guarded by mutex
};

/// As a std::system_error, for a context that was given no other cause. The same object each time for the two that Go has.
[[nodiscard]] std::exception_ptr cause_of(const std::error_code& err);
/// Has a goroutine end n when the user's context does; it ends when n does.
void watch(const std::shared_ptr<const custom_context>& user, cancel_node* n);
/// What ends a wait with ctx: null when nothing does.
[[nodiscard]] cancel_node* canceller_of(const context& ctx);

[[nodiscard]] inline context_node* checked(const context& ctx) {
  context_node* n = context_access::node(ctx);
  if (WEFT_UNLIKELY(!n)) throw panic("runtime error: invalid memory address or nil pointer dereference");
  return n;
}
[[nodiscard]] inline context_node* checked_parent(const context& ctx) {
  context_node* n = context_access::node(ctx);
  if (WEFT_UNLIKELY(!n)) throw_nil_parent();
  return n;
}

}  // namespace weft::detail
