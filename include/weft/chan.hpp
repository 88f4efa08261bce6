// chan.hpp: channels, Go's way for goroutines to pass values and to wait for each other.
// chan<T> is a handle: copies refer to the same channel, which lives while any of them does. A default-constructed one is
// nil: its sends and receives wait for ever. Works between goroutines and plain threads alike. Source: Go's chan.go.
//
// How elements move. The core copies bytes under its lock, so only trivially copyable elements of up to 64 bytes travel as
// they are. Any other T is built in a box on the sender's side, and its pointer travels: a user's move constructor may throw,
// take long, or call weft, and never runs under a lock. When the value was not sent after all, it is moved back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/chan_core.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/context_wait.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

template <class T>
class chan;
template <class T>
class sender;
template <class T>
class receiver;

namespace detail {

template <class T>
inline constexpr bool travels_as_bytes = std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T> && sizeof(T) <= 64;

/// How a T is handed to the core and taken from it.
template <class T>
struct element {
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>, "chan<T>: T must be a plain object type");
  static constexpr std::size_t size = std::is_empty_v<T> && travels_as_bytes<T> ? 0 : travels_as_bytes<T> ? sizeof(T) : sizeof(T*);
  static constexpr drop_fn drop = travels_as_bytes<T> ? nullptr : +[](void* e) noexcept { delete *static_cast<T**>(e); };

  /// A V on its way out, whatever way it travels. sent() or not_sent() ends it; without either, an exception passes through.
  template <class V>
  class outgoing;
  /// Room for what comes in; value() may be called once the core has put something there.
  class incoming;

  /// Sends with `op(const void*)`; a value is moved from only when it was sent.
  template <class V, class Op>
  static chan_status send(V&& v, Op op) {
    outgoing<V> out(std::forward<V>(v));
    const chan_status status = op(out.address());
    if (WEFT_LIKELY(status == chan_status::done)) out.sent();
    else out.not_sent();
    return status;
  }

  /// Receives with `op(void*)`, and gives value(T&&) or, when nothing came, otherwise(status).
  template <class Op, class Value, class Otherwise>
  static auto recv(Op op, Value value, Otherwise otherwise) {
    incoming in;
    const chan_status status = op(in.address());
    return WEFT_LIKELY(status == chan_status::done) ? value(in.value()) : otherwise(status);
  }
};

template <class V, class T>
inline constexpr bool is_a = std::is_same_v<std::remove_cvref_t<V>, T>;

template <class T>
template <class V>
class element<T>::outgoing {
  static constexpr bool bytes = travels_as_bytes<T>;
  // As std::vector does when it grows: a move that may throw is made a copy, if there is one.
  static constexpr bool moves = !bytes && !std::is_lvalue_reference_v<V> && is_a<V, T> && !std::is_const_v<std::remove_reference_t<V>> &&
                                ((std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>) || !std::is_copy_constructible_v<T>);
  // What the core gets the address of: the value where it is, one made from it, or a box.
  using held = std::conditional_t<!bytes, std::unique_ptr<T>, std::conditional_t<is_a<V, T>, const T*, T>>;

  static held hold(V&& v) {
    if constexpr (bytes && is_a<V, T>) return std::addressof(v);
    else if constexpr (bytes) return T(std::forward<V>(v));
    else if constexpr (moves) return std::make_unique<T>(std::move(v));
    else if constexpr (is_a<V, T>) return std::make_unique<T>(std::as_const(v));
    else return std::make_unique<T>(std::forward<V>(v));
  }
  void give_back() {
    const std::unique_ptr<T> box = std::move(held_);
    if constexpr (std::is_move_assignable_v<T>) {
      *source_ = std::move(*box);
    } else if constexpr (std::is_nothrow_move_constructible_v<T> && (!std::is_polymorphic_v<T> || std::is_final_v<T>)) {
      std::destroy_at(source_);  // it is a T and not a part of something larger, as far as a type can tell
      std::construct_at(source_, std::move(*box));
    }  // else nothing can give it back: it is left as moved from
  }

 public:
  explicit outgoing(V&& v) : held_(hold(std::forward<V>(v))) {
    if constexpr (!bytes) pointer_ = held_.get();
    if constexpr (moves) source_ = std::addressof(v);
  }
  outgoing(const outgoing&) = delete;
  ~outgoing() {
    if constexpr (moves) {
      if (WEFT_UNLIKELY(held_ != nullptr)) give_back();
    }
  }
  [[nodiscard]] const void* address() const noexcept {
    if constexpr (!bytes) return &pointer_;
    else if constexpr (is_a<V, T>) return held_;
    else return std::addressof(held_);
  }
  void sent() noexcept {
    if constexpr (!bytes) static_cast<void>(held_.release());
  }
  void not_sent() {
    if constexpr (moves) give_back();
  }

