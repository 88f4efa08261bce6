// go.hpp: starting a goroutine.
// The function and its arguments are copied or moved into the new goroutine's record (up to 64 bytes) or onto its own stack, in
// the calling goroutine; nothing is allocated once the processor's caches are warm. Source of the idea: Go's `go` statement (proc.go, newproc).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>

namespace weft {

/// What may be chosen for one goroutine.
/// Background goroutines run when nothing else can, but at least one, on some processor, 10 to 40 ms after the last one's
/// turn, by how long that was: none is starved.
enum class go_priority : unsigned char { normal, background };

struct go_options {
  // What changes behaviour:
  const char* name = nullptr;   ///< shown in dumps; the characters are not copied and must live as long as the goroutine
  bool fp_environment = false;  ///< MXCSR and x87 control word (FPCR) travel with it; else they are the thread's
  go_priority priority = go_priority::normal;
  // What changes only cost:
  std::size_t stack_size = 0;   ///< bytes of address space, rounded up to a power of two, at least 64 KiB; 0: run_options'
};

struct g;  // src/goroutine/g.hpp

namespace detail {

struct new_goroutine {
  g* gp;
  void* closure;  // room for it
};
/// Takes a goroutine and its stack from the caches. Fatal when there is no memory for it.
WEFT_API new_goroutine go_begin(std::size_t closure_size, std::size_t closure_align, const go_options* options);
/// Makes it runnable: it will call run(closure) on its own stack; run destroys the closure when f has run, or only that: see below.
WEFT_API void go_commit(g* gp, void (*run)(void*)) noexcept;
/// Whether the closure is only to be destroyed, since the world is unwound before it has run: said by a bit of its address, which
/// this takes away.
inline bool closure_is_to_be_dropped(void*& closure) noexcept {
  auto address = reinterpret_cast<std::uintptr_t>(closure);
  closure = reinterpret_cast<void*>(address & ~std::uintptr_t{1});
  return (address & 1) != 0;
}
/// Gives it back: its closure could not be built.
WEFT_API void go_abandon(g* gp) noexcept;
[[noreturn]] WEFT_API void go_of_nil();

template <class F, class... Args>
struct closure {
  [[no_unique_address]] F f;
  [[no_unique_address]] std::tuple<Args...> args;

  // The frame between weft and the user: no catch and no noexcept, so that an exception nobody catches ends the
  // process with its stack still standing (design D8).
  static void run(void* self) {
    const bool only_drop = closure_is_to_be_dropped(self);
    struct owner {  // destroyed on the goroutine, before it counts as gone (SCHED-27)
      closure* c;
      ~owner() { std::destroy_at(c); }
    } own{static_cast<closure*>(self)};
    if (WEFT_UNLIKELY(only_drop)) return;
    std::apply([&](auto&... a) { static_cast<void>(std::invoke(std::move(own.c->f), std::move(a)...)); }, own.c->args);
  }
};

/// Pointers and std::function's like.
template <class F>
inline constexpr bool can_be_nil = std::is_pointer_v<F> || std::is_member_pointer_v<F> || requires(const F& f) {
  static_cast<bool>(f);
  { f == nullptr } -> std::convertible_to<bool>;
};

// Inlined, as go() is, so that the return address of go_begin() is in the function that calls go(): dumps say where.
template <class F, class... Args>
[[gnu::always_inline]] inline void start(const go_options* options, F&& f, Args&&... args) {
  using closure_type = closure<std::decay_t<F>, std::decay_t<Args>...>;
  static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>, "weft::go: f cannot be called with these arguments");
  if constexpr (can_be_nil<std::decay_t<F>> && !std::is_function_v<std::remove_reference_t<F>>)
    if (WEFT_UNLIKELY(f == nullptr)) go_of_nil();
  const new_goroutine made = go_begin(sizeof(closure_type), alignof(closure_type), options);
  if constexpr (std::is_nothrow_constructible_v<std::decay_t<F>, F> && (std::is_nothrow_constructible_v<std::decay_t<Args>, Args> && ...)) {
    ::new (made.closure) closure_type{std::forward<F>(f), std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)};
  } else {
    struct undo {
      g* gp;
      ~undo() {
        if (gp) go_abandon(gp);
      }
    } guard{made.gp};
    ::new (made.closure) closure_type{std::forward<F>(f), std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)};
    guard.gp = nullptr;
  }
  go_commit(made.gp, &closure_type::run);
}

}  // namespace detail

/// Starts a goroutine that calls f(args...) once; what it returns is dropped.
///
/// f and args are decay-copied now, by the caller; a copy that throws starts nothing. Use std::ref for a reference.
/// An exception that leaves f ends the process (`panic: ...`, status 2). An empty std::function or null pointer is
/// fatal ("go of nil func value"). Before run() it only queues.
/// Parks:     no, but lets others run when the caller's time slice of 10 ms is used up, or when it has started more than some 200 that
///            have not run yet.    Threads: any.
/// Allocates: no, once goroutines have ended on this processor.
/// Example:   examples/hello.cpp
template <class F, class... Args>
  requires(!std::is_same_v<std::remove_cvref_t<F>, go_options>)
[[gnu::always_inline]] inline void go(F&& f, Args&&... args) {
  detail::start(nullptr, std::forward<F>(f), std::forward<Args>(args)...);
}
/// The same with options.
template <class F, class... Args>
[[gnu::always_inline]] inline void go(const go_options& options, F&& f, Args&&... args) {
  detail::start(&options, std::forward<F>(f), std::forward<Args>(args)...);
}

}  // namespace weft
