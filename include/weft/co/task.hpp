// co/task.hpp: C++20 coroutines run by weft's scheduler, beside goroutines and on the same channels and locks.
// A co::task<T> is a coroutine that has not started. co_await runs it as a call; co::go() starts it as a goroutine without
// a stack; co::fork() starts it beside the caller, to be awaited later; join() runs it and blocks a goroutine or thread.
// A coroutine that waits costs its frame, 100 to 200 bytes, where a goroutine costs a page.
// In its body it may also call whatever blocks a goroutine: then that costs a stack for the time.
// Coroutines have no virtual time: go(), fork() and join() in a bubble (<weft/test/bubble.hpp>) are a fatal error.
// docs/guide/coroutines.md
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/co_core.hpp>
#include <weft/detail/config.hpp>

namespace weft::co {

template <class T>
class task;
template <class T>
class forked;

}  // namespace weft::co

namespace weft::detail {

struct co_promise_base : co_frame {
  static void* operator new(std::size_t size) { return co_alloc(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { co_free(memory, size); }
  static std::suspend_always initial_suspend() noexcept { return {}; }
  static co_final final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept {
    const std::uintptr_t next = after.load(std::memory_order_relaxed);
    if (next == dropped || next == counted) co_panic();
    error = std::current_exception();
  }
  void check() {
    if (WEFT_UNLIKELY(error != nullptr)) std::rethrow_exception(std::exchange(error, nullptr));
  }
};

template <class T>
struct co_promise final : co_promise_base {
  static_assert(std::is_object_v<T>, "co::task<T>: T is no object type; return a pointer or std::ref");
  co_promise() noexcept { sp = handle().address(); }
  std::coroutine_handle<co_promise> handle() noexcept { return std::coroutine_handle<co_promise>::from_promise(*this); }
  co::task<T> get_return_object() noexcept;
  template <class V = T>
    requires std::is_constructible_v<T, V&&>
  void return_value(V&& v) {
    value.emplace(std::forward<V>(v));
  }
  T take() {
    check();
    return *std::move(value);
  }
  std::optional<T> value;
};

template <>
struct co_promise<void> final : co_promise_base {
  co_promise() noexcept { sp = handle().address(); }
  std::coroutine_handle<co_promise> handle() noexcept { return std::coroutine_handle<co_promise>::from_promise(*this); }
  co::task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void take() { check(); }
};

/// The frame of a coroutine that has ended goes when its result has been taken.
template <class T>
struct co_owner {
  co_promise<T>* p;
  ~co_owner() { p->handle().destroy(); }
};

/// co_await of a task: a call.
template <class T>
class [[nodiscard]] co_call {
 public:
  co_call() noexcept = default;
  explicit co_call(co_promise<T>* p) noexcept : p_(p) {}
  co_call(co_call&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  co_call& operator=(co_call&& o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~co_call() {
    if (p_) p_->handle().destroy();
  }
  bool await_ready() const {
    if (WEFT_UNLIKELY(!p_)) co_await_of_nothing();
    return false;
  }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> caller) noexcept {
    return co_run(*p_, caller.promise());
  }
  T await_resume() { return p_->take(); }
  [[nodiscard]] bool has_begun() const noexcept { return p_ != nullptr; }

 private:
  co_promise<T>* p_ = nullptr;
};

/// co_await of a fork: a call if nobody has started it yet.
template <class T>
class [[nodiscard]] co_join_fork {
 public:
  explicit co_join_fork(co_promise<T>* p) noexcept : p_(p) {}
  co_join_fork(const co_join_fork&) = delete;
  ~co_join_fork() {
    if (p_) co_drop(p_);
  }
  bool await_ready() const {
    if (WEFT_UNLIKELY(!p_)) co_await_of_nothing();
    return p_->after.load(std::memory_order_acquire) == co_frame::done;  // [mo:co.after]
  }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> caller) noexcept {
    if (WEFT_LIKELY(co_take(p_))) return co_run(*p_, caller.promise());
    return co_wait(*p_, caller.promise());
  }
  T await_resume() {
    const co_owner<T> owner{std::exchange(p_, nullptr)};
    return owner.p->take();
  }

 private:
  co_promise<T>* p_;
};

}  // namespace weft::detail

namespace weft::co {

/// A coroutine that has not started, with its result; move-only. One that is never run is destroyed with its arguments.
/// A coroutine's parameters are copied or moved into it; a reference, or the captures of a lambda that is a coroutine, must
/// outlive it: go(f, args...) and fork(f, args...) keep both.
template <class T = void>
class [[nodiscard]] task {
 public:
  using promise_type = detail::co_promise<T>;
  task() noexcept = default;
  task(task&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  task& operator=(task&& o) noexcept {
    task old(std::move(*this));
    p_ = std::exchange(o.p_, nullptr);
    return *this;
  }
  ~task() {
    if (p_) p_->handle().destroy();
  }

  /// Runs it and gives what it returns, or throws what it throws. Once only; afterwards the task is empty.
  detail::co_call<T> operator co_await() && noexcept { return detail::co_call<T>(release()); }
  /// The same for a goroutine or a thread, which waits. Throws std::logic_error when the task is empty.
  /// Parks: yes.    Threads: any.    Allocates: no.
  T join() {
    if (!p_) detail::co_await_of_nothing();
    const detail::co_owner<T> owner{release()};
    detail::co_join(owner.p, detail::co_origin::fresh);
    return owner.p->take();
  }
  /// Whether there is a coroutine to run.
  [[nodiscard]] bool valid() const noexcept { return p_ != nullptr; }

 private:
  friend promise_type;
  template <class U>
  friend forked<U> fork(task<U> t);
  template <class U>
  friend void go(task<U> t);
  explicit task(promise_type* p) noexcept : p_(p) {}
  promise_type* release() noexcept { return std::exchange(p_, nullptr); }
  promise_type* p_ = nullptr;
};

/// A coroutine that was started by fork(); move-only. Dropped without a join it goes on alone, and an exception of it is then a panic.
template <class T>
class [[nodiscard]] forked {
 public:
  forked() noexcept = default;
  forked(forked&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  forked& operator=(forked&& o) noexcept {
    forked old(std::move(*this));
    p_ = std::exchange(o.p_, nullptr);
    return *this;
  }
  ~forked() {
    if (p_) detail::co_drop(p_);
  }

  /// Waits for it and gives what it returned, or throws what it threw. Once only; afterwards the handle is empty.
  detail::co_join_fork<T> operator co_await() noexcept { return detail::co_join_fork<T>(std::exchange(p_, nullptr)); }
  /// The same for a goroutine or a thread.    Parks: yes.    Threads: any.    Allocates: no.
  T join() {
    if (!p_) detail::co_await_of_nothing();
    detail::co_join(p_, detail::co_origin::forked);
    const detail::co_owner<T> owner{std::exchange(p_, nullptr)};
    return owner.p->take();
  }
  /// Whether a join would find it ended.
  [[nodiscard]] bool is_done() const noexcept { return !p_ || p_->after.load(std::memory_order_acquire) == detail::co_frame::done; }  // [mo:co.after]
  /// Whether there is a coroutine to wait for.
  [[nodiscard]] bool valid() const noexcept { return p_ != nullptr; }

 private:
  template <class U>
  friend forked<U> fork(task<U> t);
  explicit forked(detail::co_promise<T>* p) noexcept : p_(p) {}
  detail::co_promise<T>* p_ = nullptr;
};

/// Starts t as a goroutine without a stack: weft::goroutines() counts it, and an exception that leaves it ends the process
/// (`panic: ...`, status 2). What it returns is dropped. Throws std::logic_error when t is empty.
/// Parks: no, but lets others run when the caller's time slice of 10 ms is used up.    Threads: any.    Allocates: no.
template <class T>
void go(task<T> t) {
  if (!t.valid()) detail::co_await_of_nothing();
  detail::co_start(t.release());
}
/// Starts t beside the caller. It lies with its processor, newest first: who awaits it before anybody has started it runs it
/// as a call; idle processors take the oldest. So a tree of forks keeps as much alive as it is deep (design D12).
/// Parks: no.    Threads: any.    Allocates: no.
template <class T>
forked<T> fork(task<T> t) {
  if (!t.valid()) detail::co_await_of_nothing();
  forked<T> f(t.release());
  detail::co_fork(f.p_);
  return f;
}

template <class X>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;
/// What makes a task when it is called with Args.
template <class F, class... Args>
concept coroutine_function = std::is_invocable_v<std::decay_t<F>&, std::decay_t<Args>...> && is_task<std::invoke_result_t<std::decay_t<F>&, std::decay_t<Args>...>>;

/// The coroutine f(args...), with f and args kept in it: what a lambda has captured lives as long as the coroutine.
template <class F, class... Args>
  requires coroutine_function<F, Args...>
auto call(F f, Args... args) -> std::invoke_result_t<F&, Args...> {
  co_return co_await std::invoke(f, std::move(args)...);
}
/// go() of f(args...), both decay-copied into the coroutine.    Allocates: a second frame.
template <class F, class... Args>
  requires coroutine_function<F, Args...>
void go(F&& f, Args&&... args) {
  go(call<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(f), std::forward<Args>(args)...));
}
/// fork() of f(args...), both decay-copied into the coroutine.    Allocates: a second frame.
template <class F, class... Args>
  requires coroutine_function<F, Args...>
auto fork(F&& f, Args&&... args) {
  return fork(call<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(f), std::forward<Args>(args)...));
}

}  // namespace weft::co

template <class T>
weft::co::task<T> weft::detail::co_promise<T>::get_return_object() noexcept {
  return co::task<T>(this);
}
inline weft::co::task<void> weft::detail::co_promise<void>::get_return_object() noexcept { return co::task<void>(this); }