 private:
  struct nothing {};
  held held_;
  [[no_unique_address]] std::conditional_t<bytes, nothing, T*> pointer_{};
  [[no_unique_address]] std::conditional_t<moves, std::remove_cvref_t<V>*, nothing> source_{};
};

template <class T>
class element<T>::incoming {
  static constexpr bool bytes = travels_as_bytes<T>;

 public:
  incoming() noexcept {}  // not = default: that would clear a T of bytes
  incoming(const incoming&) = delete;
  ~incoming() {
    if constexpr (!bytes) delete held_.pointer;
  }
  [[nodiscard]] void* address() noexcept { return std::addressof(held_); }
  [[nodiscard]] T&& value() noexcept {
    if constexpr (bytes) return std::move(held_);
    else return std::move(*held_.pointer);
  }

 private:
  struct box {
    T* pointer = nullptr;
  };
  std::conditional_t<bytes, T, box> held_;
};

/// Events: nothing travels.
template <>
struct element<void> {
  static constexpr std::size_t size = 0;
  static constexpr drop_fn drop = nullptr;
  struct incoming {
    static void* address() noexcept { return nullptr; }
  };
};

/// Why an operation with a context gave nothing.
inline std::error_code why_not(chan_status s, const context& ctx) { return s == chan_status::closed ? make_error_code(errc::channel_closed) : err_of(ctx); }
inline errc to_errc(chan_status s) noexcept {
  return s == chan_status::closed ? errc::channel_closed : s == chan_status::timed_out ? errc::timed_out : errc::would_block;
}

/// What a sending handle can do.
template <class T, class Self>
class sending {
 public:
  /// Sends v; waits while the channel is full (capacity 0: until it is received). Throws closed_channel; v is then unchanged.
  /// Parks: yes.    Threads: any.    Allocates: only for a T that is not trivially copyable, has no default
  /// constructor, or is larger than 64 bytes.
  void send(const T& v) const
    requires std::is_copy_constructible_v<T>
  {
    sent(element<T>::send(v, [&](const void* e) { return chan_send(core(), e); }));
  }
  void send(T&& v) const { sent(element<T>::send(std::move(v), [&](const void* e) { return chan_send(core(), e); })); }
  /// Sends v if that needs no waiting. Throws closed_channel.    Parks: no.    Threads: any.
  [[nodiscard]] bool try_send(const T& v) const
    requires std::is_copy_constructible_v<T>
  {
    return send_until(v, 0);
  }
  [[nodiscard]] bool try_send(T&& v) const { return send_until(std::move(v), 0); }
  /// Sends v, waiting at most d on the monotonic clock; zero or less: as try_send. Throws closed_channel.    Parks: yes.
  template <class Rep, class Period>
    requires std::is_copy_constructible_v<T>
  [[nodiscard]] bool send_for(const T& v, std::chrono::duration<Rep, Period> d) const {
    return send_until(v, d > d.zero() ? deadline_after_ns(to_ns(d)) : 0);
  }
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(T&& v, std::chrono::duration<Rep, Period> d) const {
    return send_until(std::move(v), d > d.zero() ? deadline_after_ns(to_ns(d)) : 0);
  }
  /// Sends v, waiting until ctx is done; then its error, and v is unchanged. A ctx that is done already: nothing is tried.
  /// Throws closed_channel.    Parks: yes.
  [[nodiscard]] result<void> send(const T& v, const context& ctx) const
    requires std::is_copy_constructible_v<T>
  {
    return send_within(v, ctx);
  }
  [[nodiscard]] result<void> send(T&& v, const context& ctx) const { return send_within(std::move(v), ctx); }
  /// No more values: receivers get what is buffered, then nothing; blocked senders throw closed_channel.
  /// Throws close_of_closed_channel, close_of_nil_channel.    Parks: no.    Threads: any.
  void close() const { chan_close(core()); }

 private:
  chan_core* core() const noexcept { return static_cast<const Self*>(this)->ref_.get(); }
  static void sent(chan_status s) {
    if (WEFT_UNLIKELY(s == chan_status::closed)) throw_closed_channel();
  }
  template <class V>
  bool send_until(V&& v, std::int64_t deadline) const {
    const chan_status s = element<T>::send(std::forward<V>(v), [&](const void* e) { return chan_send_until(core(), e, {.deadline = deadline}); });
    sent(s);
    return s == chan_status::done;
  }
  template <class V>
  result<void> send_within(V&& v, const context& ctx) const {
    const wait_limit limit = limit_of(ctx);
    if (is_over(limit)) return err_of(ctx);
    const chan_status s = element<T>::send(std::forward<V>(v), [&](const void* e) { return chan_send_until(core(), e, limit); });
    sent(s);
    if (s == chan_status::done) return {};
    return err_of(ctx);
  }
};

