// model/explorer.hpp: runs a small program of a few threads in every order that its bounds allow, over weft's own headers and files.
//
//   MODEL(runq, never_looks_empty_while_it_holds_one) {       // the sentence that holds
//     runq q;                                                 // built by thread 0, alone
//     on_thread([&] { ... });                                 // begins at once, as far as the explorer likes
//     on_thread([&] { MODEL_CHECK(!q.empty()); });
//     join();                                                 // until all have ended
//   }
//   MUTANT(runq, and_would_without, {.weaken = "leave"}) {...}  // the same with something broken: passes when it fails
//
// The body runs once for each interleaving, from the start, and must do the same each time but for what the explorer decides:
// who goes on at each access of a weft::atomic, and which of the values that C++'s memory model allows a load reads.
// What it can and cannot find: README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace weft::model {

struct bounds {
  int preemptions = 2;  // how often a thread that could go on is stopped for another; waiting, and time running out, cost nothing
  int stale = 1;        // how many loads read another value than the newest
  std::uint64_t executions = 150'000;  // after so many it stops, and says so
  std::uint64_t walks = 0;  // then so many at random, without bounds, from a fixed seed
};

/// What a mutant breaks.
struct mutation {
  const char* weaken = nullptr;  // in functions whose name contains it, all orders are relaxed
  const char* late = nullptr;    // in functions whose name contains it, a count goes down only after the next release: of a lock, say
  bool no_barrier = false;       // the barrier on all threads does nothing
  bool no_fence = false;         // full_fence() does nothing
  int knob = 0;                  // for the model: see knob()
};

struct test {
  const char* suite;
  const char* name;
  void (*body)();
  bounds limits;
  bool mutant;
  mutation broken;
};
struct registration {
  registration(const test& t);
};

// In a body.
/// Starts a thread of the model; gives its number.
int on_thread(std::function<void()> f);
/// Waits until all others have ended. Time passes when nobody can go on otherwise.
void join();
/// Waits until nobody can go on, though `ns` pass. The others stay where they are, and are forgotten at the end.
void settle(std::int64_t ns = 0);
[[noreturn]] void fail(const std::string& why);
/// How the trace calls what lies there.
void name(const void* at, std::size_t size, std::string text);
template <class T>
void name(const T& object, std::string text) {
  name(&object, sizeof object, std::move(text));
}
/// The number of the running thread, from 0; -1 outside of a model.
int current() noexcept;
/// The number that the mutation gave, else 0: a model's own way to break itself.
int knob() noexcept;
/// For this execution: a variant of the same body.
void set_knob(int k) noexcept;
/// Sleeps while the word is `expected`, until somebody wakes it or `deadline`; false when that came.
bool wait(const void* word, std::uint32_t expected, std::int64_t deadline);
void wake(const void* word, int count);
void sleep_until(std::int64_t deadline);
std::int64_t now() noexcept;
/// How far time moves with each look at the clock; 0 at the start of each execution.
void set_tick(std::int64_t ns) noexcept;
/// A step that is no access of an atomic.
void system_call();
/// Called before each execution: puts back what the last one left in static variables. Atomics are accessed plainly.
void at_start(void (*f)());

#define MODEL_CHECK(cond)                                                                                              \
  do {                                                                                                                 \
    if (!(cond)) ::weft::model::fail("not so: " #cond " (line " + std::to_string(__LINE__) + ")");                     \
  } while (false)
#define WEFT_MODEL_TEST(id, suite, name, mutant, broken, ...)                                                          \
  static void id();                                                                                                    \
  static const ::weft::model::registration register_##id({#suite, #name, &id, ::weft::model::bounds{__VA_ARGS__}, mutant, broken}); \
  static void id()
/// MODEL(suite, name, bounds...)
#define MODEL(suite, name, ...) WEFT_MODEL_TEST(suite##_##name, suite, name, false, {}, __VA_ARGS__)
/// A body that takes part in a model and its mutants: SCENARIO(f) { ... } then MODEL_OF(suite, name, f), MUTANT_OF(...).
#define MODEL_OF(suite, name, body, ...) \
  MODEL(suite, name, __VA_ARGS__) { body(); }
#define MUTANT_OF(suite, name, body, ...)                                                                              \
  static void mutant_##suite##_##name() { body(); }                                                                    \
  static const ::weft::model::registration register_mutant_##suite##_##name(                                           \
      {#suite, #name, &mutant_##suite##_##name, ::weft::model::bounds{.executions = 50'000, .walks = 100'000}, true, ::weft::model::mutation{__VA_ARGS__}});

/// A plain variable of the model: a race on it is a failure.
class plain_state {
 public:
  void read(const char* what) const;
  void write(const char* what);

 private:
  mutable std::uint16_t reads_[8] = {};
  std::uint16_t wrote_at_ = 0;
  std::uint8_t writer_ = 0;
};
template <class T>
class plain {
 public:
  plain(T v = {}, const char* what = "a plain variable") : value_(v), what_(what) {}
  T get() const { return state_.read(what_), value_; }
  void set(T v) { state_.write(what_), value_ = v; }

 private:
  T value_;
  const char* what_;
  plain_state state_;
};

}  // namespace weft::model
