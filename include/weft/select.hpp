// select.hpp: one of several channel operations, whichever can be done first: Go's select statement.
// select(...) has its cases in the source; a selector has a list of them that is made at run time. Which of several ready cases
// runs is chosen at random, each with the same chance. A nil channel is never ready; a closed one is always ready to receive
// (nothing comes), and a send on it throws closed_channel.
// docs/guide/channels_and_select.md has the patterns that it is used for.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include <weft/chan.hpp>
#include <weft/context.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/select_core.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

namespace detail {

template <class H>
struct handle_of {
  static constexpr bool sends = false, receives = false;
};
template <class T>
struct handle_of<chan<T>> {
  using value = T;
  static constexpr bool sends = true, receives = true;
};
template <class T>
struct handle_of<sender<T>> {
  using value = T;
  static constexpr bool sends = true, receives = false;
};
template <class T>
struct handle_of<receiver<T>> {
  using value = T;
  static constexpr bool sends = false, receives = true;
};
template <class H>
concept sending_handle = handle_of<std::remove_cvref_t<H>>::sends;
template <class H>
concept receiving_handle = handle_of<std::remove_cvref_t<H>>::receives;
template <class H>
using value_of = typename handle_of<std::remove_cvref_t<H>>::value;

/// The channel of a case. A handle that is a temporary moves in; any other stays where it is, as for c.recv().
template <class H>
class held_channel {
  static constexpr bool borrowed = std::is_lvalue_reference_v<H>;

 public:
  explicit held_channel(H&& handle) noexcept : held_(hold(std::forward<H>(handle))) {}
  [[nodiscard]] chan_core* get() const noexcept {
    if constexpr (borrowed) return held_;
    else return held_.get();
  }

 private:
  static auto hold(H&& handle) noexcept {
    if constexpr (borrowed) return chan_access::ref(handle).get();
    else if constexpr (std::is_const_v<std::remove_reference_t<H>>) return chan_ref(chan_access::ref(handle));
    else return chan_access::take(std::move(handle));
  }
  std::conditional_t<borrowed, chan_core*, chan_ref> held_;
};

struct no_handler {
  void operator()() const noexcept {}
};

template <class F, class T>
struct takes_received : std::bool_constant<std::is_invocable_v<F&, std::optional<T>> || std::is_invocable_v<F&>> {};
template <class F>
struct takes_received<F, void> : std::bool_constant<std::is_invocable_v<F&, bool> || std::is_invocable_v<F&>> {};

enum class select_kind : std::uint8_t { channel, fallback, limit };  // a channel's case, on_default, on_timeout

/// What select() knows of each argument: arm() before the choice, settle() when it is made, for all, then run() for the one.
struct select_argument {
  select_argument() = default;
  select_argument(const select_argument&) = delete;
  void settle(bool) {}
};

template <class T, class H, class F>
struct recv_case : select_argument {
  static constexpr auto kind = select_kind::channel;
  static constexpr bool sends = false;
  held_channel<H> channel;
  F handler;
  [[no_unique_address]] typename element<T>::incoming in;

  recv_case(H&& h, F&& f) : channel(std::forward<H>(h)), handler(std::forward<F>(f)) {}
  void arm(select_case& k) noexcept { k = {channel.get(), in.address(), select_op::recv}; }
  void run(chan_status status) {
    if constexpr (std::is_void_v<T>) {
      if constexpr (std::is_invocable_v<F&, bool>) std::invoke(handler, status == chan_status::done);
      else std::invoke(handler);
    } else if constexpr (std::is_invocable_v<F&, std::optional<T>>) {
      std::invoke(handler, status == chan_status::done ? std::optional<T>(in.value()) : std::optional<T>());
    } else {
      std::invoke(handler);
    }
  }
};

template <class T, class H, class V, class F>
struct send_case : select_argument {
  static constexpr auto kind = select_kind::channel;
  static constexpr bool sends = true;
  held_channel<H> channel;
  F handler;
  typename element<T>::template outgoing<V> out;