/// The same for a channel of events: chan<void>.
template <class Self>
class sending<void, Self> {
 public:
  void send() const { sent(chan_send(core(), nullptr)); }
  [[nodiscard]] bool try_send() const { return send_until(0); }
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(std::chrono::duration<Rep, Period> d) const {
    return send_until(d > d.zero() ? deadline_after_ns(to_ns(d)) : 0);
  }
  [[nodiscard]] result<void> send(const context& ctx) const {
    const wait_limit limit = limit_of(ctx);
    if (is_over(limit)) return err_of(ctx);
    const chan_status s = chan_send_until(core(), nullptr, limit);
    sent(s);
    if (s == chan_status::done) return {};
    return err_of(ctx);
  }
  void close() const { chan_close(core()); }

 private:
  chan_core* core() const noexcept { return static_cast<const Self*>(this)->ref_.get(); }
  static void sent(chan_status s) {
    if (WEFT_UNLIKELY(s == chan_status::closed)) throw_closed_channel();
  }
  bool send_until(std::int64_t deadline) const {
    const chan_status s = chan_send_until(core(), nullptr, {.deadline = deadline});
    sent(s);
    return s == chan_status::done;
  }
};

template <class T>
class chan_iterator;

/// What a receiving handle can do.
template <class T, class Self>
class receiving {
 public:
  /// The next value, waiting for it; nullopt once the channel is closed and drained.
  /// Parks: yes.    Threads: any.    Allocates: no.
  [[nodiscard]] std::optional<T> recv() const {
    return element<T>::recv([&](void* e) { return chan_recv(core(), e); }, [](T&& v) { return std::optional<T>(std::move(v)); },
                            [](chan_status) { return std::optional<T>(); });
  }
  /// The next value if there is one now; errc::would_block, errc::channel_closed.    Parks: no.    Threads: any.
  [[nodiscard]] result<T> try_recv() const { return recv_until(0); }
  /// The next value, waiting at most d on the monotonic clock; errc::timed_out, errc::channel_closed. Zero or less looks
  /// once (and says timed_out).    Parks: yes.    Threads: any.
  template <class Rep, class Period>
  [[nodiscard]] result<T> recv_for(std::chrono::duration<Rep, Period> d) const {
    if (d > d.zero()) return recv_until(deadline_after_ns(to_ns(d)));
    result<T> r = recv_until(0);
    if (!r && r.error() == errc::would_block) return errc::timed_out;
    return r;
  }
  /// The next value, waiting until ctx is done; then its error; errc::channel_closed. A ctx that is done already: nothing is
  /// received.    Parks: yes.    Threads: any.
  [[nodiscard]] result<T> recv(const context& ctx) const {
    const wait_limit limit = limit_of(ctx);
    if (is_over(limit)) return err_of(ctx);
    return element<T>::recv([&](void* e) { return chan_recv_until(core(), e, limit); }, [](T&& v) { return result<T>(std::in_place, std::move(v)); },
                            [&](chan_status s) { return result<T>(why_not(s, ctx)); });
  }
  /// for (T& v : c) ...: each value until the channel is closed and drained.
  chan_iterator<T> begin() const { return chan_iterator<T>(static_cast<const Self*>(this)->ref_); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  chan_core* core() const noexcept { return static_cast<const Self*>(this)->ref_.get(); }
  result<T> recv_until(std::int64_t deadline) const {
    return element<T>::recv([&](void* e) { return chan_recv_until(core(), e, {.deadline = deadline}); }, [](T&& v) { return result<T>(std::in_place, std::move(v)); },
                            [](chan_status s) { return result<T>(to_errc(s)); });
  }
};

/// The same for a channel of events.
template <class Self>
class receiving<void, Self> {
 public:
  /// False once the channel is closed and drained.
  bool recv() const { return chan_recv(core(), nullptr) == chan_status::done; }
  [[nodiscard]] result<void> try_recv() const { return recv_until(0); }
  template <class Rep, class Period>
  [[nodiscard]] result<void> recv_for(std::chrono::duration<Rep, Period> d) const {
    if (d > d.zero()) return recv_until(deadline_after_ns(to_ns(d)));
    result<void> r = recv_until(0);
    if (!r && r.error() == errc::would_block) return errc::timed_out;
    return r;
  }
  [[nodiscard]] result<void> recv(const context& ctx) const {
    const wait_limit limit = limit_of(ctx);
    if (is_over(limit)) return err_of(ctx);
    const chan_status s = chan_recv_until(core(), nullptr, limit);
    if (s == chan_status::done) return {};
    return why_not(s, ctx);
  }

