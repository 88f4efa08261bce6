// detail/function_core.hpp: a function that is to run in a goroutine of its own later: after_func()'s, as src/time/function.cpp
// keeps it. Shared by its handles, by a timer that it waits for, and by the goroutine that runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>
#include <weft/go.hpp>

namespace weft::detail {

struct function_core;

struct function_ops {
  void (*call)(void* f);
  void (*destroy)(void* f) noexcept;
};
struct new_function {
  function_core* core;
  void* place;  // room for f
};
WEFT_API new_function function_alloc(std::size_t size, std::size_t align, const function_ops* ops);  // bad_alloc
WEFT_API void function_free(function_core* f) noexcept;  // nothing was built there
WEFT_API void function_add_ref(function_core* f) noexcept;
WEFT_API void function_release(function_core* f) noexcept;
/// Runs it at `when` (ns on the monotonic clock) instead of when it was to; whether it was to. `never`: only stops it.
WEFT_API bool function_set(function_core* f, std::int64_t when) noexcept;

template <class F>
inline constexpr function_ops function_ops_of = {[](void* f) { static_cast<void>((*static_cast<F*>(f))()); },
                                                 [](void* f) noexcept { std::destroy_at(static_cast<F*>(f)); }};

template <class F>
function_core* make_function(F&& f) {
  using held = std::decay_t<F>;
  static_assert(std::is_invocable_v<held&>, "after_func: f cannot be called without arguments");
  if constexpr (can_be_nil<held> && !std::is_function_v<std::remove_reference_t<F>>)
    if (WEFT_UNLIKELY(f == nullptr)) go_of_nil();
  const new_function made = function_alloc(sizeof(held), alignof(held), &function_ops_of<held>);
  struct undo {
    function_core* core;
    ~undo() {
      if (core) function_free(core);
    }
  } guard{made.core};
  ::new (made.place) held(std::forward<F>(f));
  return std::exchange(guard.core, nullptr);
}

/// A counted reference.
class function_ref {
 public:
  constexpr function_ref() noexcept = default;
  explicit function_ref(function_core* f) noexcept : core_(f) {}
  function_ref(const function_ref& o) noexcept : core_(o.core_) {
    if (core_) function_add_ref(core_);
  }
  function_ref(function_ref&& o) noexcept : core_(std::exchange(o.core_, nullptr)) {}
  function_ref& operator=(function_ref o) noexcept {
    std::swap(core_, o.core_);
    return *this;
  }
  ~function_ref() {
    if (core_) function_release(core_);
  }
  [[nodiscard]] function_core* get() const noexcept { return core_; }
  [[nodiscard]] function_core* release() noexcept { return std::exchange(core_, nullptr); }

 private:
  function_core* core_ = nullptr;
};

}  // namespace weft::detail