  send_case(H&& h, V&& v, F&& f) : channel(std::forward<H>(h)), handler(std::forward<F>(f)), out(std::forward<V>(v)) {}
  void arm(select_case& k) noexcept { k = {channel.get(), const_cast<void*>(out.address()), select_op::send}; }
  void settle(bool was_sent) {
    if (was_sent) out.sent();
    else out.not_sent();
  }
  void run(chan_status) { std::invoke(handler); }
};

template <class H, class F>
struct signal_case : select_argument {
  static constexpr auto kind = select_kind::channel;
  static constexpr bool sends = true;
  held_channel<H> channel;
  F handler;

  signal_case(H&& h, F&& f) : channel(std::forward<H>(h)), handler(std::forward<F>(f)) {}
  void arm(select_case& k) noexcept { k = {channel.get(), nullptr, select_op::send}; }
  void run(chan_status) { std::invoke(handler); }
};

template <class F>
struct default_case : select_argument {
  static constexpr auto kind = select_kind::fallback;
  static constexpr bool sends = false;
  F handler;
  explicit default_case(F&& f) : handler(std::forward<F>(f)) {}
  void arm(select_limit& limit) const noexcept { limit = {select_limit::kind::poll, 0}; }
  void run(chan_status) { std::invoke(handler); }
};

template <class F>
struct timeout_case : select_argument {
  static constexpr auto kind = select_kind::limit;
  static constexpr bool sends = false;
  select_limit wanted;
  F handler;
  timeout_case(select_limit l, F&& f) : wanted(l), handler(std::forward<F>(f)) {}
  void arm(select_limit& limit) const noexcept {
    if (limit.what != select_limit::kind::poll) limit = wanted;
  }
  void run(chan_status) { std::invoke(handler); }
};

inline select_limit limit_until(std::chrono::steady_clock::time_point t) noexcept {
  return {select_limit::kind::until, std::chrono::ceil<std::chrono::nanoseconds>(t.time_since_epoch()).count()};
}
template <class Rep, class Period>
constexpr select_limit limit_within(std::chrono::duration<Rep, Period> d) noexcept {
  return {select_limit::kind::within, to_ns(d)};
}

template <class C>
concept select_case_type = !std::is_lvalue_reference_v<C> && std::is_base_of_v<select_argument, C>;  // not kept: see on_recv()

template <select_kind Kind, class... Cases>
inline constexpr std::size_t count_of = (std::size_t{Cases::kind == Kind} + ... + 0);

/// Positions among the arguments of select().
template <class... Cases>
struct select_layout {
  static constexpr std::size_t channels = count_of<select_kind::channel, Cases...>;
  static_assert(channels <= select_max, "select: too many cases");
  static_assert(count_of<select_kind::fallback, Cases...> <= 1, "select: more than one on_default");
  static_assert(count_of<select_kind::limit, Cases...> <= 1, "select: more than one on_timeout");

  static constexpr int first([[maybe_unused]] select_kind kind) {
    int at = 0, found = -1;
    ((found < 0 && Cases::kind == kind ? found = at : 0, at++), ...);
    return found;
  }
  struct table {
    int at[channels + 1] = {};
  };
  static constexpr table make() {
    table t;
    std::size_t n = 0;
    int at = 0;
    ((Cases::kind == select_kind::channel ? static_cast<void>(t.at[n++] = at) : void(), at++), ...);
    return t;
  }
  static constexpr table argument_of = make();
  static constexpr int fallback = first(select_kind::fallback);
  static constexpr int limit = first(select_kind::limit);
};

template <class C>
void arm(C& c, select_case*& next, select_limit& limit) noexcept {
  if constexpr (C::kind == select_kind::channel) c.arm(*next++);
  else c.arm(limit);
}

/// The choice is made: settles all, runs the one, and says which it was. What was sent is let go of first: to give another
/// case's value back may throw.
template <class... Cases>
int run_chosen(select_result r, Cases&... cases) {
  using layout = select_layout<Cases...>;
  const int chosen = r.index >= 0 ? layout::argument_of.at[r.index] : r.status == chan_status::would_block ? layout::fallback : layout::limit;
  const int sent = r.status == chan_status::done ? chosen : -1;
  int at = 0;
  ((at++ == sent ? cases.settle(true) : void()), ...);
  at = 0;
  ((at++ == sent ? void() : cases.settle(false)), ...);
  at = 0;
  (
      [&](auto& c) {
        if (at++ != chosen) return;
        if (c.sends && WEFT_UNLIKELY(r.status == chan_status::closed)) throw_closed_channel();
        c.run(r.status);
      }(cases),
      ...);
  return chosen;
}

}  // namespace detail

