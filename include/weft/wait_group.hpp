// wait_group.hpp: waiting until a number of things are done. Source: Go's sync/waitgroup.go.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/detail/atomic.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/context_wait.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/waiters.hpp>
#include <weft/error.hpp>
#include <weft/go.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

namespace detail {
class co_group_wait;  // <weft/co/sync.hpp>
}

class wait_group {
 public:
  constexpr wait_group() noexcept = default;
  ~wait_group() {
    if (WEFT_UNLIKELY(sema_.waiters.first != nullptr)) detail::destroyed_in_use("weft::wait_group");
  }
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;

  /// Adds n, which may be negative; at 0 all who wait go on. Throws panic: "sync: negative WaitGroup counter", and
  /// "sync: WaitGroup misuse: Add called concurrently with Wait" when that is seen. With the count at 0, add before wait.
  /// Parks: no.    Threads: any.    Allocates: no.
  WEFT_API void add(int n = 1);
  /// Takes one off.
  void done() { add(-1); }
  /// Waits until the count is 0.    Parks: yes.    Threads: any.    Allocates: no.
  WEFT_API void wait();
  /// Waits until the count is 0, at most for d, or until t on t's own clock. Whether it is.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> d) {
    return wait_within({.deadline = d > d.zero() ? detail::deadline_after_ns(detail::to_ns(d)) : 0}) == detail::wait_end::woken;
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool wait_until(std::chrono::time_point<Clock, Duration> t) {
    do {
      if (wait_for(detail::time_until(t))) return true;
    } while (detail::now_on<Clock>() < t);  // a clock that was set meanwhile
    return false;
  }
  /// Waits until the count is 0, unless ctx is done before; then its error. Not at all when ctx is done already.
  result<void> wait(const context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (!detail::is_over(limit) && wait_within(limit) == detail::wait_end::woken) return {};
    return detail::err_of(ctx);
  }

  /// Starts f(args...) as a goroutine that counts in this group. It is done when f has returned and what it
  /// captured is destroyed; an exception that leaves f ends the process before wait() returns;
  /// this_goroutine::exit() in f counts as its end.
  template <class F, class... Args>
  [[gnu::always_inline]] inline void go(F&& f, Args&&... args) {
    add(1);
    try {
      weft::go(
          [this](std::decay_t<F>&& fn, std::decay_t<Args>&&... a) {
            // Also when f ends by this_goroutine::exit(); an exception that leaves f unwinds nothing, so it does not come here.
            const struct finish {
              wait_group* group;
              ~finish() noexcept(false) { group->done(); }
            } last{this};
            // What f captured is gone before wait() can return.
            auto f_here = std::move(fn);
            std::tuple<std::decay_t<Args>...> args_here(std::move(a)...);
            std::apply([&](auto&... x) { static_cast<void>(std::invoke(std::move(f_here), std::move(x)...)); }, args_here);
          },
          std::forward<F>(f), std::forward<Args>(args)...);
    } catch (...) {  // a copy threw: nothing was started
      done();
      throw;
    }
  }

 private:
  friend class detail::co_group_wait;
  /// Counts the caller as one that waits for the semaphore, unless the count is 0; and looks for misuse afterwards.
  [[nodiscard]] WEFT_API bool begin_wait() noexcept;
  WEFT_API void end_wait();
  void check_bubble();
  WEFT_API detail::wait_end wait_within(const detail::wait_limit& limit);  // a deadline of 0: only looks

  detail::atomic<std::uint64_t> state_{0};  // the count in the upper 32 bits, who waits in the lower
  detail::semaphore_core sema_;
  detail::atomic<std::uint32_t> bubble_{0};  // where the first add() was (test/bubble.hpp)
};

}  // namespace weft
