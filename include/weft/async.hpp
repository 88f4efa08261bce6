// async.hpp: a goroutine with a result.
// A task that has not started is a small record on its processor, newest first: join() of an unstarted one runs it right
// here, on the joiner's stack, as if it had been a call; idle processors take the oldest. So a tree of tasks keeps a live set
// of its depth, not of its width (design D12). Which of the two happened cannot be told from inside.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/chan.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/context_wait.hpp>
#include <weft/detail/task_core.hpp>
#include <weft/error.hpp>

namespace weft {

namespace detail {
struct task_access;
}

/// A handle to a task; move-only. Dropped without a join it detaches, and an exception of the task is then a panic.
template <class T>
class [[nodiscard]] task {
 public:
  task() noexcept = default;
  task(task&& o) noexcept : state_(std::exchange(o.state_, nullptr)) {}
  task& operator=(task&& o) noexcept {
    if (this != &o) drop(), state_ = std::exchange(o.state_, nullptr);
    return *this;
  }
  ~task() { drop(); }

  /// Waits for the task and gives what it returned, or rethrows what it threw; throws task_exited
  /// if it ended by this_goroutine::exit(). Once only; afterwards the handle is empty.
  /// Parks: yes.    Threads: any.    Allocates: no.
  T join() {
    detail::task_base* s = std::exchange(state_, nullptr);
    detail::task_release guard{s};
    detail::task_join(s);
    if (WEFT_UNLIKELY(s->error != nullptr)) std::rethrow_exception(std::exchange(s->error, nullptr));
    if constexpr (!std::is_void_v<T>) return *std::move(static_cast<detail::task_result<T>*>(s)->value);
  }
  /// join(), unless ctx is done before the task is; then its error, and the task goes on and can still be joined. Not at all when
  /// ctx is done already. The task is never run here, as join() may do.
  /// Parks: yes.    Threads: any.    Allocates: the first time, as done().
  result<T> join(const context& ctx) {
    if (detail::is_over(detail::limit_of(ctx))) return detail::err_of(ctx);
    if (!is_done()) static_cast<void>(done().recv(ctx));
    if (!is_done()) return detail::err_of(ctx);
    if constexpr (std::is_void_v<T>) return join(), result<T>();
    else return result<T>(std::in_place, join());
  }
  /// Whether join() would return at once.
  [[nodiscard]] bool is_done() const noexcept { return detail::task_is_done(state_); }
  /// A channel that is closed when join() would return at once, for select and for more than one that waits. The same each time;
  /// nil for an empty handle.    Parks: no.    Allocates: the first time.
  [[nodiscard]] receiver<void> done() const { return detail::chan_access::receiver_of<void>(detail::task_done(state_)); }
  /// Whether there is a task to join.
  [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

 private:
  void drop() noexcept {
    if (state_) detail::task_detach(std::exchange(state_, nullptr));
  }
  explicit task(detail::task_base* s) noexcept : state_(s) {}
  friend detail::task_access;
  template <class F, class... Args>
  friend auto async(F&& f, Args&&... args) -> task<std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>>;
  detail::task_base* state_ = nullptr;
};

/// Starts f(args...) as a goroutine whose result can be joined. Arguments as for go().
/// Parks: no.    Threads: any (before run() and on plain threads it is queued like go()).    Allocates: a block of the
/// processor's cache.    Example: examples/pipeline.cpp
template <class F, class... Args>
[[gnu::always_inline]] inline auto async(F&& f, Args&&... args) -> task<std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>> {
  using state = detail::task_state<std::decay_t<F>, std::decay_t<Args>...>;
  void* memory = detail::task_alloc(sizeof(state), alignof(state));
  state* s;
  try {
    s = ::new (memory) state(std::forward<F>(f), std::forward<Args>(args)...);
  } catch (...) {
    detail::task_free(memory, sizeof(state), alignof(state));
    throw;
  }
  detail::task_start(s);
  return task<std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>>(s);
}

namespace detail {

/// The task inside a handle.
struct task_access {
  template <class T>
  static task_base* state(const task<T>& t) noexcept {
    return t.state_;
  }
};

}  // namespace detail

}  // namespace weft
