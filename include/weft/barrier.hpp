// barrier.hpp: a number of goroutines or threads that wait for each other, phase after phase: std::barrier.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <weft/detail/context_wait.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/waiters.hpp>
#include <weft/error.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

namespace detail {
struct no_completion {
  void operator()() noexcept {}
};

class WEFT_API barrier_core {
 public:
  constexpr explicit barrier_core(std::ptrdiff_t expected) noexcept : missing_(expected), expected_(expected) {}
  ~barrier_core();
  barrier_core(const barrier_core&) = delete;

  struct arrival {
    std::uint64_t phase;
    bool last;  // who has to call the completion and then open()
  };
  /// `drop`: one fewer from the next phase on. More than are missing: throws panic.
  [[nodiscard]] arrival arrive(std::ptrdiff_t n, bool drop);
  void open() noexcept;
  [[nodiscard]] wait_end wait(std::uint64_t phase, const wait_limit& limit);

 private:
  waiters_core core_;
  std::ptrdiff_t missing_, expected_;  // guarded by core_.lock
  std::uint64_t phase_ = 0;
};
}  // namespace detail

/// CompletionFunction is called at the end of each phase by the one that arrives last, before the others go on. It must not throw; it
/// may park.
template <class CompletionFunction = detail::no_completion>
class barrier {
 public:
  /// What arrive() returns and wait() wants: the phase.
  class arrival_token {
   public:
    arrival_token(arrival_token&&) noexcept = default;
    arrival_token& operator=(arrival_token&&) noexcept = default;

   private:
    friend barrier;
    explicit arrival_token(std::uint64_t phase) noexcept : phase_(phase) {}
    std::uint64_t phase_;
  };

  /// For so many, 1 or more.
  constexpr explicit barrier(std::ptrdiff_t expected, CompletionFunction f = CompletionFunction()) : core_(expected), completion_(std::move(f)) {}

  /// n have arrived. More than are still missing throws panic: "sync: too many arrivals at barrier".
  /// Parks: as the completion function does.    Threads: any.    Allocates: no.
  [[nodiscard]] arrival_token arrive(std::ptrdiff_t n = 1) { return arrival_token(arrive_any(n, false)); }
  /// Waits until that phase is over; only for the phase of the last arrival.
  /// Parks: yes.    Threads: any.    Allocates: no.
  void wait(arrival_token&& token) { static_cast<void>(core_.wait(token.phase_, {})); }
  /// False when it took longer; the arrival counts all the same, and the token is good for another wait.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(const arrival_token& token, std::chrono::duration<Rep, Period> d) {
    return core_.wait(token.phase_, {.deadline = detail::deadline_after_ns(detail::to_ns(d))}) == detail::wait_end::woken;
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool wait_until(const arrival_token& token, std::chrono::time_point<Clock, Duration> t) {
    for (auto now = detail::now_on<Clock>(); now < t; now = detail::now_on<Clock>()) {
      if (wait_for(token, t - now)) return true;
    }
    return wait_for(token, std::chrono::nanoseconds(0));
  }
  /// Waits until that phase is over, unless ctx is done before; then its error. Not at all when ctx is done already. The arrival
  /// counts all the same, and the token is good for another wait.    Parks: yes.    Threads: any.    Allocates: no.
  result<void> wait(const arrival_token& token, const context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (!detail::is_over(limit) && core_.wait(token.phase_, limit) == detail::wait_end::woken) return {};
    return detail::err_of(ctx);
  }
  void arrive_and_wait() { wait(arrive()); }
  /// Arrives, and is not expected any more from the next phase on.
  void arrive_and_drop() { static_cast<void>(arrive_any(1, true)); }

 private:
  std::uint64_t arrive_any(std::ptrdiff_t n, bool drop) {
    static_assert(std::is_nothrow_invocable_v<CompletionFunction&>, "the completion function must be noexcept");
    const auto a = core_.arrive(n, drop);
    if (a.last) {
      completion_();
      core_.open();
    }
    return a.phase;
  }

  detail::barrier_core core_;
  [[no_unique_address]] CompletionFunction completion_;
};

}  // namespace weft
