// future.hpp: waiting for a std::future of somebody else's without holding up the other goroutines. (For weft's own work take async().)
#pragma once

#include <chrono>
#include <future>
#include <utility>

#include <weft/blocking.hpp>
#include <weft/detail/config.hpp>

namespace weft {

namespace detail {
template <class Future>
bool at_hand(const Future& f) {  // or deferred: then get() runs it, here, where it may park
  return f.wait_for(std::chrono::seconds(0)) != std::future_status::timeout;
}
}  // namespace detail

/// f.get(), with the processor given to others while it waits. Throws what it throws, and std::future_error (no_state) for an f
/// without state.
/// Parks: no, but blocks this thread, and parks when no processor is free afterwards.    Threads: any.    Allocates: no.
template <class T>
T get(std::future<T> f) {
  if (!f.valid()) throw std::future_error(std::future_errc::no_state);
  if (!detail::at_hand(f)) blocking([&f] { f.wait(); });
  return f.get();
}
template <class T>
decltype(auto) get(const std::shared_future<T>& f) {
  if (!f.valid()) throw std::future_error(std::future_errc::no_state);
  if (!detail::at_hand(f)) blocking([&f] { f.wait(); });
  return f.get();
}
/// f.wait_for(d) in the same way.
template <class Future, class Rep, class Period>
std::future_status wait_for(const Future& f, std::chrono::duration<Rep, Period> d) {
  if (!f.valid()) throw std::future_error(std::future_errc::no_state);
  if (d <= d.zero() || detail::at_hand(f)) return f.wait_for(std::chrono::seconds(0));
  return blocking([&f, d] { return f.wait_for(d); });
}

}  // namespace weft
