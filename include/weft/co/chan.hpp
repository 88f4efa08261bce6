// co/chan.hpp: channels for coroutines: the same channels as goroutines use, awaited.
#pragma once

#include <chrono>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/chan.hpp>
#include <weft/co/task.hpp>
#include <weft/detail/co_core.hpp>
#include <weft/detail/sudog.hpp>
#include <weft/select.hpp>

namespace weft::detail {

/// Does it now, or waits on the channel's list with `s`, which it makes: true, and then r is on its way elsewhere. s.success:
/// not closed.
[[nodiscard]] WEFT_API bool co_send(chan_core* c, const void* element, sudog& s, runnable& r) noexcept;
[[nodiscard]] WEFT_API bool co_recv(chan_core* c, void* element, sudog& s, runnable& r) noexcept;
/// Whether c is a timer's: that waits in another way.
[[nodiscard]] WEFT_API bool chan_has_clock(const chan_core* c) noexcept;
WEFT_API co::task<void> co_recv_tick(chan_core* c, void* element, sudog& s);

/// Room for the entry of who may have to wait: most do not, and one that is not made costs nothing.
union co_sudog {
  co_sudog() noexcept {}
  sudog s;
};

/// What the channels of timers carry.
template <class T>
inline constexpr bool is_tick = std::is_same_v<T, std::chrono::steady_clock::time_point>;

template <class T>
class [[nodiscard]] co_receiving {
 public:
  explicit co_receiving(chan_core* c) noexcept : c_(c) {}
  static bool await_ready() noexcept { return false; }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) {
    if constexpr (is_tick<T>) {
      if (chan_has_clock(c_)) {
        tick_ = co_recv_tick(c_, in_.address(), wait_.s).operator co_await();
        return tick_.await_suspend(h);
      }
    }
    return co_recv(c_, in_.address(), wait_.s, h.promise());
  }
  auto await_resume() {
    if constexpr (is_tick<T>) {
      if (tick_.has_begun()) tick_.await_resume();
    }
    if constexpr (std::is_void_v<T>) return wait_.s.success;
    else return wait_.s.success ? std::optional<T>(in_.value()) : std::optional<T>();
  }

 private:
  chan_core* c_;
  co_sudog wait_;
  [[no_unique_address]] typename element<T>::incoming in_;
  struct nothing {};
  [[no_unique_address]] std::conditional_t<is_tick<T>, co_call<void>, nothing> tick_{};
};

template <class T, class V>
class [[nodiscard]] co_sending {
 public:
  co_sending(chan_core* c, V&& v) : c_(c), out_(std::forward<V>(v)) {}
  static bool await_ready() noexcept { return false; }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) noexcept {
    return co_send(c_, out_.address(), wait_.s, h.promise());
  }
  void await_resume() {
    if (WEFT_LIKELY(wait_.s.success)) return out_.sent();
    out_.not_sent();
    throw_closed_channel();
  }

 private:
  chan_core* c_;
  co_sudog wait_;
  typename element<T>::template outgoing<V> out_;
};

class [[nodiscard]] co_signalling {
 public:
  explicit co_signalling(chan_core* c) noexcept : c_(c) {}
  static bool await_ready() noexcept { return false; }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) noexcept {
    return co_send(c_, nullptr, wait_.s, h.promise());
  }
  void await_resume() const {
    if (WEFT_UNLIKELY(!wait_.s.success)) throw_closed_channel();
  }

 private:
  chan_core* c_;
  co_sudog wait_;
};

}  // namespace weft::detail

namespace weft::co {

/// co_await recv(c): the next value, waiting for it; nullopt once the channel is closed and drained (for a channel of events:
/// false). A nil channel waits for ever.    Threads: any.    Allocates: no.
template <weft::detail::receiving_handle H>
auto recv(const H& c) noexcept {
  return weft::detail::co_receiving<weft::detail::value_of<H>>(weft::detail::chan_access::ref(c).get());
}
/// co_await send(c, v): sends v, waiting while the channel is full. Throws closed_channel; v is then unchanged.
/// Threads: any.    Allocates: as chan::send().
template <weft::detail::sending_handle H, class V>
  requires(!std::is_void_v<weft::detail::value_of<H>> && std::is_constructible_v<weft::detail::value_of<H>, V &&>)
auto send(const H& c, V&& v) {
  return weft::detail::co_sending<weft::detail::value_of<H>, V>(weft::detail::chan_access::ref(c).get(), std::forward<V>(v));
}
/// The same for a channel of events.
template <weft::detail::sending_handle H>
  requires std::is_void_v<weft::detail::value_of<H>>
auto send(const H& c) noexcept {
  return weft::detail::co_signalling(weft::detail::chan_access::ref(c).get());
}

}  // namespace weft::co
