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

  /// Sends with `op(const void*)`; a value is moved from only when it was sent.
  template <class V, class Op>
  static chan_status send(V&& v, Op op) {
    if constexpr (travels_as_bytes<T>) {
      if constexpr (std::is_same_v<std::remove_cvref_t<V>, T>) {
        return op(std::addressof(v));
      } else {
        const T value(std::forward<V>(v));
        return op(&value);
      }
    } else {
      // As std::vector does when it grows: a move that may throw is made a copy, if there is one.
      constexpr bool moves = !std::is_lvalue_reference_v<V> && std::is_same_v<std::remove_cvref_t<V>, T> && !std::is_const_v<std::remove_reference_t<V>> &&
                             (std::is_nothrow_move_constructible_v<T> || !std::is_copy_constructible_v<T>);
      std::unique_ptr<T> box;
      if constexpr (moves) box = std::make_unique<T>(std::move(v));
      else if constexpr (std::is_same_v<std::remove_cvref_t<V>, T>) box = std::make_unique<T>(std::as_const(v));
      else box = std::make_unique<T>(std::forward<V>(v));
      T* pointer = box.get();
      const chan_status status = op(&pointer);
      if (status == chan_status::done) {
        static_cast<void>(box.release());
      } else if constexpr (moves) {
        std::destroy_at(std::addressof(v));
        std::construct_at(std::addressof(v), std::move(*box));
      }
      return status;
    }
  }

  /// Receives with `op(void*)`, and gives value(T&&) or, when nothing came, otherwise(status).
  template <class Op, class Value, class Otherwise>
  static auto recv(Op op, Value value, Otherwise otherwise) {
    if constexpr (travels_as_bytes<T>) {
      T v;
      const chan_status status = op(&v);
      return WEFT_LIKELY(status == chan_status::done) ? value(std::move(v)) : otherwise(status);
    } else {
      T* pointer = nullptr;
      const chan_status status = op(&pointer);
      const std::unique_ptr<T> box(pointer);
      return WEFT_LIKELY(status == chan_status::done) ? value(std::move(*box)) : otherwise(status);
    }
  }
};

inline errc to_errc(chan_status s) noexcept {
  return s == chan_status::closed ? errc::channel_closed : s == chan_status::timed_out ? errc::timed_out : errc::would_block;
}

/// What a sending handle can do.
template <class T, class Self>
class sending {
 public:
  /// Sends v; waits while the channel is full (capacity 0: until it is received). Throws closed_channel; v is then unchanged.
  /// Parks: yes.    Threads: any.    Allocates: only for a T that is not trivially copyable or larger than 64 bytes.
  void send(const T& v) const { sent(element<T>::send(v, [&](const void* e) { return chan_send(core(), e); })); }
  void send(T&& v) const { sent(element<T>::send(std::move(v), [&](const void* e) { return chan_send(core(), e); })); }
  /// Sends v if that needs no waiting. Throws closed_channel.    Parks: no.    Threads: any.
  [[nodiscard]] bool try_send(const T& v) const { return send_until(v, 0); }
  [[nodiscard]] bool try_send(T&& v) const { return send_until(std::move(v), 0); }
  /// Sends v, waiting at most d on the monotonic clock; zero or less: as try_send. Throws closed_channel.    Parks: yes.
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(const T& v, std::chrono::duration<Rep, Period> d) const {
    return send_until(v, d > d.zero() ? deadline_after_ns(to_ns(d)) : 0);
  }
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(T&& v, std::chrono::duration<Rep, Period> d) const {
    return send_until(std::move(v), d > d.zero() ? deadline_after_ns(to_ns(d)) : 0);
  }
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
    const chan_status s = element<T>::send(std::forward<V>(v), [&](const void* e) { return chan_send_until(core(), e, deadline); });
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
  /// for (T& v : c) ...: each value until the channel is closed and drained.
  chan_iterator<T> begin() const { return chan_iterator<T>(static_cast<const Self*>(this)->ref_); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  chan_core* core() const noexcept { return static_cast<const Self*>(this)->ref_.get(); }
  result<T> recv_until(std::int64_t deadline) const {
    return element<T>::recv([&](void* e) { return chan_recv_until(core(), e, deadline); }, [](T&& v) { return result<T>(std::move(v)); },
                            [](chan_status s) { return result<T>(to_errc(s)); });
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

/// Sends and receives.
template <class T>
class chan : public detail::sending<T, chan<T>>, public detail::receiving<T, chan<T>>, public detail::chan_facts<chan<T>> {
 public:
  constexpr chan() noexcept = default;  ///< nil

 private:
  explicit chan(detail::chan_core* c) noexcept : ref_(c) {}
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
  return chan<T>(detail::chan_make(detail::element<T>::size, capacity, detail::element<T>::drop));
}

namespace detail {

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

/// A channel of events without a value: send() and recv() take and give nothing else.
template <>
class chan<void> : public detail::chan_facts<chan<void>> {
 public:
  constexpr chan() noexcept = default;
  void send() const {
    if (detail::chan_send(ref_.get(), nullptr) == detail::chan_status::closed) detail::throw_closed_channel();
  }
  [[nodiscard]] bool try_send() const { return send_until(0); }
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(std::chrono::duration<Rep, Period> d) const {
    return send_until(d > d.zero() ? detail::deadline_after_ns(detail::to_ns(d)) : 0);
  }
  /// False once the channel is closed and drained.
  bool recv() const { return detail::chan_recv(ref_.get(), nullptr) == detail::chan_status::done; }
  [[nodiscard]] result<void> try_recv() const { return recv_until(0); }
  template <class Rep, class Period>
  [[nodiscard]] result<void> recv_for(std::chrono::duration<Rep, Period> d) const {
    if (d > d.zero()) return recv_until(detail::deadline_after_ns(detail::to_ns(d)));
    result<void> r = recv_until(0);
    if (!r && r.error() == errc::would_block) return errc::timed_out;
    return r;
  }
  void close() const { detail::chan_close(ref_.get()); }

 private:
  explicit chan(detail::chan_core* c) noexcept : ref_(c) {}
  bool send_until(std::int64_t deadline) const {
    const auto s = detail::chan_send_until(ref_.get(), nullptr, deadline);
    if (s == detail::chan_status::closed) detail::throw_closed_channel();
    return s == detail::chan_status::done;
  }
  result<void> recv_until(std::int64_t deadline) const {
    const auto s = detail::chan_recv_until(ref_.get(), nullptr, deadline);
    if (s == detail::chan_status::done) return {};
    return detail::to_errc(s);
  }
  template <class U>
  friend chan<U> make_chan(std::int64_t capacity);
  friend detail::chan_facts<chan>;
  friend detail::chan_access;
  detail::chan_ref ref_;
};
template <>
inline chan<void> make_chan<void>(std::int64_t capacity) {
  return chan<void>(detail::chan_make(0, capacity, nullptr));
}

}  // namespace weft
