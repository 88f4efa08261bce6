// once.hpp: doing a thing once. Go's rules, not std::call_once's: a function that throws has been called, and that was it.
// once_func, once_value and once_values wrap a function into one that is called at most once, whose result or exception all
// callers get.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>
#include <weft/detail/exception_of.hpp>
#include <weft/error.hpp>
#include <weft/mutex.hpp>

namespace weft {

class once {
 public:
  constexpr once() noexcept = default;
  once(const once&) = delete;
  once& operator=(const once&) = delete;

  /// Calls f(args...) unless a call of this once's has been made before; returns when that one has returned. What f throws goes to
  /// this caller, and the once counts as done. Called again from within f: a deadlock.
  /// Parks: while another caller's function runs.    Threads: any.    Allocates: no.
  template <class F, class... Args>
  void call(F&& f, Args&&... args) {
    // [mo:once] acquire, pairs with the release in ~end().
    if (WEFT_LIKELY(done_.load(std::memory_order_acquire))) return;
    const std::lock_guard hold(mutex_);
    if (done_.load(std::memory_order_relaxed)) return;
    const end at_end{done_};
    static_cast<void>(std::invoke(std::forward<F>(f), std::forward<Args>(args)...));
  }

 private:
  struct end {
    std::atomic<bool>& done;
    ~end() { done.store(true, std::memory_order_release); }  // [mo:once]
  };
  std::atomic<bool> done_{false};
  mutex mutex_;
};

namespace detail {
template <class F>
struct once_state {
  using value_type = std::invoke_result_t<F&>;
  using stored_type = std::conditional_t<std::is_void_v<value_type>, bool, std::decay_t<value_type>>;

  explicit once_state(F&& fn) : f(std::move(fn)) {}
  explicit once_state(const F& fn) : f(fn) {}

  void call() {
    struct reset {  // gone with all that it holds, however it ends
      std::optional<F>& f;
      ~reset() { f.reset(); }
    };
    const reset at_end{f};
    error = exception_of([&] {
      if constexpr (std::is_void_v<value_type>) std::invoke(*f), value.emplace(true);
      else value.emplace(std::invoke(*f));
    });
  }
  const stored_type& get() {
    first.call([this] { call(); });
    if (WEFT_LIKELY(value.has_value())) return *value;
    if (error) std::rethrow_exception(error);
    throw panic("sync: the function of a once did not return");
  }

  once first;
  std::optional<F> f;
  std::optional<stored_type> value;
  std::exception_ptr error;
};
}  // namespace detail

/// A function, to be copied freely, that calls f the first time it is called; all calls return when that one is over, or rethrow
/// what it threw. f is destroyed right after it has run.
/// Parks: as once::call.    Threads: any.    Allocates: once, here.
template <class F>
[[nodiscard]] auto once_func(F&& f) {
  auto state = std::make_shared<detail::once_state<std::decay_t<F>>>(std::forward<F>(f));
  return [state] { static_cast<void>(state->get()); };
}
/// The same for a function with a result, which all callers get, as a reference that is valid while a copy of the wrapper lives.
template <class F>
[[nodiscard]] auto once_value(F&& f) {
  auto state = std::make_shared<detail::once_state<std::decay_t<F>>>(std::forward<F>(f));
  return [state]() -> const typename detail::once_state<std::decay_t<F>>::stored_type& { return state->get(); };
}
/// The same for several results in a std::pair or std::tuple: const auto& [a, b] = values();
template <class F>
[[nodiscard]] auto once_values(F&& f) {
  static_assert(std::tuple_size_v<std::decay_t<std::invoke_result_t<std::decay_t<F>&>>> > 1, "once_values: f returns a pair or a tuple");
  return once_value(std::forward<F>(f));
}

}  // namespace weft
