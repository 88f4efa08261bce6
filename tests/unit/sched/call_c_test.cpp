// call_c_test.cpp: foreign code on a large stack, and foreign threads that call back.
#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "support/support.hpp"

using namespace weft::test;

namespace {
/// A call that needs n bytes of stack.
[[gnu::noinline]] long deep_call(std::size_t n) {
  volatile char here[16'384];
  std::memset(const_cast<char*>(here), static_cast<int>(n), sizeof here);
  if (n <= sizeof here) return here[5];
  return deep_call(n - sizeof here) + here[1] * 0;
}
constexpr std::size_t deeper_than_a_goroutine = under_sanitizer ? 2 << 20 : 4 << 20;
}  // namespace

// A C library that asks for more stack than a goroutine has would end the process.
WEFT_TEST(call_c, runs_on_a_large_stack) {
  weft::wait_group done;
  for (int i = 0; i < 2 * weft::procs(); ++i) {
    done.go([] {
      for (int k = 0; k < scale(50, 5); ++k) {
        weft::call_c([] { static_cast<void>(deep_call(deeper_than_a_goroutine)); });
        weft::this_goroutine::yield();
      }
    });
  }
  done.wait();
}

WEFT_TEST(call_c, gives_what_f_returns_or_throws) {
  EXPECT_EQ(weft::call_c([] { return 5; }), 5);
  EXPECT_EQ(*weft::call_c([p = std::make_unique<int>(6)]() mutable { return std::move(p); }), 6);
  int seen = 0;
  weft::call_c([&] { seen = 7; });
  EXPECT_EQ(seen, 7);
  try {
    weft::call_c([]() -> int { throw std::runtime_error("from there"); });
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "from there");
    EXPECT_EQ(std::uncaught_exceptions(), 0);
  }
}

// What does not wait works.
WEFT_TEST(call_c, may_use_what_does_not_wait) {
  const auto c = weft::make_chan<int>(1);
  weft::mutex m;
  weft::wait_group done;
  done.add(1);
  const auto id = weft::this_goroutine::id();
  weft::call_c([&] {
    const std::lock_guard hold(m);
    EXPECT_TRUE(c.try_send(1));
    weft::go([&] { done.done(); });
    weft::this_goroutine::yield();
    EXPECT_EQ(weft::call_c([] { return 8; }), 8);  // is there already
    errno = 33;
  });
  EXPECT_EQ(errno, 33);
  EXPECT_EQ(weft::this_goroutine::id(), id);
  done.wait();
  EXPECT_EQ(c.recv(), 1);
}

// A wake-up from there reaches somebody who waits.
WEFT_TEST(call_c, may_wake_others) {
  const auto c = weft::make_chan<int>(), back = weft::make_chan<int>();
  weft::go([=] {
    while (const auto v = c.recv()) back.send(*v + 1);
    back.close();
  });
  for (int i = 0; i < 100; ++i) {
    while (!weft::call_c([&] { return c.try_send(i); })) weft::this_goroutine::yield();
    EXPECT_EQ(back.recv(), i + 1);
  }
  c.close();
  EXPECT_FALSE(back.recv());
}

TEST(call_c, is_a_plain_call_elsewhere) {
  EXPECT_EQ(weft::call_c([] { return 9; }), 9);
}

// A callback of a foreign library comes on a thread of that library.
WEFT_TEST(call_weft, runs_a_function_as_a_goroutine_and_waits) {
  const auto c = weft::make_chan<int>();
  std::atomic<int> sum{0};
  {
    std::vector<plain_thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        EXPECT_EQ(weft::this_goroutine::id(), 0u);
        const int v = weft::call_weft([&] {
          EXPECT_NE(weft::this_goroutine::id(), 0u);
          c.send(i);
          return i * 10;
        });
        sum += v;
        EXPECT_THROW(weft::call_weft([] { throw std::runtime_error("from a goroutine"); }), std::runtime_error);
        EXPECT_THROW(weft::call_weft([] { weft::this_goroutine::exit(); }), weft::task_exited);
      });
    }
    for (int i = 0; i < 4; ++i) sum += *c.recv();
  }
  EXPECT_EQ(sum, 66);
  const auto id = weft::this_goroutine::id();
  EXPECT_EQ(weft::call_weft([] { return weft::this_goroutine::id(); }), id);
}

static std::atomic<bool> called{false};
static bool called_before_the_end = false;
WEFT_INIT(slow) {
  std::thread([] { weft::call_weft([] { called = true; }); }).detach();
  weft::this_goroutine::sleep_for(20ms);
  called_before_the_end = called;
}
// Row 51 of Go's runtime.main: who calls back early finds a program that is half made.
WEFT_TEST(call_weft, waits_for_the_init_tasks) {
  EXPECT_FALSE(called_before_the_end);
  EXPECT_TRUE(eventually([] { return called.load(); }));
}
