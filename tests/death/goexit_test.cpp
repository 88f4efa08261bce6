// goexit_test.cpp: what this_goroutine::exit() cannot do, and what it leads to in main.
// weft-test: emulated=0
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "support/support.hpp"

using namespace weft::test;

namespace {
void expect_fatal(const char* scenario, const std::string& text) {
  const auto r = child(scenario);
  EXPECT_TRUE(ended_with(r, 2)) << scenario;
  EXPECT_TRUE(starts_with(r.err, "fatal error: " + text + "\n")) << scenario;
  EXPECT_EQ(r.out, "") << scenario;
}
int in_a_goroutine(void (*f)()) {
  return weft::run([&] {
    weft::go(f);
    weft::this_goroutine::sleep_for(10s);
  });
}
}  // namespace

WEFT_CHILD(swallows_the_exit) {
  return in_a_goroutine([] {
    try {
      weft::this_goroutine::exit();
    } catch (...) {
    }
    std::puts("still alive");
  });
}
// PANIC-05. A goroutine that should be gone and goes on does so in a state that nobody thought of.
TEST(goexit, swallowed_by_a_catch_all_is_fatal) { expect_fatal("swallows_the_exit", "this_goroutine::exit: a catch (...) did not throw it on"); }

WEFT_CHILD(replaces_the_exit) {
  return in_a_goroutine([] {
    try {
      weft::this_goroutine::exit();
    } catch (...) {
      throw std::runtime_error("instead");
    }
  });
}
// The other exception is a panic, with the stack of its throw.
TEST(goexit, replaced_by_an_exception_is_that_panic) {
  const auto r = child("replaces_the_exit");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: this_goroutine::exit()\n\tpanic: instead\n\ngoroutine "));
}

namespace {
[[gnu::noinline]] void never_throws() noexcept { weft::this_goroutine::exit(); }
struct exits_when_destroyed {
  ~exits_when_destroyed() { weft::this_goroutine::exit(); }
};
}  // namespace
WEFT_CHILD(exits_through_noexcept) {
  return in_a_goroutine([] { never_throws(); });
}
WEFT_CHILD(exits_in_a_destructor) {
  return in_a_goroutine([] { exits_when_destroyed e; });
}
WEFT_CHILD(exits_while_it_exits) {
  return in_a_goroutine([] {
    exits_when_destroyed e;
    weft::this_goroutine::exit();
  });
}
TEST(goexit, through_noexcept_is_fatal) {
  expect_fatal("exits_through_noexcept", "this_goroutine::exit: a noexcept function is in the way");
  expect_fatal("exits_in_a_destructor", "this_goroutine::exit: a noexcept function is in the way");
  expect_fatal("exits_while_it_exits", "this_goroutine::exit: called by a destructor that it runs");
}

WEFT_CHILD(throws_while_it_exits) {
  return in_a_goroutine([] {
    weft::defer d([]() noexcept(false) { throw std::runtime_error("from a destructor"); });
    weft::this_goroutine::exit();
  });
}
TEST(goexit, a_destructor_that_throws_is_a_panic) {
  const auto r = child("throws_while_it_exits");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: from a destructor\n"));
}

WEFT_CHILD(main_exits_beside_others) {
  return weft::run([] {
    weft::at_exit([] { std::puts("hook"); });
    static auto c = weft::make_chan<int>();
    static std::atomic<bool> unwound{false};
    for (int i = 0; i < 3; ++i) {
      weft::go([i] {
        weft::this_goroutine::sleep_for(1ms * i);
        c.send(i);
      });
    }
    weft::go([] {
      int sum = 0;
      for (int i = 0; i < 3; ++i) sum += *c.recv();
      while (!unwound) weft::this_goroutine::yield();
      std::printf("%d\n", sum);
      std::fflush(stdout);
    });
    const struct tells {
      ~tells() { std::puts("unwound"), unwound = true; }
    } t;
    weft::this_goroutine::exit();
  });
}
// As in Go: the program lives while any goroutine does.
TEST(goexit, of_main_lets_the_others_go_on) {
  const auto r = child("main_exits_beside_others");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_EQ(r.out, "unwound\n3\n");
  EXPECT_TRUE(starts_with(r.err, "fatal error: no goroutines (main called runtime.Goexit) - deadlock!\n"));
}

WEFT_CHILD(main_exits_and_others_wait) {
  return weft::run([] {
    weft::go([] { static_cast<void>(weft::make_chan<int>().recv()); });
    weft::this_goroutine::exit();
  });
}
TEST(goexit, of_main_while_others_wait_for_ever_is_a_deadlock) {
  const auto r = child("main_exits_and_others_wait");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 2 [chan receive]:\n"));
}

WEFT_CHILD(main_exits_and_another_ends_the_process) {
  return weft::run([] {
    weft::go([] {
      weft::this_goroutine::sleep_for(1ms);
      weft::exit(5);
    });
    weft::this_goroutine::exit();
  });
}
TEST(goexit, of_main_leaves_weft_exit_to_the_others) { EXPECT_TRUE(ended_with(child("main_exits_and_another_ends_the_process"), 5)); }
