// init.hpp: work that is done once before main, each piece after those that it depends on.
// A static constructor runs before there is a scheduler, in an order that nobody knows, and may not wait. An init task is a part of
// main's goroutine: it may open connections, start goroutines and wait for them.
//
//   WEFT_INIT(config) { ... }
//   WEFT_INIT(database, config) { ... }    // after config, which may be in another file or library
//
// A name is one name in the whole program, whatever namespace it is written in. A dependency that is nowhere is an error of the linker
// ("undefined reference to `weft_init_NAME'"), and so is a name that is there twice. A dependency in a static library is linked
// in because it is named; a task that nobody names is there when its object file is.
#pragma once

#include <weft/detail/config.hpp>

namespace weft::detail {

struct init_task {
  const char* name;
  void (*body)();
  init_task* const* needs;  // ends with null
  init_task* next = nullptr;
  enum class state : unsigned char { waiting, under_way, done } at = state::waiting;
};
/// Called by static constructors.
WEFT_API bool add_init_task(init_task& task) noexcept;

}  // namespace weft::detail

/// WEFT_INIT(name, deps...) { body }  at namespace scope: at the start of the first run() the body runs on main's goroutine, before
/// main's function and after the bodies of deps, else in the order in which static constructors ran (within a file from top to
/// bottom). One that is loaded later with a library runs at the start of the next run().
/// An exception that leaves it is a panic. A cycle of dependencies is a fatal error that names it.
/// WEFT_DEBUG=inittrace=1 prints a line for each: when it began, how long it took.
#define WEFT_INIT(name, ...)                                                                                              \
  extern "C" WEFT_API ::weft::detail::init_task weft_init_##name;                                                         \
  WEFT_INIT_DECLARE(__VA_ARGS__)                                                                                          \
  static void weft_init_body_of_##name();                                                                                 \
  static ::weft::detail::init_task* const weft_init_needs_of_##name[] = {WEFT_INIT_ADDRESS(__VA_ARGS__) nullptr};         \
  constinit ::weft::detail::init_task weft_init_##name{#name, &weft_init_body_of_##name, weft_init_needs_of_##name};      \
  [[maybe_unused]] static const bool weft_init_added_##name = ::weft::detail::add_init_task(weft_init_##name);            \
  static void weft_init_body_of_##name()

// For each of up to 16 dependencies.
#define WEFT_INIT_DECLARE(...) WEFT_INIT_EACH(WEFT_INIT_DECLARE_ONE, __VA_ARGS__)
#define WEFT_INIT_ADDRESS(...) WEFT_INIT_EACH(WEFT_INIT_ADDRESS_ONE, __VA_ARGS__)
#define WEFT_INIT_DECLARE_ONE(name) extern "C" WEFT_API ::weft::detail::init_task weft_init_##name;
#define WEFT_INIT_ADDRESS_ONE(name) &weft_init_##name,
#define WEFT_INIT_EACH(macro, ...) __VA_OPT__(WEFT_INIT_EXPAND(WEFT_INIT_EACH_STEP(macro, __VA_ARGS__)))
#define WEFT_INIT_EACH_STEP(macro, first, ...) macro(first) __VA_OPT__(WEFT_INIT_EACH_AGAIN WEFT_INIT_PARENS(macro, __VA_ARGS__))
#define WEFT_INIT_EACH_AGAIN() WEFT_INIT_EACH_STEP
#define WEFT_INIT_PARENS ()
#define WEFT_INIT_EXPAND(...) WEFT_INIT_EXPAND4(WEFT_INIT_EXPAND4(__VA_ARGS__))
#define WEFT_INIT_EXPAND4(...) WEFT_INIT_EXPAND2(WEFT_INIT_EXPAND2(__VA_ARGS__))
#define WEFT_INIT_EXPAND2(...) WEFT_INIT_EXPAND1(WEFT_INIT_EXPAND1(__VA_ARGS__))
#define WEFT_INIT_EXPAND1(...) WEFT_INIT_EXPAND0(WEFT_INIT_EXPAND0(__VA_ARGS__))
#define WEFT_INIT_EXPAND0(...) __VA_ARGS__
