// watch.hpp: a value that changes, and others who want to know its latest state, but not every one in between. As tokio's watch.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

#include <weft/context.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/sequence_core.hpp>
#include <weft/error.hpp>
#include <weft/mutex.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

namespace detail {

/// The value lies in a box that is never changed: readers copy the pointer under the mutex, and the T without it.
template <class T>
struct watch_state {
  explicit watch_state(std::shared_ptr<const T> v) noexcept : value(std::move(v)) {}
  weft::mutex mutex;
  std::shared_ptr<const T> value;  // guarded by mutex, as are the two below
  std::uint64_t version = 0;
  bool closed = false;
  sequence_core changes;  // one for each version, and one for the close

  void close() {
    {
      const std::lock_guard hold(mutex);
      if (std::exchange(closed, true)) return;
    }
    sequence_advance(changes);
  }
};

}  // namespace detail

/// Sees the changes. Each has its own mind about what it has seen: copy it for another goroutine.
template <class T>
class watcher {
 public:
  /// The latest value, which counts as seen. Not changed any more by anybody: a later send() makes a new one.
  /// Parks: only while somebody sends.    Threads: any, one at a time.    Allocates: no.
  [[nodiscard]] std::shared_ptr<const T> get() {
    const std::lock_guard hold(state_->mutex);
    seen_ = state_->version;
    return state_->value;
  }
  /// Whether there is a value that get() has not given.
  [[nodiscard]] bool has_changed() const {
    const std::lock_guard hold(state_->mutex);
    return seen_ != state_->version;
  }
  /// Waits until there is; false when there is none and never will be.
  /// Parks: yes.    Threads: any, one at a time.    Allocates: no.
  [[nodiscard]] bool changed() const { return changed_until({}).has_value(); }
  /// The same, at most for d: errc::timed_out, errc::channel_closed.
  template <class Rep, class Period>
  [[nodiscard]] result<void> changed_for(std::chrono::duration<Rep, Period> d) const {
    return changed_until({.deadline = detail::deadline_after_ns(detail::to_ns(d))});
  }
  /// The same, until ctx is done: errc::canceled, errc::deadline_exceeded, errc::channel_closed.
  [[nodiscard]] result<void> changed(const context& ctx) const {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (detail::is_over(limit)) return detail::err_of(ctx);
    const result<void> r = changed_until(limit);
    return r || r.error() != errc::timed_out ? r : detail::err_of(ctx);
  }
  /// Waits for a value that pred likes, beginning with the present one; null when there will be none.
  template <std::predicate<const T&> Pred>
  [[nodiscard]] std::shared_ptr<const T> wait_for_value(Pred pred) {
    for (;;) {
      if (std::shared_ptr<const T> v = get(); std::invoke(pred, *v)) return v;
      if (!changed()) return nullptr;
    }
  }

 private:
  template <class>
  friend class watch;
  explicit watcher(std::shared_ptr<detail::watch_state<T>> s) : state_(std::move(s)) {
    const std::lock_guard hold(state_->mutex);
    seen_ = state_->version;
  }
  result<void> changed_until(const detail::wait_limit& limit) const {
    for (;;) {
      std::uint64_t at;
      {
        const std::lock_guard hold(state_->mutex);
        if (seen_ != state_->version) return {};
        if (state_->closed) return errc::channel_closed;
        at = state_->changes.value.load(std::memory_order_relaxed);  // a change that comes now is another number
      }
      if (detail::sequence_wait(state_->changes, at, limit) != detail::wait_end::woken) return errc::timed_out;
    }
  }

  std::shared_ptr<detail::watch_state<T>> state_;
  std::uint64_t seen_ = 0;
};

/// Sets the value. A handle: copies are the same, and when the last of them goes, it is closed.
template <class T>
class watch {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "weft::watch<T>: T must be a plain object type");

 public:
  explicit watch(T first) : owner_(std::make_shared<owner>(std::make_shared<const T>(std::move(first)))) {}

  /// One that has seen the present value.    Threads: any.
  [[nodiscard]] watcher<T> subscribe() const { return watcher<T>(owner_->state); }
  /// Sets it. Those who have not seen the one before never will.
  /// Throws closed_channel after close().    Parks: only while others send.    Threads: any.    Allocates: yes.
  void send(T v) const { set(std::make_shared<const T>(std::move(v))); }
  /// Sets f(present value); two at once do not undo each other. When f throws, nothing has changed. f runs while nobody else can send
  /// or look: it must not use this watch or its watchers, and should not take long.
  /// Throws closed_channel after close().    Parks: while others send, and as f does.    Threads: any.    Allocates: yes.
  template <class F>
  void modify(F&& f) const {
    std::shared_ptr<const T> v;
    {
      const std::lock_guard hold(owner_->state->mutex);
      if (owner_->state->closed) throw closed_channel();
      v = std::make_shared<const T>(std::invoke(f, *owner_->state->value));
      owner_->state->value.swap(v);  // the old one ends outside
      owner_->state->version++;
    }
    detail::sequence_advance(owner_->state->changes);
  }
  [[nodiscard]] std::shared_ptr<const T> get() const {
    const std::lock_guard hold(owner_->state->mutex);
    return owner_->state->value;
  }
  /// No more changes: who waits for one goes on. Again: nothing.
  void close() const { owner_->state->close(); }

 private:
  struct owner {
    explicit owner(std::shared_ptr<const T> v) : state(std::make_shared<detail::watch_state<T>>(std::move(v))) {}
    owner(const owner&) = delete;
    ~owner() { state->close(); }
    std::shared_ptr<detail::watch_state<T>> state;
  };
  void set(std::shared_ptr<const T> v) const {
    {
      const std::lock_guard hold(owner_->state->mutex);
      if (owner_->state->closed) throw closed_channel();
      owner_->state->value.swap(v);  // the old one ends outside
      owner_->state->version++;
    }
    detail::sequence_advance(owner_->state->changes);
  }
  std::shared_ptr<owner> owner_;
};

}  // namespace weft