// ---- the cases of select() ----
// Each is made as an argument of select() itself, and refers to its handle (unless that is a temporary), its value and its
// handler (likewise) until that returns. Handlers may be left out. C++ leaves open in which order the arguments are evaluated:
// each is, once, before anything is chosen.

/// Receives from a chan<T> or receiver<T>: f(std::optional<T>), nullopt when the channel is closed and drained; of void:
/// f(bool), false when it is. f() does for both.
template <detail::receiving_handle H, class F = detail::no_handler>
  requires(detail::takes_received<F, detail::value_of<H>>::value)
[[nodiscard]] auto on_recv(H&& c, F&& f = F()) {
  return detail::recv_case<detail::value_of<H>, H, F>(std::forward<H>(c), std::forward<F>(f));
}

/// Sends v on a chan<T> or sender<T>, then f(). v is moved from only when it was sent.
template <detail::sending_handle H, class V, class F = detail::no_handler>
  requires(!std::is_void_v<detail::value_of<H>> && std::is_constructible_v<detail::value_of<H>, V &&> && std::is_invocable_v<F&>)
[[nodiscard]] auto on_send(H&& c, V&& v, F&& f = F()) {
  return detail::send_case<detail::value_of<H>, H, V, F>(std::forward<H>(c), std::forward<V>(v), std::forward<F>(f));
}
/// Sends on a chan<void> or sender<void>, then f().
template <detail::sending_handle H, class F = detail::no_handler>
  requires(std::is_void_v<detail::value_of<H>> && std::is_invocable_v<F&>)
[[nodiscard]] auto on_send(H&& c, F&& f = F()) {
  return detail::signal_case<H, F>(std::forward<H>(c), std::forward<F>(f));
}

/// f() when no other case was ready within d, counted from the select's start. Zero or less: looks once, never waits.
template <class Rep, class Period, class F = detail::no_handler>
[[nodiscard]] auto on_timeout(std::chrono::duration<Rep, Period> d, F&& f = F()) {
  return detail::timeout_case<F>(detail::limit_within(d), std::forward<F>(f));
}
/// f() at t. From then on this case is as ready as any other, so a loop whose channels are always busy comes to its end too.
template <class F = detail::no_handler>
[[nodiscard]] auto on_timeout(std::chrono::steady_clock::time_point t, F&& f = F()) {
  return detail::timeout_case<F>(detail::limit_until(t), std::forward<F>(f));
}

/// f() or f(std::error_code), its error, when ctx is done.
template <class F = detail::no_handler>
  requires(std::is_invocable_v<F&> || std::is_invocable_v<F&, std::error_code>)
[[nodiscard]] auto on_context(const context& ctx, F&& f = F()) {
  if constexpr (std::is_invocable_v<F&>) return on_recv(ctx.done(), std::forward<F>(f));
  else return on_recv(ctx.done(), [&ctx, &f] { std::invoke(f, ctx.err()); });
}

/// f() when a task is done: its join() returns at once.
template <class J, class F = detail::no_handler>
  requires(std::is_invocable_v<F&> && requires(const J& j) { { j.done() } -> std::same_as<receiver<void>>; { j.is_done() } -> std::same_as<bool>; })
[[nodiscard]] auto on_join(const J& task, F&& f = F()) {
  return on_recv(task.done(), std::forward<F>(f));
}

