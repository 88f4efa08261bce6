// detail/task_core.hpp: the untyped task under async(), as src/task/task.cpp implements it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/detail/atomic.hpp>
#include <weft/detail/chan_core.hpp>
#include <weft/detail/config.hpp>

namespace weft {
struct runnable;
}

namespace weft::detail {

struct sudog;
struct task_base;
struct task_group_core;

WEFT_API void* task_alloc(std::size_t size, std::size_t align);
WEFT_API void task_free(void* memory, std::size_t size, std::size_t align) noexcept;
WEFT_API void task_start(task_base* t) noexcept;
WEFT_API void task_join(task_base* t);
/// One that nobody has started: runs it here, where there is room, or starts it. True when it is done.
WEFT_API bool task_run_or_start(task_base* t);
/// For a coroutine, with s in its frame: true when it has to wait, and then r is on its way elsewhere.
WEFT_API bool task_await(task_base* t, sudog& s, runnable& r) noexcept;
WEFT_API bool task_is_done(const task_base* t) noexcept;
WEFT_API chan_ref task_done(task_base* t);
WEFT_API void task_detach(task_base* t) noexcept;
WEFT_API void task_unref(task_base* t) noexcept;

/// One task: shared by its handle and by whoever runs it; the last of the two destroys it. A group's child has no handle.
struct task_base {
  using run_fn = void (*)(task_base*);
  using destroy_fn = void (*)(task_base*) noexcept;
  task_base(run_fn r, destroy_fn d, std::uint32_t bytes, std::uint32_t alignment) noexcept : run(r), destroy(d), size(bytes), align(alignment) {}
  task_base(run_fn r, destroy_fn d, std::uint32_t bytes, std::uint32_t alignment, task_group_core& g) noexcept
      : state(in_group), refs(1), run(r), destroy(d), size(bytes), align(alignment), group(&g) {}

  static constexpr std::uint32_t in_group = 32, has_channel = 64;
  atomic<std::uint32_t> state{0};  // these, and the bits of src/task/task.hpp
  atomic<std::uint32_t> refs{2};   // the handle, and who runs it
  atomic<void*> home{nullptr};     // the list of unstarted tasks that it is on
  task_base* older = nullptr;           // on that list
  task_base* newer = nullptr;
  run_fn run;  // calls the function; stores what it returned
  destroy_fn destroy;
  std::uint32_t size, align;
  std::uint64_t creator = 0;
  const void* created_at = nullptr;  // the return address of async()'s call
  std::exception_ptr error;
  union {
    sudog* waiter = nullptr;
    task_group_core* group;  // in_group
    chan_core* channel;      // has_channel: closed when it is done
  };
};

struct task_release {
  task_base* t;
  ~task_release() {
    if (t) task_unref(t);
  }
};

template <class T>
struct task_result : task_base {
  using task_base::task_base;
  std::optional<T> value;
};
template <>
struct task_result<void> : task_base {
  using task_base::task_base;
};

template <class F, class... Args>
struct task_state final : task_result<std::invoke_result_t<F, Args...>> {
  using result_type = std::invoke_result_t<F, Args...>;
  static_assert(!std::is_reference_v<result_type>, "weft::async: f returns a reference; return a pointer or std::ref");

  template <class G, class... As>
  explicit task_state(G&& g, As&&... as)
      : task_result<result_type>(&call, &destroy_this, sizeof(task_state), alignof(task_state)), work(std::in_place, std::forward<G>(g), std::forward<As>(as)...) {}

  static void call(task_base* self) {
    auto* s = static_cast<task_state*>(self);
    struct drop_work {  // what the task captured is gone before join() can return, whichever way it ends
      task_state* s;
      ~drop_work() { s->work.reset(); }
    } drop{s};
    std::apply(
        [&](auto& f, auto&... a) {
          if constexpr (std::is_void_v<result_type>) std::invoke(std::move(f), std::move(a)...);
          else s->value.emplace(std::invoke(std::move(f), std::move(a)...));
        },
        *s->work);
  }
  static void destroy_this(task_base* self) noexcept { static_cast<task_state*>(self)->~task_state(); }

  std::optional<std::tuple<F, Args...>> work;
};

}  // namespace weft::detail
