// task_group.hpp: goroutines that end before their scope does.
// Children that have not started are kept newest first, as async()'s tasks are: wait() runs them on the spot, in order of their
// newness, and idle processors take the oldest. The first exception that leaves a child cancels the group, and wait() rethrows it.
// Source of the idea: Go's errgroup, and structured concurrency's scopes.
#pragma once

#include <chrono>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

#include <weft/context.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/task_group_core.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

struct task_group_options {
  /// How many children may be alive at once; 0: any number. At the limit go() waits, and runs children that have not started.
  int limit = 0;
};

/// Belongs to the goroutine that made it, which alone waits, sets limits and destroys it; it may be handed to another one as any
/// object may, and who has handed it on uses it no more. go(), try_go() and cancel() may be called by others at the same time,
/// children above all. Neither copied nor moved.
class task_group {
 public:
  task_group() noexcept { detail::group_open(core_); }
  explicit task_group(const task_group_options& options) : task_group() { set_limit(options.limit); }
  /// Cancelled when parent is done.
  explicit task_group(const weft::context& parent, const task_group_options& options = {}) {
    detail::group_open(core_, parent);
    set_limit(options.limit);
  }
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;
  /// Cancels the group and waits for its children. An exception that no wait() has rethrown is a panic then; but not while another one
  /// leaves the scope, nor a std::system_error of errc::canceled, which is an answer to the cancellation.
  /// Parks: yes.    Threads: any.    Allocates: no.
  ~task_group() { detail::group_close(core_); }

  /// Starts f(args...) as a goroutine of the group; what it returns is dropped. Arguments as for weft::go(). A cancelled group
  /// still starts children: they see that it is cancelled.
  /// Parks: only at the limit.    Threads: any.    Allocates: a block of the processor's cache.
  /// Example: examples/structured.cpp
  template <class F, class... Args>
  [[gnu::always_inline]] inline void go(F&& f, Args&&... args) {
    start<detail::at_limit::wait>(std::forward<F>(f), std::forward<Args>(args)...);
  }
  /// The same, but false at the limit: then nothing is copied or moved.    Parks: no.    Threads: any.
  template <class F, class... Args>
  [[nodiscard, gnu::always_inline]] inline bool try_go(F&& f, Args&&... args) {
    return start<detail::at_limit::refuse>(std::forward<F>(f), std::forward<Args>(args)...);
  }

  /// Waits until every child has ended, also those that children start meanwhile, and runs those that have not started; then
  /// rethrows the first exception of a child. The group may be used again; once cancelled, it stays so.
  /// Throws panic when another wait() of the group is under way, as in a child.
  /// Parks: yes.    Threads: any.    Allocates: no.
  void wait() {
    static_cast<void>(detail::group_wait(core_, {}));
    if (WEFT_UNLIKELY(core_.error != nullptr)) std::rethrow_exception(std::exchange(core_.error, nullptr));
  }
  /// The same, at most for d: false when children are still alive then; they go on.
  template <class Rep, class Period>
  [[nodiscard]] bool wait_for(std::chrono::duration<Rep, Period> d) {
    if (detail::group_wait(core_, {.deadline = detail::deadline_after_ns(detail::to_ns(d))}) != detail::wait_end::woken) return false;
    if (core_.error) std::rethrow_exception(std::exchange(core_.error, nullptr));
    return true;
  }

  /// The same, until ctx is done: then errc::canceled or errc::deadline_exceeded.
  result<void> wait(const weft::context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (detail::is_over(limit) || detail::group_wait(core_, limit) != detail::wait_end::woken) return detail::err_of(ctx);
    if (core_.error) std::rethrow_exception(std::exchange(core_.error, nullptr));
    return {};
  }

  /// Done when the group is cancelled, and at its end: for what children wait with.
  /// Parks: no.    Threads: any.    Allocates: the first time, without a parent.
  [[nodiscard]] const weft::context& context() { return detail::group_context(core_); }
  /// Tells the children to end: what they do about it is theirs.    Parks: no.    Threads: any.    Allocates: no.
  void cancel() noexcept { detail::group_cancel(core_); }
  /// Whether a child has failed, somebody has called cancel(), or the parent is done.
  [[nodiscard]] bool cancelled() const noexcept { return detail::group_is_cancelled(core_); }

  /// As task_group_options::limit. Throws std::invalid_argument below 0, panic while children are alive.
  void set_limit(int n) { detail::group_limit(core_, n); }

 private:
  template <detail::at_limit What, class F, class... Args>
  [[gnu::always_inline]] inline bool start(F&& f, Args&&... args) {
    using child = detail::group_child<std::decay_t<F>, std::decay_t<Args>...>;
    static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>, "weft::task_group: f cannot be called with these arguments");
    if (!detail::group_enter(core_, What)) return false;
    struct undo {
      detail::task_group_core* c;
      void* memory;
      ~undo() {
        if (!c) return;
        if (memory) detail::task_free(memory, sizeof(child), alignof(child));
        detail::group_leave(*c);
      }
    } guard{&core_, nullptr};
    guard.memory = detail::task_alloc(sizeof(child), alignof(child));
    auto* t = ::new (guard.memory) child(core_, std::forward<F>(f), std::forward<Args>(args)...);
    guard.c = nullptr;
    detail::task_start(t);
    return true;
  }

  detail::task_group_core core_;
};

}  // namespace weft