 private:
  chan_core* core() const noexcept { return static_cast<const Self*>(this)->ref_.get(); }
  result<void> recv_until(std::int64_t deadline) const {
    const chan_status s = chan_recv_until(core(), nullptr, {.deadline = deadline});
    if (s == chan_status::done) return {};
    return to_errc(s);
  }
};

/// What every handle knows.
template <class Self>
class chan_facts {
 public:
  /// Values in the buffer now; 0 for an unbuffered or nil channel.    Threads: any.
  [[nodiscard]] std::size_t size() const noexcept { return chan_size(self().ref_.get()); }
  [[nodiscard]] std::size_t capacity() const noexcept { return chan_capacity(self().ref_.get()); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// Whether this is not a nil handle.
  explicit operator bool() const noexcept { return self().ref_.get() != nullptr; }
  friend bool operator==(const Self& a, const Self& b) noexcept { return core(a) == core(b); }

 private:
  const Self& self() const noexcept { return static_cast<const Self&>(*this); }
  static const chan_core* core(const Self& handle) noexcept { return handle.ref_.get(); }
};

struct chan_access;

}  // namespace detail

/// Sends and receives. chan<void> is a channel of events: send() and recv() take and give no value.
template <class T>
class chan : public detail::sending<T, chan<T>>, public detail::receiving<T, chan<T>>, public detail::chan_facts<chan<T>> {
 public:
  constexpr chan() noexcept = default;  ///< nil

 private:
  explicit chan(detail::chan_ref ref) noexcept : ref_(std::move(ref)) {}
  template <class U>
  friend chan<U> make_chan(std::int64_t capacity);
  friend detail::sending<T, chan>;
  friend detail::receiving<T, chan>;
  friend detail::chan_facts<chan>;
  friend sender<T>;
  friend receiver<T>;
  friend detail::chan_access;
  detail::chan_ref ref_;
};

/// Sends only; made from a chan<T>.
template <class T>
class sender : public detail::sending<T, sender<T>>, public detail::chan_facts<sender<T>> {
 public:
  constexpr sender() noexcept = default;
  sender(chan<T> c) noexcept : ref_(std::move(c.ref_)) {}

 private:
  friend detail::sending<T, sender>;
  friend detail::chan_facts<sender>;
  friend detail::chan_access;
  detail::chan_ref ref_;
};

/// Receives only; made from a chan<T>.
template <class T>
class receiver : public detail::receiving<T, receiver<T>>, public detail::chan_facts<receiver<T>> {
 public:
  constexpr receiver() noexcept = default;
  receiver(chan<T> c) noexcept : ref_(std::move(c.ref_)) {}

 private:
  friend detail::receiving<T, receiver>;
  friend detail::chan_facts<receiver>;
  friend detail::chan_access;
  detail::chan_ref ref_;
};

/// Makes a channel that holds up to `capacity` values; 0: unbuffered, each send meets its receive.
/// Throws bad_chan_size for a negative capacity or one that does not fit into memory.    Parks: no.    Allocates: yes.
template <class T>
[[nodiscard]] chan<T> make_chan(std::int64_t capacity = 0) {
  return chan<T>(detail::chan_ref(detail::chan_make(detail::element<T>::size, capacity, detail::element<T>::drop)));
}

namespace detail {

/// The way to the core inside a handle.
struct chan_access {
  template <class H>
  static const chan_ref& ref(const H& handle) noexcept {
    return handle.ref_;
  }
  template <class H>
  static chan_ref take(H&& handle) noexcept {
    return std::move(handle.ref_);
  }
  /// A handle that shares c with `other`, or is the only one.
  template <class T>
  static receiver<T> receiver_of(const chan_ref& other) noexcept {
    return receiver<T>(chan<T>(other));
  }
};

/// An input iterator over what comes. Increment receives; leaving the loop consumes nothing more.
template <class T>
class chan_iterator {
 public:
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using iterator_concept = std::input_iterator_tag;

  explicit chan_iterator(const chan_ref& ref) : ref_(ref) { next(); }
  chan_iterator(chan_iterator&&) noexcept = default;
  chan_iterator& operator=(chan_iterator&&) noexcept = default;
  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return &*value_; }
  chan_iterator& operator++() {
    next();
    return *this;
  }
  void operator++(int) { next(); }
  friend bool operator==(const chan_iterator& i, std::default_sentinel_t) noexcept { return !i.value_; }

 private:
  void next() {
    value_.reset();
    element<T>::recv([&](void* e) { return chan_recv(ref_.get(), e); }, [&](T&& v) { return value_.emplace(std::move(v)), 0; }, [](chan_status) { return 0; });
  }
  chan_ref ref_;
  mutable std::optional<T> value_;
};

}  // namespace detail

}  // namespace weft
