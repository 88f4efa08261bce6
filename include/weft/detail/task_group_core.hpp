// detail/task_group_core.hpp: the untyped task_group, as src/task/task_group.cpp implements it.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>
#include <weft/detail/task_core.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft {
class context;
}

namespace weft::detail {

struct group_scope;

/// Counts children that have not ended. What the goroutine that made the group starts and runs itself it counts in `own`, without a
/// locked instruction; all that others do is counted under the lock.
struct task_group_core {
  std::atomic<std::uint64_t> owner{0};  // the goroutine that may use `own`; 0: none
  std::int64_t own = 0;                 // started by the owner, less those that it has run itself
  std::atomic<bool> waiting{false};     // the owner is in a wait
  std::atomic<bool> shared{false};      // others have counted since the last wait
  std::atomic<std::uint32_t> lock{0};
  std::int64_t others = 0;  // guarded by lock, as all below; may be negative: own + others are alive
  int limit = 0;            // of children at once; 0: none
  wait_list done_waiters;   // the owner, in a wait
  wait_list slot_waiters;   // who wants to start one and may not yet
  std::exception_ptr error;
  done_core done;  // the group is cancelled
  std::atomic<group_scope*> scope{nullptr};  // its context, once somebody asks for it; changed under lock
};

WEFT_API void group_open(task_group_core& c) noexcept;
/// The same, under a parent.
WEFT_API void group_open(task_group_core& c, const context& parent);
WEFT_API const context& group_context(task_group_core& c);
WEFT_API bool group_is_cancelled(const task_group_core& c) noexcept;
/// Cancels, waits, and makes an exception that nobody saw a panic.
WEFT_API void group_close(task_group_core& c) noexcept;
/// Counts one more child; at the limit, waits or gives false.
enum class at_limit : std::uint8_t { wait, refuse };
WEFT_API bool group_enter(task_group_core& c, at_limit what);
/// A child has ended, or was not started after all.
WEFT_API void group_leave(task_group_core& c) noexcept;
/// Keeps the first, cancels the rest.
WEFT_API void group_fail(task_group_core& c, std::exception_ptr e) noexcept;
WEFT_API void group_cancel(task_group_core& c) noexcept;
WEFT_API void group_limit(task_group_core& c, int limit);
/// Waits for all children. The exception stays in c.error.
WEFT_API wait_end group_wait(task_group_core& c, const wait_limit& limit);

/// A child. Nobody has a handle to it: who ran it destroys it.
template <class F, class... Args>
struct group_child final : task_base {
  template <class G, class... As>
  explicit group_child(task_group_core& c, G&& g, As&&... as)
      : task_base(&call, &destroy_this, sizeof(group_child), alignof(group_child), c), work(std::forward<G>(g), std::forward<As>(as)...) {}

  static void call(task_base* self) {
    std::apply([](auto& f, auto&... a) { static_cast<void>(std::invoke(std::move(f), std::move(a)...)); }, static_cast<group_child*>(self)->work);
  }
  static void destroy_this(task_base* self) noexcept { static_cast<group_child*>(self)->~group_child(); }

  std::tuple<F, Args...> work;
};

}  // namespace weft::detail
