// panic_test.cpp: an exception that nobody catches ends the process, with Go's words and status 2.
// weft-test: emulated=0
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "support/support.hpp"

using namespace weft::test;

namespace {
/// `panic: TEXT`, a blank line, `goroutine N [running]:`.
std::string report(const std::string& text, const std::string& goroutine) { return "panic: " + text + "\n\ngoroutine " + goroutine + " [running]:\n"; }
}  // namespace

WEFT_CHILD(throw_in_goroutine) {
  return weft::run([] {
    for (int i = 0; i < 3; ++i) {
      weft::go([] {
        for (;;) weft::this_goroutine::yield();
      });
    }
    weft::wait_group done;
    done.add(1);
    weft::go([] {
      weft::this_goroutine::sleep_for(1ms);
      throw std::runtime_error("boom");
    });
    done.wait();
    std::puts("not reached");
  });
}
// PANIC-02. A program that goes on without one of its goroutines is worse than one that ends.
TEST(panic, in_a_goroutine_ends_the_process_with_its_message_and_stack) {
  const auto r = child("throw_in_goroutine");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: boom\n\ngoroutine ")) << r.err;
  EXPECT_TRUE(contains(r.err, " [running]:\n"));
  EXPECT_FALSE(contains(r.err, report("boom", "1"))) << "it was not main's";
  EXPECT_EQ(r.out, "");
}

