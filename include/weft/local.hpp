// local.hpp: a variable of which each goroutine has its own: what thread_local is for threads. (A thread_local itself is shared by
// all goroutines that happen to run on its thread, and its address must not be kept over anything that may switch.)
#pragma once

#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>

namespace weft {

namespace detail {

/// One goroutine's value: on a list of those that it has, newest first.
struct local_node {
  local_node* older = nullptr;
  std::uint64_t key = 0;
  void (*destroy)(local_node*) = nullptr;
};
WEFT_API std::uint64_t local_key() noexcept;  // never the same twice
/// The calling goroutine's (or thread's), or null.
WEFT_API local_node* local_find(std::uint64_t key) noexcept;
WEFT_API void local_add(local_node* n) noexcept;
/// Takes it off the list, for who destroys it; null when there is none.
WEFT_API local_node* local_take(std::uint64_t key) noexcept;

}  // namespace detail

/// A goroutine's value is made when the goroutine first asks for it, and lives until the goroutine's end: then it is destroyed on its
/// stack, after the goroutine's function and what that captured, the newest first; a destructor may park, and may use other locals (one
/// that is gone already is made anew). Goroutines inherit nothing: hand a value on as an argument, or in a context. A task that
/// join() runs on the joiner's stack has values of its own. A plain thread has its own too, until the thread ends.
/// Of a local that is itself destroyed, values that goroutines still have live on until their end.
template <class T>
class local {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>, "weft::local<T>: T must be a plain object type");

 public:
  /// Values start as T().
  local()
    requires std::is_default_constructible_v<T>
  = default;
  /// Values start as what make() returns; it is called by several goroutines at once.
  template <class F>
    requires std::is_invocable_r_v<T, const F&>
  explicit local(F make) : make_(std::move(make)) {}
  local(const local&) = delete;
  local& operator=(const local&) = delete;

  /// This goroutine's value. The reference is good until the goroutine ends or calls reset(), over parks too.
  /// Parks: no, but make() may.    Threads: any.    Allocates: the first time in each goroutine.
  T& operator*() {
    if (detail::local_node* n = detail::local_find(key_); WEFT_LIKELY(n != nullptr)) return static_cast<node*>(n)->value;
    return make_value();
  }
  T* operator->() { return &**this; }
  /// Whether this goroutine has a value now.
  [[nodiscard]] bool has_value() const noexcept { return detail::local_find(key_) != nullptr; }
  /// Destroys this goroutine's value, if it has one.
  void reset() {
    if (detail::local_node* n = detail::local_take(key_)) n->destroy(n);
  }

 private:
  struct node : detail::local_node {
    explicit node(const std::function<T()>& make) : value(make()) {}
    node() : value() {}
    T value;
  };

  WEFT_COLD T& make_value() {
    node* n;
    if constexpr (std::is_default_constructible_v<T>) n = make_ ? new node(make_) : new node();
    else n = new node(make_);
    n->key = key_;
    n->destroy = [](detail::local_node* mine) { delete static_cast<node*>(mine); };
    detail::local_add(n);
    return n->value;
  }

  std::uint64_t key_ = detail::local_key();
  std::function<T()> make_;
};

}  // namespace weft