/// f() when no case is ready now: then select() never waits.
template <class F = detail::no_handler>
[[nodiscard]] auto on_default(F&& f = F()) {
  return detail::default_case<F>(std::forward<F>(f));
}

/// Waits until one of the cases can run and runs that one alone; among several that can, each with the same chance. Without
/// on_default and on_timeout it waits for ever if none ever can; so does select() without cases.
///
/// @returns      which argument it was, from 0, after its handler.
/// Parks:        yes, but not with on_default.
/// Threads:      any. On a thread that weft did not make, blocks that thread.
/// Allocates:    no; a value that does not travel as bytes has a box (see chan.hpp).
/// Throws:       closed_channel when it chose a send on a closed channel (all values are then unchanged); what a handler throws.
/// Example:      examples/select.cpp
template <detail::select_case_type... Cases>
int select(Cases&&... cases) {
  using namespace detail;
  using layout = select_layout<std::remove_cvref_t<Cases>...>;
  select_case table[layout::channels + 1];
  select_case* next = table;
  select_limit limit;
  (arm(cases, next, limit), ...);
  static_cast<void>(next);
  select_scratch<layout::channels> scratch;
  const select_result r = select_cases(table, layout::channels, scratch.bytes, limit);

  return run_chosen(r, cases...);
}

namespace detail {

/// What a selector keeps of a case beside what the core sees.
struct selector_entry {
  enum class event : std::uint8_t { done, closed, dropped };
  chan_ref channel;
  void (*finish)(selector_entry&, void* landing, event) = nullptr;  // null: nothing to do
  void* out = nullptr;
  alignas(8) unsigned char value[24] = {};  // to be sent: itself, or where it is
};

}  // namespace detail

/// A select whose cases are known only at run time. A case is added by recv() or send(), which say its number, from 0. Cases to
/// receive stay for the next wait; one to send is over once it was sent: it is never chosen again, nor is one that was
/// removed, and the numbers of the others stay. One goroutine or thread at a time.
/// Allocates:    past 16 cases when the list grows; for a value to send of more than 24 bytes, or that does not travel as bytes.
class WEFT_API selector {
 public:
  selector() noexcept;
  ~selector();
  selector(const selector&) = delete;
  selector& operator=(const selector&) = delete;

  /// Adds: receive from a chan<T> or receiver<T> into `out`, nullopt when it is closed and drained. `out` is written only when
  /// this case was chosen, and may be the same for many. Throws panic past 65,536 cases, bad_alloc.
  template <detail::receiving_handle H>
    requires(!std::is_void_v<detail::value_of<H>>)
  int recv(const H& c, std::optional<detail::value_of<H>>& out) {
    return add_recv<detail::value_of<H>>(c, &out);
  }
  /// Adds: receive from a channel of events; `open` is false when it is closed and drained.
  template <detail::receiving_handle H>
    requires(std::is_void_v<detail::value_of<H>>)
  int recv(const H& c, bool& open) {
    return add_recv<void>(c, &open);
  }
  /// Adds: receive, and drop what came.
  template <detail::receiving_handle H>
  int recv(const H& c) {
    return add_recv<detail::value_of<H>>(c, nullptr);
  }
  /// Adds: ctx is done.
  int done(const context& ctx) { return recv(ctx.done()); }
  /// Adds: send v, which is copied or moved into the selector now, once on a chan<T> or sender<T>.
  template <detail::sending_handle H, class V>
    requires(!std::is_void_v<detail::value_of<H>> && std::is_constructible_v<detail::value_of<H>, V &&>)
  int send(const H& c, V&& v);
  /// Adds: send on a channel of events, once.
  template <detail::sending_handle H>
    requires(std::is_void_v<detail::value_of<H>>)
  int send(const H& c) {
    return add(detail::chan_access::ref(c), detail::select_op::send, nullptr);
  }

