// fault_test.cpp: signals that end a process: faults of goroutines, abort(), and those that come from outside.
// weft-test: emulated=0
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "support/support.hpp"

using namespace weft::test;

// As it is written; and UBSan would report it first.
#if defined(__clang__)
#define WEFT_TEST_AS_IT_IS __attribute__((noinline, optnone, no_sanitize("undefined")))
#else
#define WEFT_TEST_AS_IT_IS __attribute__((noipa, no_sanitize("undefined")))
#endif

namespace app {
WEFT_TEST_AS_IT_IS int reads(volatile int* at) {
  return *at;  // line 25
}
WEFT_TEST_AS_IT_IS int divides(int a, const int& b) { return a / b; }
WEFT_TEST_AS_IT_IS void calls(void (*f)()) {
  f();  // line 29
  std::puts("not reached");
}
}  // namespace app

namespace {
/// A sanitizer has handlers of its own, which come first.
child_options bare(std::vector<std::string> args = {}) {
  return {.env = {"ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:detect_leaks=0:allow_user_segv_handler=1",
                  "TSAN_OPTIONS=report_signal_unsafe=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0"},
          .args = std::move(args)};
}
}  // namespace

WEFT_CHILD(fault) {
  return weft::run([&] {
    weft::go(weft::go_options{.name = "faulty"}, [&] {
      weft::this_goroutine::yield();
      const auto& kind = args.at(0);
      if (kind == "null") app::reads(nullptr);
      if (kind == "wild") app::reads(reinterpret_cast<int*>(0x9ab0));
      if (kind == "divide") std::printf("%d", app::divides(1, 0));
      if (kind == "call") app::calls(nullptr);
      if (kind == "illegal") __builtin_trap();
      if (kind == "bus") {
        void* beyond = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, ::memfd_create("empty", 0), 0);
        app::reads(static_cast<int*>(beyond));
      }
      std::puts("not reached");
    });
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-11. A core file shows thread 7 somewhere; the report shows which goroutine.
TEST(fault, in_a_goroutine_is_reported_with_its_stack) {
  struct expected {
    const char* kind;
    const char* text;
    const char* function;
  };
  for (const auto& [kind, text, function] : {expected{"null", "SIGSEGV: segmentation violation\n[signal SIGSEGV code=1 addr=0x0]", "app::reads(int volatile*)\n"},
                                             {"wild", "SIGSEGV: segmentation violation\n[signal SIGSEGV code=1 addr=0x9ab0]", "app::reads(int volatile*)\n"},
                                             {"call", "SIGSEGV: segmentation violation\n[signal SIGSEGV code=1 addr=0x0]", "app::calls(void (*)())\n"},
#if defined(__x86_64__)
                                             {"divide", "SIGFPE: arithmetic error\n[signal SIGFPE code=1", "app::divides(int, int const&)\n"},
                                             {"illegal", "SIGILL: illegal instruction\n[signal SIGILL code=", "fault_test.cpp:"},
#endif
                                             {"bus", "SIGBUS: bus error\n[signal SIGBUS code=2", "app::reads(int volatile*)\n"}}) {
    const auto r = child("fault", bare({kind}));
    EXPECT_TRUE(ended_with(r, 2)) << kind;
    EXPECT_TRUE(starts_with(r.err, std::string("fatal error: ") + text)) << kind;
    EXPECT_TRUE(contains(r.err, "]\n\ngoroutine 2 [running]: faulty\n")) << kind;
    EXPECT_EQ(r.err.find("\ngoroutine 1 "), std::string::npos) << "one goroutine's mistake: " << r.err;
#if WEFT_SYMBOLS
    EXPECT_TRUE(contains(r.err, function)) << kind;
    EXPECT_TRUE(contains(r.err, "\ncreated by ")) << kind;
    if (std::strcmp(kind, "null") == 0) { EXPECT_TRUE(contains(r.err, "fault_test.cpp:25 +")); }
    if (std::strcmp(kind, "call") == 0) { EXPECT_TRUE(contains(r.err, "fault_test.cpp:29 +")); }
#endif
    EXPECT_EQ(r.out, "");
  }
}

namespace {
[[gnu::noinline]] int endless(int n) {
  volatile char frame[200];
  frame[0] = static_cast<char>(n);
  return n < 0 ? 0 : endless(n + 1) + frame[0];
}
}  // namespace
WEFT_CHILD(overflow_with_stack) {
  return weft::run([] {
    weft::go([] { std::printf("%d\n", endless(1)); });
    weft::this_goroutine::sleep_for(10s);
  });
}
// SCHED-30. Both ends of the stack: what recurs, and who began it.
TEST(fault, of_a_stack_that_overflows_shows_both_ends_of_it) {
  const auto r = child("overflow_with_stack", bare());
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "\nfatal error: stack overflow\n\ngoroutine 2 [running]:\n"));
  EXPECT_TRUE(contains(r.err, "\n...additional frames elided...\n"));
#if WEFT_SYMBOLS
  EXPECT_TRUE(contains(r.err, "::endless(int)\n"));
  EXPECT_TRUE(contains(r.err.substr(r.err.find("\ncreated by ") + 1), "fault_test.cpp:"));
#endif
}

namespace {
void handles(int) {
  static_cast<void>(!::write(1, "handled", 7));
  ::_exit(9);
}
}  // namespace
WEFT_CHILD(fault_with_a_handler) {
  std::signal(SIGSEGV, &handles);
  return weft::run([] { app::reads(nullptr); });
}
TEST(fault, goes_to_the_handler_that_was_there_before) {
  const auto r = child("fault_with_a_handler", bare());
  EXPECT_TRUE(ended_with(r, 9));
  EXPECT_EQ(r.out, "handled");
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(fault_of_a_thread) {
  return weft::run([] {
    std::thread([] { app::reads(nullptr); }).detach();
    weft::this_goroutine::sleep_for(10s);
  });
}
// A thread that weft did not make does what it would have done without weft.
TEST(fault, of_a_plain_thread_keeps_its_signal) { EXPECT_EQ(child("fault_of_a_thread", bare()).signal, SIGSEGV); }

WEFT_CHILD(aborts) {
  return weft::run([] {
    weft::go([] { std::abort(); });
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-11
TEST(fault, abort_keeps_its_signal) { EXPECT_EQ(child("aborts", bare()).signal, SIGABRT); }

WEFT_CHILD(fault_of_many) {
  return weft::run([] {
    auto go = weft::make_chan<void>();
    for (int i = 0; i < 20; ++i) {
      weft::go([=] {
        static_cast<void>(go.recv());
        app::reads(nullptr);
      });
    }
    go.close();
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-10, for faults: one report, whole.
TEST(fault, of_several_at_once_is_one_report) {
  const auto r = child("fault_of_many", bare());
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_EQ(r.err.find("fatal error: "), r.err.rfind("fatal error: "));
  EXPECT_EQ(r.err.find("\ngoroutine "), r.err.rfind("\ngoroutine "));
  EXPECT_EQ(r.err.back(), '\n');
}

WEFT_CHILD(waits_to_be_killed) {
  return weft::run([&] {
    weft::go([&] { ::kill(::getpid(), std::atoi(args.at(0).c_str())); });
    weft::this_goroutine::sleep_for(10s);
  });
}
// PANIC-12. Who asks a program to end sees that it did, and why.
TEST(fault, signals_from_outside_end_the_process_by_themselves) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    const auto r = child("waits_to_be_killed", bare({std::to_string(signal)}));
    EXPECT_EQ(r.signal, signal);
    EXPECT_EQ(r.err, "");
  }
}
