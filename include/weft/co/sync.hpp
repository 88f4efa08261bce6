// co/sync.hpp: what a coroutine waits for besides channels: a mutex, a wait group, a time, its turn, a task of async().
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <mutex>
#include <type_traits>
#include <utility>

#include <weft/async.hpp>
#include <weft/co/chan.hpp>
#include <weft/co/task.hpp>
#include <weft/detail/co_core.hpp>
#include <weft/detail/sudog.hpp>
#include <weft/detail/task_core.hpp>
#include <weft/mutex.hpp>
#include <weft/this_goroutine.hpp>
#include <weft/wait_group.hpp>

namespace weft::detail {

// Each of these gives true when r has to wait; then it is on its way elsewhere.
[[nodiscard]] WEFT_API bool co_yield_now(runnable& r) noexcept;
[[nodiscard]] WEFT_API bool co_sleep(timer_room& room, std::int64_t ns, runnable& r) noexcept;
[[nodiscard]] WEFT_API bool co_wait_semaphore(semaphore_core& core, sudog& s, runnable& r) noexcept;
/// The rest of a lock that was not free at once.
WEFT_API co::task<void> co_lock_slow(mutex& m);

struct [[nodiscard]] co_yielding {
  static bool await_ready() noexcept { return false; }
  template <co_promise_type P>
  static bool await_suspend(std::coroutine_handle<P> h) noexcept {
    return co_yield_now(h.promise());
  }
  static void await_resume() noexcept {}
};

class [[nodiscard]] co_sleeping {
 public:
  explicit co_sleeping(std::int64_t ns) noexcept : ns_(ns) {}
  [[nodiscard]] bool await_ready() const noexcept { return ns_ <= 0; }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) noexcept {
    return co_sleep(room_, ns_, h.promise());
  }
  static void await_resume() noexcept {}

 private:
  std::int64_t ns_;
  timer_room room_;
};

class [[nodiscard]] co_locking {
 public:
  explicit co_locking(mutex& m) noexcept : m_(m) {}
  [[nodiscard]] bool await_ready() const noexcept { return m_.try_lock(); }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) {
    slow_ = co_lock_slow(m_).operator co_await();
    return slow_.await_suspend(h);
  }
  std::unique_lock<mutex> await_resume() const noexcept { return {m_, std::adopt_lock}; }

 private:
  mutex& m_;
  co_call<void> slow_;
};

class [[nodiscard]] co_group_wait {
 public:
  explicit co_group_wait(wait_group& wg) noexcept : wg_(wg) {}
  [[nodiscard]] bool await_ready() noexcept { return !(waits_ = wg_.begin_wait()); }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) noexcept {
    return co_wait_semaphore(wg_.sema_, s_, h.promise());
  }
  void await_resume() {
    if (waits_) wg_.end_wait();
  }

 private:
  wait_group& wg_;
  sudog s_;
  bool waits_ = false;
};

class [[nodiscard]] co_task_wait {
 public:
  explicit co_task_wait(task_base* t) noexcept : t_(t) {}
  [[nodiscard]] bool await_ready() const { return task_run_or_start(t_); }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) noexcept {
    if (t_->state.load(std::memory_order_relaxed) & task_base::has_channel) return co_recv(t_->channel, nullptr, s_, h.promise());  // [mo:own] the handle's owner made it
    return task_await(t_, s_, h.promise());
  }

 protected:
  task_base* t_;

 private:
  sudog s_;
};
template <class T>
class [[nodiscard]] co_task_join : public co_task_wait {
 public:
  explicit co_task_join(task<T>& t) noexcept : co_task_wait(task_access::state(t)), task_(t) {}
  T await_resume() { return task_.join(); }  // at once: it is done

 private:
  task<T>& task_;
};

}  // namespace weft::detail

namespace weft::co {

/// co_await yield(): lets the others that are runnable on this processor go first.
inline detail::co_yielding yield() noexcept { return {}; }

/// co_await sleep_for(d): waits at least d on the monotonic clock; zero or less does not wait, duration::max() for ever.
template <class Rep, class Period>
detail::co_sleeping sleep_for(std::chrono::duration<Rep, Period> d) noexcept {
  return detail::co_sleeping(d > d.zero() ? detail::to_ns(d) : 0);
}
/// co_await sleep_until(t): the same until t on the monotonic clock.
inline detail::co_sleeping sleep_until(std::chrono::steady_clock::time_point t) noexcept { return sleep_for(detail::time_until(t)); }

/// auto guard = co_await lock(m): locks, waiting while it is held; the guard unlocks. The mutex belongs to no thread, so the
/// guard may be kept over a co_await.
inline detail::co_locking lock(mutex& m) noexcept { return detail::co_locking(m); }

/// co_await wait(wg): waits until the count is 0. Throws panic as wait_group::wait() does.
inline detail::co_group_wait wait(wait_group& wg) noexcept { return detail::co_group_wait(wg); }

/// co_await join(t): what the task of async() returned or threw. One that nobody has started runs right here, and what it waits
/// for then keeps a stack. Afterwards the handle is empty.
template <class T>
detail::co_task_join<T> join(weft::task<T>& t) noexcept {
  return detail::co_task_join<T>(t);
}

}  // namespace weft::co