  /// Waits until a case can run, runs it, and says which; among several each with the same chance. For ever if none ever can.
  /// Parks: yes.    Threads: any.    Throws: closed_channel from a send on a closed channel; that case stays.
  int wait() { return run({}); }
  /// The same if a case can run now, else -1.    Parks: no.
  [[nodiscard]] int try_wait() { return run({detail::select_limit::kind::poll, 0}); }
  /// The same within d, else -1. Zero or less: as try_wait().    Parks: yes.
  template <class Rep, class Period>
  [[nodiscard]] int wait_for(std::chrono::duration<Rep, Period> d) {
    return run(detail::limit_within(d));
  }
  /// The same until t, else -1. After t that is as likely as any case that is ready.    Parks: yes.
  [[nodiscard]] int wait_until(std::chrono::steady_clock::time_point t) { return run(detail::limit_until(t)); }

  /// Case i is never chosen again; a value that it holds is destroyed. The numbers of the others stay.
  void remove(int i) noexcept;
  /// Removes all cases; the next one is number 0 again.
  void clear() noexcept;
  /// Cases that were added, also those that are over.
  [[nodiscard]] int size() const noexcept { return static_cast<int>(size_); }

 private:
  using entry = detail::selector_entry;
  using event = entry::event;
  static constexpr std::uint32_t inside = 16;

  // Adds a case without its element.
  int add(const detail::chan_ref& channel, detail::select_op op, void (*finish)(entry&, void*, event));
  int run(detail::select_limit limit);
  void grow();
  template <class T, class H>
  int add_recv(const H& c, void* out);

  detail::select_case* cases_ = inside_cases_;
  entry* entries_ = inside_entries_;
  void* block_ = nullptr;    // past `inside`: entries, cases and scratch
  void* scratch_ = nullptr;  // in it
  std::uint32_t size_ = 0, capacity_ = inside;
  // Where whatever comes lands: at most one case is served.
  alignas(64) unsigned char landing_[64];
  detail::select_case inside_cases_[inside];
  entry inside_entries_[inside];
};

template <class T, class H>
int selector::add_recv(const H& c, void* out) {
  const int i = add(detail::chan_access::ref(c), detail::select_op::recv, [](entry& e, void* landing, event what) {
    if (what == event::dropped) return;
    if constexpr (std::is_void_v<T>) {
      if (e.out) *static_cast<bool*>(e.out) = what == event::done;
    } else {
      auto* to = static_cast<std::optional<T>*>(e.out);
      if constexpr (detail::travels_as_bytes<T>) {
        if (to && what == event::done) to->emplace(*static_cast<T*>(landing));
      } else if (what == event::done) {
        const std::unique_ptr<T> box(*static_cast<T**>(landing));
        if (to) to->emplace(std::move(*box));
      }
      if (to && what == event::closed) to->reset();
    }
  });
  entries_[i].out = out;
  cases_[i].element = landing_;
  return i;
}

template <detail::sending_handle H, class V>
  requires(!std::is_void_v<detail::value_of<H>> && std::is_constructible_v<detail::value_of<H>, V &&>)
int selector::send(const H& c, V&& v) {
  using T = detail::value_of<H>;
  const auto& channel = detail::chan_access::ref(c);
  if constexpr (detail::travels_as_bytes<T> && sizeof(T) <= sizeof(entry::value) && alignof(T) <= 8) {
    const T value(std::forward<V>(v));
    const int i = add(channel, detail::select_op::send, nullptr);
    cases_[i].element = std::construct_at(reinterpret_cast<T*>(entries_[i].value), value);
    return i;
  } else {
    // A box: for a T of bytes the element is what is in it, for any other the pointer to it, which the receiver takes over.
    auto box = std::make_unique<T>(std::forward<V>(v));
    const int i = add(channel, detail::select_op::send, [](entry& e, void*, event what) {
      if (detail::travels_as_bytes<T> || what == event::dropped) delete *reinterpret_cast<T**>(e.value);
    });
    T** held = std::construct_at(reinterpret_cast<T**>(entries_[i].value), box.release());
    cases_[i].element = detail::travels_as_bytes<T> ? static_cast<void*>(*held) : held;
    return i;
  }
}

}  // namespace weft
