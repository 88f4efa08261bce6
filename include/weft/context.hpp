// context.hpp: cancellation, deadlines and values that go down a tree of calls. Source: Go's context package.
// A context says until when work is wanted. It is passed as the first argument; what waits takes it too, and gives up when it is
// done. Contexts form a tree: one that is cancelled takes those that were made from it along. A handle: copies are the same.
// docs/guide/cancellation.md tells how to use it.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <weft/chan.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/context_core.hpp>
#include <weft/detail/function_core.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

/// A context of the user's own making, to be the parent of others. What it returns must follow context's rules: done() is always
/// the same channel, which is closed once; err() is then set. Any thread may call any of it.
class WEFT_API custom_context {
 public:
  virtual ~custom_context();
  [[nodiscard]] virtual std::optional<std::chrono::steady_clock::time_point> deadline() const;  ///< asked once; as is: none
  [[nodiscard]] virtual receiver<void> done() const = 0;
  [[nodiscard]] virtual std::error_code err() const = 0;
  /// As is: none. One that wraps a context answers with its find(): then children of it need no goroutine that watches done().
  [[nodiscard]] virtual context_value_view value(const context_key_view& key) const;
  [[nodiscard]] virtual std::string name() const;  ///< as is: the type's
};

/// A key of its own kind, whose value is a T. Its identity is its address: make it `inline constexpr` or static.
template <class T>
class context_key {
 public:
  constexpr explicit context_key(const char* name) noexcept : name_(name) {}
  context_key(const context_key&) = delete;
  [[nodiscard]] constexpr const char* name() const noexcept { return name_; }

 private:
  const char* name_;
};

namespace detail {
struct context_access;

template <class T>
struct context_key_id {
  const context_key<T>* key;
  friend bool operator==(const context_key_id&, const context_key_id&) noexcept = default;
  friend std::string to_string(const context_key_id& k) { return k.key->name(); }
};
}  // namespace detail

class WEFT_API context {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  context() noexcept = default;  ///< nil: every use throws panic
  explicit context(std::shared_ptr<const custom_context> c);

  /// When it will be done at the latest; nullopt: no limit.
  [[nodiscard]] std::optional<time_point> deadline() const;
  /// Closed when it is done. Nil, so never ready, for one that is never done. The same channel each time, made when first asked for.
  [[nodiscard]] receiver<void> done() const;
  /// No error while it is live; then errc::canceled ("context canceled") or errc::deadline_exceeded ("context deadline exceeded"),
  /// and done() is closed.    Parks: no, but for an instant beside who cancels it.    Threads: any.    Allocates: no.
  [[nodiscard]] std::error_code err() const;
  /// Why: what was given as a cause, else a std::system_error of err(). Null while it is live.
  [[nodiscard]] std::exception_ptr cause() const;

  /// The value nearest to here whose key is equal and of the same type. Null when there is none, or when it is not a V.
  template <class V, class K>
  [[nodiscard]] const V* value(const K& key) const {
    const context_value_view found = find(detail::view_of<std::decay_t<const K&>>(key));
    return found.type && *found.type == typeid(V) ? static_cast<const V*>(found.value) : nullptr;
  }
  template <class V>
  [[nodiscard]] const V* value(const context_key<V>& key) const {
    return value<V>(detail::context_key_id<V>{&key});
  }
  [[nodiscard]] context_value_view find(const context_key_view& key) const;

  /// A token of which a stop is requested when it is done, before the call that cancels it returns. It has no stop to come
  /// (stop_possible() is false) when the context is never done.    Allocates: once.
  [[nodiscard]] std::stop_token get_stop_token() const;

  explicit operator bool() const noexcept { return node_.get() != nullptr; }
  friend bool operator==(const context&, const context&) noexcept = default;

  /// For waits: what ends them; null when it is never done. Throws what a custom_context's functions throw.
  [[nodiscard]] detail::done_core* done_core() const;

