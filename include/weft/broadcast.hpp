// broadcast.hpp: a channel whose every value goes to every subscriber. As tokio's broadcast: senders never wait for slow
// subscribers; those lose the oldest values, and are told how many.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/context.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/sequence_core.hpp>
#include <weft/error.hpp>
#include <weft/mutex.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

namespace detail {

/// The last values, each in a box that is never changed: no T is copied under the mutex.
template <class T>
struct broadcast_state {
  explicit broadcast_state(std::size_t capacity) : ring(capacity) {}
  weft::mutex mutex;
  std::vector<std::shared_ptr<const T>> ring;  // guarded by mutex, as are the three below
  std::uint64_t sent = 0;                      // value number i is in ring[i % size], while i >= sent - size
  std::size_t subscribers = 0;
  bool closed = false;
  sequence_core changes;  // one for each value, and one for the close

  void close() {
    {
      const std::lock_guard hold(mutex);
      if (std::exchange(closed, true)) return;
    }
    sequence_advance(changes);
  }
};

}  // namespace detail

/// A value, and how many before it were lost since the last one.
template <class T>
struct broadcasted {
  std::shared_ptr<const T> value;  ///< shared with the other subscribers
  std::uint64_t missed = 0;
  const T& operator*() const noexcept { return *value; }
  const T* operator->() const noexcept { return value.get(); }
};

/// Gets what is sent from its beginning on. A copy gets, from where the original is, the same once more.
template <class T>
class subscription {
 public:
  subscription(const subscription& o) : state_(o.state_), next_(o.next_) { count(+1); }
  subscription(subscription&& o) noexcept : state_(std::move(o.state_)), next_(o.next_) {}
  subscription& operator=(subscription o) noexcept {
    std::swap(state_, o.state_);
    std::swap(next_, o.next_);
    return *this;
  }
  ~subscription() {
    if (state_) count(-1);
  }

  /// The next value, waiting for it; nullopt when it is closed and all is received.
  /// Parks: yes.    Threads: any, one at a time.    Allocates: no.
  [[nodiscard]] std::optional<broadcasted<T>> recv() {
    auto r = recv_until({});
    return r ? std::optional(*std::move(r)) : std::nullopt;
  }
  /// If there is one now; else errc::would_block, errc::channel_closed.
  [[nodiscard]] result<broadcasted<T>> try_recv() {
    broadcasted<T> got;
    std::uint64_t at;
    if (const errc e = take(got, at); e != errc{}) return e;
    return got;
  }
  /// Waiting at most for d: errc::timed_out, errc::channel_closed.
  template <class Rep, class Period>
  [[nodiscard]] result<broadcasted<T>> recv_for(std::chrono::duration<Rep, Period> d) {
    return recv_until({.deadline = detail::deadline_after_ns(detail::to_ns(d))});
  }
  /// Until ctx is done: errc::canceled, errc::deadline_exceeded, errc::channel_closed.
  [[nodiscard]] result<broadcasted<T>> recv(const context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (detail::is_over(limit)) return detail::err_of(ctx);
    auto r = recv_until(limit);
    return r || r.error() != errc::timed_out ? r : detail::err_of(ctx);
  }

 private:
  template <class>
  friend class broadcast;
  explicit subscription(std::shared_ptr<detail::broadcast_state<T>> s) : state_(std::move(s)) {
    const std::lock_guard hold(state_->mutex);
    state_->subscribers++;
    next_ = state_->sent;
  }
  void count(int change) {
    const std::lock_guard hold(state_->mutex);
    state_->subscribers += static_cast<std::size_t>(change);
  }
  errc take(broadcasted<T>& got, std::uint64_t& at) {
    const std::lock_guard hold(state_->mutex);
    const std::uint64_t held = std::min<std::uint64_t>(state_->sent, state_->ring.size());
    if (next_ == state_->sent) {
      at = state_->changes.value.load(std::memory_order_relaxed);  // a value that comes now is another number
      return state_->closed ? errc::channel_closed : errc::would_block;
    }
    if (const std::uint64_t oldest = state_->sent - held; next_ < oldest) got.missed = oldest - std::exchange(next_, oldest);
    got.value = state_->ring[next_++ % state_->ring.size()];
    return {};
  }
  result<broadcasted<T>> recv_until(const detail::wait_limit& limit) {
    for (;;) {
      broadcasted<T> got;
      std::uint64_t at;
      const errc e = take(got, at);
      if (e == errc{}) return got;
      if (e == errc::channel_closed) return e;
      if (detail::sequence_wait(state_->changes, at, limit) != detail::wait_end::woken) return errc::timed_out;
    }
  }

  std::shared_ptr<detail::broadcast_state<T>> state_;
  std::uint64_t next_ = 0;
};

/// Sends to all. A handle: copies are the same, and when the last of them goes, it is closed.
template <class T>
class broadcast {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "weft::broadcast<T>: T must be a plain object type");

 public:
  /// Keeps the last `capacity` values for those who have not received them. Throws std::invalid_argument for 0.
  explicit broadcast(std::size_t capacity) : owner_(std::make_shared<owner>(capacity)) {}

  /// One that gets what is sent from now on.    Threads: any.
  [[nodiscard]] subscription<T> subscribe() const { return subscription<T>(owner_->state); }
  /// Sends v; how many subscribers there are. Never waits for them. Throws closed_channel after close().
  /// Parks: only while others send.    Threads: any.    Allocates: yes.
  std::size_t send(T v) const {
    auto box = std::make_shared<const T>(std::move(v));
    auto& s = *owner_->state;
    std::size_t subscribers;
    {
      const std::lock_guard hold(s.mutex);
      if (s.closed) throw closed_channel();
      s.ring[s.sent++ % s.ring.size()].swap(box);  // the old one ends outside
      subscribers = s.subscribers;
    }
    detail::sequence_advance(s.changes);
    return subscribers;
  }
  [[nodiscard]] std::size_t subscribers() const {
    const std::lock_guard hold(owner_->state->mutex);
    return owner_->state->subscribers;
  }
  /// No more values: subscribers get what is kept, then nothing. Again: nothing.
  void close() const { owner_->state->close(); }

 private:
  struct owner {
    explicit owner(std::size_t capacity) {
      if (capacity == 0) throw std::invalid_argument("weft: broadcast: capacity 0");
      state = std::make_shared<detail::broadcast_state<T>>(capacity);
    }
    owner(const owner&) = delete;
    ~owner() {
      if (state) state->close();
    }
    std::shared_ptr<detail::broadcast_state<T>> state;
  };
  std::shared_ptr<owner> owner_;
};

}  // namespace weft
