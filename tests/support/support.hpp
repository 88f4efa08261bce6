// support/support.hpp: what weft's tests share.
// WEFT_TEST runs its body as goroutine 1 and then sees to it that no goroutine and no descriptor is left behind. WEFT_CHILD
// names a scenario that child() runs in a process of its own, for what ends a process, or parks goroutines for ever.
// Environment: WEFT_TEST_SEED (of the random tests), WEFT_TEST_QUICK (smaller counts), WEFT_TEST_TIME_SCALE (longer limits),
// WEFT_TEST_CHILD (the scenario to be: main() looks at it first).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <weft/weft.hpp>

#if defined(__SANITIZE_THREAD__)
#define WEFT_TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TEST_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEFT_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_TEST_ASAN 1
#endif
#endif

namespace weft::test {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

#ifdef WEFT_TEST_TSAN
inline constexpr bool under_tsan = true;
#else
inline constexpr bool under_tsan = false;
#endif
#ifdef WEFT_TEST_ASAN
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif
inline constexpr bool under_sanitizer = under_tsan || under_asan;
inline const bool under_emulator = std::getenv("WEFT_TEST_EMULATOR") != nullptr;
/// WEFT_DEBUG=chaos=SEED: who is woken seldom runs next, and the scheduler itself is busy.
inline const bool under_chaos = [] {
  const char* debug = std::getenv("WEFT_DEBUG");
  return debug && std::string_view(debug).find("chaos") != std::string_view::npos;
}();

/// Fewer of a thing where each costs more: under sanitizers, and when WEFT_TEST_QUICK is set. Never below `least`.
int scale(int n, int least = 1);
/// The same for goroutines that are alive at once, of which ThreadSanitizer knows only so many.
int scale_alive(int n);
/// A limit in time, stretched by WEFT_TEST_TIME_SCALE. For upper bounds only.
steady::duration limit(steady::duration d);
/// How many processors the environment asks for; 0 when it does not say.
int procs_asked();

/// Waits, giving way to others, until pred() holds; false when it still does not after `within`. Any thread.
template <class Pred>
[[nodiscard]] bool eventually(Pred pred, steady::duration within = 10s) {
  const auto give_up = steady::now() + limit(within);
  for (int i = 0;; ++i) {
    if (pred()) return true;
    if (steady::now() >= give_up) return pred();
    if (i < 100) this_goroutine::yield();
    else this_goroutine::sleep_for(i < 1000 ? 100us : 1ms);
  }
}

/// Runs body as goroutine 1 of weft::run and checks afterwards that it left nothing behind.
void run_in_weft(const std::function<void()>& body, const run_options& options = {});

/// Sets the number of processors for a scope.
class with_procs {
 public:
  explicit with_procs(int n) : before_(set_procs(n)) {}
  ~with_procs() { set_procs(before_); }
  with_procs(const with_procs&) = delete;

 private:
  int before_;
};

/// A thread that weft did not make. join() lets goroutines run until the thread is about to end, and only then blocks.
class plain_thread {
 public:
  template <class F>
  explicit plain_thread(F f)
      : done_(std::make_shared<std::atomic<bool>>(false)), thread_([f = std::move(f), done = done_]() mutable {
          f();
          done->store(true, std::memory_order_release);
        }) {}
  plain_thread(plain_thread&&) = default;
  ~plain_thread() {
    if (thread_.joinable()) join();
  }
  void join() {
    EXPECT_TRUE(eventually([&] { return done_->load(std::memory_order_acquire); }, 60s)) << "a plain thread does not end";
    thread_.join();
  }

 private:
  std::shared_ptr<std::atomic<bool>> done_;
  std::thread thread_;
};

/// Counts its constructions and destructions, and notices a use after its end.
class counted {
 public:
  counted() noexcept : counted(0) {}
  counted(int v) noexcept : value(v) { ++alive; }
  counted(const counted& o) noexcept : value(o.value) { o.check(), ++alive; }
  counted(counted&& o) noexcept : value(std::exchange(o.value, -1)) { o.check(), ++alive; }
  counted& operator=(const counted& o) noexcept { return o.check(), check(), value = o.value, *this; }
  counted& operator=(counted&& o) noexcept { return o.check(), check(), value = std::exchange(o.value, -1), *this; }
  ~counted() { check(), self_ = nullptr, --alive; }

  int value;
  static inline std::atomic<std::int64_t> alive{0};

 private:
  void check() const {
    if (self_ != this) ADD_FAILURE() << "an object was used before its start or after its end, or its bytes were copied";
  }
  const counted* self_ = this;
};

/// The seed of this process's random choices, from WEFT_TEST_SEED or the clock; printed by main().
std::uint64_t seed();
/// Small and quick, one per goroutine. `stream` tells apart those of one test.
class rng {
 public:
  explicit rng(std::uint64_t stream) : state_(seed() ^ (stream * 0x9e3779b97f4a7c15u)) { next(), next(); }
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// 0 to n - 1.
  int below(int n) { return static_cast<int>(next() % static_cast<std::uint64_t>(n)); }
  bool one_in(int n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// Computes without a call for about this long.
void spin(std::chrono::nanoseconds d);
/// Of this process, now.
int descriptors();
int threads();
std::size_t resident_bytes();
std::chrono::microseconds cpu_time();

// ---- processes of their own ----

struct child_options {
  std::vector<std::string> env = {};   ///< "NAME=value"; "NAME" alone takes it away
  std::vector<std::string> args = {};  ///< what the scenario gets
  std::chrono::seconds within{20};     ///< then it is killed
};
struct child_result {
  int status = -1;  ///< exit status; -1 when a signal ended it
  int signal = 0;
  bool timed_out = false;
  std::string out, err;
};
/// Runs a scenario in a new process of this program. Call it from outside weft::run.
child_result child(std::string_view scenario, const child_options& options = {});
/// The same in two steps, for processes that work together.
class child_process {
 public:
  explicit child_process(std::string_view scenario, const child_options& options = {});
  child_process(const child_process&) = delete;
  ~child_process();
  child_result wait();

 private:
  int pid_ = -1, out_ = -1, err_ = -1;
  steady::time_point give_up_;
};

/// For EXPECT_PRED_FORMAT-less reading: whether text has part, and where not, both are shown.
testing::AssertionResult contains(const std::string& text, std::string_view part);
testing::AssertionResult starts_with(const std::string& text, std::string_view part);
testing::AssertionResult ended_with(const child_result& r, int status);

struct scenario {
  scenario(const char* name, int (*run)(const std::vector<std::string>& args));
};

}  // namespace weft::test

/// A test whose body is goroutine 1. Its name is the sentence that holds.
#define WEFT_TEST(suite, sentence)                                                        \
  static void weft_test_##suite##_##sentence();                                           \
  TEST(suite, sentence) { ::weft::test::run_in_weft(&weft_test_##suite##_##sentence); }   \
  static void weft_test_##suite##_##sentence()

/// What child("name") runs in its process: `args` are its words, the int is the exit status.
#define WEFT_CHILD(name)                                                                  \
  static int weft_child_##name(const std::vector<std::string>& args);                     \
  static const ::weft::test::scenario weft_scenario_##name(#name, &weft_child_##name);    \
  static int weft_child_##name([[maybe_unused]] const std::vector<std::string>& args)