 private:
  friend detail::context_access;
  explicit context(detail::context_ref n) noexcept : node_(std::move(n)) {}
  detail::context_ref node_;
};

namespace detail {
struct context_access {
  static context make(context_ref n) noexcept { return context(std::move(n)); }
  static context_node* node(const context& ctx) noexcept { return ctx.node_.get(); }
};
}  // namespace detail

/// Never done, without values: the root of the tree.    Allocates: no.
[[nodiscard]] WEFT_API context background() noexcept;
/// The same, where it is not clear yet which context to use.
[[nodiscard]] WEFT_API context todo() noexcept;

/// What to say why: an exception, or an error code (which cause() gives as std::system_error). Without: the context's error.
class cancel_cause {
 public:
  cancel_cause() noexcept = default;
  cancel_cause(std::nullptr_t) noexcept {}
  cancel_cause(std::exception_ptr why) noexcept : why_(std::move(why)) {}
  cancel_cause(std::error_code why) : why_(why ? std::make_exception_ptr(std::system_error(why)) : nullptr) {}
  template <class E>
    requires(std::is_error_code_enum_v<E>)
  cancel_cause(E why) : cancel_cause(make_error_code(why)) {}
  [[nodiscard]] const std::exception_ptr& get() const noexcept { return why_; }

 private:
  std::exception_ptr why_;
};

/// Cancels a context, at the latest when it is destroyed: as Go's `defer cancel()`, which is so easily forgotten. Move-only; call
/// it from anywhere and as often as you like, the first time counts. When it returns, all descendants are cancelled.
class WEFT_API canceler {
 public:
  canceler() noexcept = default;
  explicit canceler(detail::context_ref n) noexcept : node_(std::move(n)) {}
  canceler(canceler&&) noexcept = default;
  canceler& operator=(canceler&& o) noexcept {
    if (this != &o) (*this)(), node_ = std::move(o.node_);
    return *this;
  }
  ~canceler() { (*this)(); }

  /// Parks: only while somebody else cancels near by.    Threads: any.    Allocates: no.
  void operator()() const noexcept { cancel({}); }
  /// Leaves it to the context's parent and its time.
  void detach() noexcept { node_ = {}; }

 protected:
  void cancel(const cancel_cause& why) const noexcept;

 private:
  detail::context_ref node_;
};

/// The same with a reason: cancel(std::make_exception_ptr(...)), cancel(errc::eof).
class WEFT_API cause_canceler : public canceler {
 public:
  using canceler::canceler;
  using canceler::operator();
  void operator()(const cancel_cause& why) const noexcept { cancel(why); }
};

struct [[nodiscard]] cancelable {
  context ctx;
  canceler cancel;
};
struct [[nodiscard]] cause_cancelable {
  context ctx;
  cause_canceler cancel;
};

namespace detail {
WEFT_API context_ref context_cancelable(const context& parent);
WEFT_API context_ref context_until(const context& parent, std::int64_t when, const cancel_cause& why);
WEFT_API context context_with_entry(const context& parent, std::unique_ptr<context_entry> e);
[[noreturn]] WEFT_API void throw_nil_key();
[[noreturn]] WEFT_API void throw_nil_parent();
inline std::int64_t context_time(context::time_point t) noexcept { return std::chrono::ceil<std::chrono::nanoseconds>(t.time_since_epoch()).count(); }
inline cancelable to_cancelable(const context_ref& n) { return {context_access::make(n), canceler(n)}; }
}  // namespace detail

// ---- the makers ----
// All throw panic "cannot create context from nil parent" for an empty parent. Child of a parent that is done: done at once.
// Parks: only while somebody cancels the parent.    Threads: any.    Allocates: yes.    Example: examples/cancellation.cpp