namespace {
[[gnu::noinline]] void where_it_is_thrown() { throw std::logic_error("deep"); }
[[gnu::noinline]] void the_caller_of_it() {
  where_it_is_thrown();
  std::puts("not reached");
}
}  // namespace
WEFT_CHILD(throw_deep) {
  return weft::run([] {
    weft::go([] { the_caller_of_it(); });
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-02. The stack of the throw says what was wrong; after an unwinding there would be nothing left to show.
TEST(panic, happens_before_anything_is_unwound) {
  const auto r = child("throw_deep");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: deep\n\n"));
  EXPECT_EQ(r.out, "");
}

WEFT_CHILD(throw_in_main) {
  return weft::run([] { throw std::runtime_error("from main"); });
}
// PANIC-03
TEST(panic, in_main_is_the_same) {
  const auto r = child("throw_in_main");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, report("from main", "1")));
}

namespace app {
struct odd {
  int x;
};
}  // namespace app
WEFT_CHILD(throw_odd) {
  return weft::run([] { throw app::odd{1}; });
}
WEFT_CHILD(throw_int) {
  return weft::run([] {
    weft::go([] { throw 5; });
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-03
TEST(panic, of_something_that_is_no_std_exception_names_its_type) {
  const auto r = child("throw_odd");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: "));
  EXPECT_TRUE(contains(r.err.substr(0, r.err.find('\n')), "app::odd"));
  const auto i = child("throw_int");
  EXPECT_TRUE(ended_with(i, 2));
  EXPECT_TRUE(contains(i.err.substr(0, i.err.find('\n')), "int"));
}

WEFT_CHILD(throw_while_handling) {
  return weft::run([] {
    try {
      throw std::runtime_error("first");
    } catch (const std::exception&) {
      weft::this_goroutine::yield();
      throw std::runtime_error("second");
    }
  });
}
// PANIC-04. The second one alone would hide what began it.
TEST(panic, while_another_is_handled_prints_both_in_turn) {
  const auto r = child("throw_while_handling");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: first\n\tpanic: second\n\ngoroutine 1 [running]:\n"));
}

WEFT_CHILD(rethrow) {
  return weft::run([] {
    try {
      throw std::runtime_error("once");
    } catch (const std::exception&) {
      throw;
    }
  });
}
// A rethrown exception is one exception.
TEST(panic, that_is_rethrown_prints_once) {
  const auto r = child("rethrow");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: once"));
  EXPECT_EQ(r.err.find("panic: once"), r.err.rfind("panic: once"));
}

WEFT_CHILD(send_on_closed) {
  return weft::run([] {
    auto c = weft::make_chan<int>();
    c.close();
    c.send(1);
  });
}
WEFT_CHILD(close_nil) {
  return weft::run([] { weft::chan<int>().close(); });
}
WEFT_CHILD(negative_count) {
  return weft::run([] { weft::wait_group().done(); });
}
WEFT_CHILD(bad_size) {
  return weft::run([] { static_cast<void>(weft::make_chan<int>(-1)); });
}
TEST(panic, of_wefts_own_has_gos_text) {
  for (const auto& [scenario, text] : {std::pair{"send_on_closed", "send on closed channel"},
                                       {"close_nil", "close of nil channel"},
                                       {"negative_count", "sync: negative WaitGroup counter"},
                                       {"bad_size", "makechan: size out of range"}}) {
    const auto r = child(scenario);
    EXPECT_TRUE(ended_with(r, 2)) << scenario;
    EXPECT_TRUE(starts_with(r.err, report(text, "1"))) << scenario;
  }
}

WEFT_CHILD(wait_group_go_throws) {
  return weft::run([] {
    weft::wait_group g;
    g.go([] {
      weft::this_goroutine::yield();
      throw std::runtime_error("boom");
    });
    g.wait();
    std::puts("wait has returned");
    std::fflush(stdout);
  });
}
// WAITGROUP-06. Who waits expects the work to be done, and it is not.
TEST(panic, in_a_function_of_wait_group_go_comes_before_wait_returns) {
  const auto r = child("wait_group_go_throws");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: boom\n\ngoroutine "));
  EXPECT_EQ(r.out, "");
}

WEFT_CHILD(task_dropped_with_exception) {
  return weft::run([] {
    static_cast<void>(weft::async([] {
      weft::this_goroutine::yield();
      throw std::runtime_error("nobody sees it");
    }));
    weft::this_goroutine::sleep_for(10s);
  });
}
WEFT_CHILD(task_dropped_after_exception) {
  return weft::run([] {
    {
      auto t = weft::async([] { throw std::runtime_error("nobody sees it"); });
      if (!eventually([&] { return t.is_done(); })) return 1;
    }
    weft::this_goroutine::sleep_for(10s);
    return 0;
  });
}
// An exception that nobody can ever see any more is a panic, not a secret.
TEST(panic, of_a_task_that_nobody_joins) {
  for (const char* scenario : {"task_dropped_with_exception", "task_dropped_after_exception"}) {
    const auto r = child(scenario);
    EXPECT_TRUE(ended_with(r, 2)) << scenario;
    EXPECT_TRUE(starts_with(r.err, "panic: nobody sees it")) << scenario;
  }
}

namespace {
[[gnu::noinline]] void throw_text(const char* text) { throw std::runtime_error(text); }
}  // namespace
WEFT_CHILD(throw_from_noexcept) {
  return weft::run([] {
    weft::go([]() noexcept { throw_text("from noexcept"); });
    weft::this_goroutine::sleep_for(10s);
  });
}
WEFT_CHILD(throw_from_destructor) {
  return weft::run([] {
    struct bad {
      ~bad() { throw_text("from a destructor"); }
    };
    try {
      bad b;
    } catch (...) {
      std::puts("not reached");
    }
  });
}
// std::terminate is std::terminate, whoever asks for it.
TEST(panic, is_also_what_noexcept_makes_of_an_exception) {
  for (const auto& [scenario, text] : {std::pair{"throw_from_noexcept", "panic: from noexcept\n\ngoroutine "}, {"throw_from_destructor", "panic: from a destructor\n\ngoroutine 1 "}}) {
    const auto r = child(scenario);
    EXPECT_TRUE(ended_with(r, 2)) << scenario;
    EXPECT_TRUE(starts_with(r.err, text)) << scenario;
    EXPECT_EQ(r.out, "");
  }
}

WEFT_CHILD(multi_line_panic) {
  return weft::run([] { throw std::runtime_error("line one\nline two"); });
}
TEST(panic, prints_all_of_its_message) {
  const auto r = child("multi_line_panic");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "line one"));
  EXPECT_TRUE(contains(r.err, "line two"));
}

WEFT_CHILD(many_panic_at_once) {
  return weft::run([] {
    auto go = weft::make_chan<void>();
    for (int i = 0; i < 20; ++i) {
      weft::go([=] {
        static_cast<void>(go.recv());
        throw std::runtime_error("one of many");
      });
    }
    go.close();
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-10. Two reports in one are none.
TEST(panic, of_several_at_once_is_one_report) {
  for (int round = 0; round < scale(5, 2); ++round) {
    const auto r = child("many_panic_at_once");
    EXPECT_TRUE(ended_with(r, 2));
    EXPECT_TRUE(starts_with(r.err, "panic: one of many\n\ngoroutine "));
    EXPECT_EQ(r.err.find("panic: "), r.err.rfind("panic: "));
    EXPECT_EQ(r.err.find("\ngoroutine "), r.err.rfind("\ngoroutine "));
    EXPECT_EQ(r.err.back(), '\n');
  }
}

WEFT_CHILD(panic_while_main_returns) {
  return weft::run([] {
    auto ready = weft::make_chan<void>(1);
    weft::go([=] {
      ready.send();
      throw std::runtime_error("late");
    });
    static_cast<void>(ready.recv());
    return 0;
  });
}
// Go's TestPanicRace. The panic has begun, or will before its goroutine could be stopped: main's return does not hide it.
TEST(panic, while_main_returns_is_reported_or_main_was_first) {
  for (int round = 0; round < scale(12, 2); ++round) {
    const auto r = child("panic_while_main_returns");
    if (r.status == 0) {  // its goroutine was still in send() when the world stopped
      EXPECT_EQ(r.err, "");
      continue;
    }
    ASSERT_TRUE(ended_with(r, 2));
    ASSERT_TRUE(starts_with(r.err, "panic: late\n\ngoroutine 2 [running]:\n"));
    ASSERT_EQ(r.err.back(), '\n');
  }
}

WEFT_CHILD(panic_that_main_has_seen) {
  return weft::run([] {
    static std::atomic<bool> began{false};
    struct slow : std::exception {
      const char* what() const noexcept override {
        began = true;
        spin(20ms);
        return "slow";
      }
    };
    weft::go([] { throw slow(); });
    while (!began) weft::this_goroutine::yield();
    return 0;
  });
}
// PANIC-10. A report that has begun is finished, whatever main does.
TEST(panic, that_is_being_reported_outlives_main) {
  if (procs_asked() < 2) GTEST_SKIP() << "main cannot run beside the report";
  for (int round = 0; round < scale(5, 2); ++round) {
    const auto r = child("panic_that_main_has_seen");
    EXPECT_TRUE(ended_with(r, 2));
    EXPECT_TRUE(starts_with(r.err, "panic: slow\n\ngoroutine 2 [running]:\n"));
  }
}

namespace app {
struct what_throws_all_the_same : std::exception {
  const char* what() const noexcept override {
    throw_text("from what()");
    return "";
  }
};
struct what_parks : std::exception {
  const char* what() const noexcept override {
    static_cast<void>(weft::make_chan<int>().recv());
    return "";
  }
};
struct what_yields : std::exception {
  const char* what() const noexcept override {
    for (int i = 0; i < 100; ++i) weft::this_goroutine::yield();
    weft::this_goroutine::sleep_for(1ms);
    return "after a while";
  }
};
struct what_uses_a_channel : std::exception {
  const char* what() const noexcept override {
    auto c = weft::make_chan<int>(1);
    c.send(1);
    return c.recv() == 1 ? "through a channel" : "";
  }
};
struct what_faults : std::exception {
  const char* what() const noexcept override { return reinterpret_cast<const char*>(8); }
};
}  // namespace app
WEFT_CHILD(odd_what) {
  return weft::run([&] {
    weft::go([&] {
      const auto& kind = args.at(0);
      if (kind == "throws all the same") throw app::what_throws_all_the_same();
      if (kind == "parks") throw app::what_parks();
      if (kind == "yields") throw app::what_yields();
      if (kind == "uses a channel") throw app::what_uses_a_channel();
      if (kind == "faults") throw app::what_faults();
    });
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-14. The last thing that a program does is the least tested: it must not hang.
TEST(panic, with_a_text_that_cannot_be_had_ends_all_the_same) {
  for (const auto& [kind, text] : {std::pair{"throws all the same", "[what() does not return]"}, {"parks", "[what() does not return]"}, {"yields", "after a while"},
                                   {"uses a channel", "through a channel"}, {"faults", "[what() does not return]"}}) {
    const auto start = steady::now();
    const auto r = child("odd_what", {.env = {"ASAN_OPTIONS=handle_segv=0:detect_leaks=0", "TSAN_OPTIONS=handle_segv=0"}, .args = {kind}});
    EXPECT_TRUE(ended_with(r, 2)) << kind;
    EXPECT_TRUE(starts_with(r.err, report(text, "2"))) << kind;
    EXPECT_LT(steady::now() - start, limit(5s)) << kind;
  }
}