/// auto [ctx, cancel] = with_cancel(parent): a child that can be cancelled, and is at the end of the scope.
inline cancelable with_cancel(const context& parent) { return detail::to_cancelable(detail::context_cancelable(parent)); }
/// The same; cancel(why) also says why, for cause().
inline cause_cancelable with_cancel_cause(const context& parent) {
  const detail::context_ref n = detail::context_cancelable(parent);
  return {detail::context_access::make(n), cause_canceler(n)};
}
/// Done at t, if not before; `why` is what cause() gives then. When the parent's deadline is earlier, that counts.
inline cancelable with_deadline_cause(const context& parent, context::time_point t, const cancel_cause& why) {
  return detail::to_cancelable(detail::context_until(parent, detail::context_time(t), why));
}
inline cancelable with_deadline(const context& parent, context::time_point t) { return with_deadline_cause(parent, t, {}); }
/// Done after d on the monotonic clock; zero or less: at once.
template <class Rep, class Period>
cancelable with_timeout_cause(const context& parent, std::chrono::duration<Rep, Period> d, const cancel_cause& why) {
  return detail::to_cancelable(detail::context_until(parent, detail::deadline_after_ns(detail::to_ns(d)), why));
}
template <class Rep, class Period>
cancelable with_timeout(const context& parent, std::chrono::duration<Rep, Period> d) {
  return with_timeout_cause(parent, d, {});
}
/// Done soon after a stop of `token` is requested, too: a goroutine sees to it.
WEFT_API cancelable with_stop_token(const context& parent, std::stop_token token);

/// A child that has a value for key, any type with ==. Use a context_key, or a type of your own: a string is anybody's.
/// Throws panic "nil key" for a null pointer and the like.
template <class K, class V>
  requires std::equality_comparable<std::decay_t<K>>
[[nodiscard]] context with_value(const context& parent, K&& key, V&& value) {
  if (!parent) detail::throw_nil_parent();
  if constexpr (std::is_null_pointer_v<std::decay_t<K>>) {
    detail::throw_nil_key();
  } else {
    if constexpr (detail::can_be_nil<std::decay_t<K>>)
      if (key == nullptr) detail::throw_nil_key();
    using entry = detail::context_entry_of<std::decay_t<K>, std::decay_t<V>>;
    return detail::context_with_entry(parent, std::make_unique<entry>(std::forward<K>(key), std::forward<V>(value)));
  }
}
template <class T>
[[nodiscard]] context with_value(const context& parent, const context_key<T>& key, std::type_identity_t<T> value) {
  return with_value(parent, detail::context_key_id<T>{&key}, std::move(value));
}

/// A child with the parent's values, which is never done and has no deadline: for what must go on when the request has ended.
[[nodiscard]] WEFT_API context without_cancel(const context& parent);

namespace detail {
struct context_after;
struct after_started {
  std::shared_ptr<context_after> after;
  context_ref of;
};
WEFT_API after_started context_after_start(const context& ctx, function_ref f);
WEFT_API bool context_after_stop(const after_started& s) noexcept;
}  // namespace detail

/// What after_func(ctx, f) gives: call it to stop. A handle; dropping it stops nothing.
class after_func_stop {
 public:
  after_func_stop() noexcept = default;
  explicit after_func_stop(detail::after_started s) noexcept : started_(std::move(s)) {}
  /// True when it kept f from running; false when f was started, or stopped, before. It does not wait for f.
  /// Parks: only while somebody cancels near by.    Threads: any.
  bool operator()() const noexcept { return detail::context_after_stop(started_); }

 private:
  detail::after_started started_;
};

/// Calls f() once, in a goroutine of its own, after ctx is done; at once when it is. Who cancels does not wait for f.
template <class F>
after_func_stop after_func(const context& ctx, F&& f) {
  return after_func_stop(detail::context_after_start(ctx, detail::function_ref(detail::make_function(std::forward<F>(f)))));
}

/// As Go prints it: "context.Background.WithCancel".
[[nodiscard]] WEFT_API std::string to_string(const context& ctx);

}  // namespace weft
