// dump_test.cpp: what reports say about goroutines: states, stacks with functions, files and lines, who created whom.
// weft-test: emulated=0
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "support/support.hpp"

using namespace weft::test;

namespace app {
// Frames with names of their own, and lines that the tests know.
[[gnu::noinline]] void waits_for(const weft::chan<int>& c) {
  static_cast<void>(c.recv());
}
[[gnu::noinline]] void serves(const weft::chan<int>& c) {
  waits_for(c);
  std::puts("served");
}
[[gnu::noinline]] void starts_one(const weft::chan<int>& c) {
  weft::go([c] { serves(c); });
}
// The lines above.
constexpr int wait_line = 21, call_line = 24, go_line = 28;
}  // namespace app

namespace {
std::string at(int line) { return "dump_test.cpp:" + std::to_string(line) + " +0x"; }

/// The part of a report that is about one goroutine: from its line to the next empty one.
std::string part(const std::string& report, const std::string& header) {
  const auto from = ("\n" + report).find("\n" + header);
  if (from == std::string::npos) return "";
  return report.substr(from, report.find("\n\n", from) - from + 1);
}

/// A goroutine that is as `header` says is there, within a time.
bool there_is(const std::string& header) {
  return eventually([&] {
    std::ostringstream report;
    weft::debug::dump(report);
    return !part(report.str(), header).empty();
  });
}

/// What follows is in this order in the text.
testing::AssertionResult in_order(const std::string& text, const std::vector<std::string>& parts) {
  std::size_t from = 0;
  for (const auto& p : parts) {
    const auto found = text.find(p, from);
    if (found == std::string::npos) return testing::AssertionFailure() << "no \"" << p << "\" (there) in:\n" << text;
    from = found + p.size();
  }
  return testing::AssertionSuccess();
}

#if WEFT_SYMBOLS
void expect_frames_of_the_server(const std::string& g) {
  EXPECT_TRUE(in_order(g, {"app::waits_for(weft::chan<int> const&)\n\t", at(app::wait_line), "\napp::serves(weft::chan<int> const&)\n\t", at(app::call_line),
                           "\ncreated by app::starts_one(weft::chan<int> const&) in goroutine 1\n\t", at(app::go_line)}));
}
#else
void expect_frames_of_the_server(const std::string& g) { EXPECT_TRUE(in_order(g, {"+0x", "\ncreated by ", " in goroutine 1\n"})); }
#endif
}  // namespace

WEFT_CHILD(deadlock_of_a_server) {
  return weft::run([] {
    auto c = weft::make_chan<int>();
    app::starts_one(c);
    weft::go(weft::go_options{.name = "named"}, [] { weft::select(); });
    static_cast<void>(weft::make_chan<int>().recv());
  });
}
// DEADLOCK-12. The states say that all wait; only the stacks say where.
TEST(dump, of_a_deadlock_has_functions_files_lines_and_creators) {
  const auto r = child("deadlock_of_a_server");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n"));
  EXPECT_EQ(part(r.err, "goroutine 1 ").find("created by"), std::string::npos) << "nobody creates main";
  const auto server = part(r.err, "goroutine 2 [chan receive]:\n");
  expect_frames_of_the_server(server);
  EXPECT_EQ(server.find("weft::detail"), std::string::npos) << server;
  EXPECT_TRUE(contains(r.err, "\ngoroutine 3 [select (no cases)]: named\n"));
}

WEFT_CHILD(deadlock_after_yields) {
  return weft::run([] {
    // Parked in code that users compile, with a red zone, and runnable.
    weft::go([] {
      for (;;) weft::this_goroutine::yield();
    });
    auto c = weft::make_chan<int>();
    app::starts_one(c);
    weft::go([] {
      weft::this_goroutine::yield();
      throw std::runtime_error("boom");
    });
    for (;;) weft::this_goroutine::yield();
  });
}
// Frames of a goroutine that has given way, which the switch in the caller's code must describe as well.
TEST(dump, of_those_that_are_runnable_shows_where_they_gave_way) {
  const auto r = child("deadlock_after_yields", {.env = {"WEFT_TRACEBACK=all", "WEFT_PROCS=1"}});
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "panic: boom\n\ngoroutine 4 [running]:\n"));
  expect_frames_of_the_server(part(r.err, "goroutine 3 [chan receive]:\n"));
#if WEFT_SYMBOLS
  // One of the two may have gone on meanwhile: the report does not stop them before it needs to.
  const auto main = part(r.err, "goroutine 1 [runnable]:\n"), other = part(r.err, "goroutine 2 [runnable]:\n");
  EXPECT_TRUE(in_order(main, {"dump_test.cpp:"}) || in_order(other, {"dump_test.cpp:", "\ncreated by ", "dump_test.cpp:"})) << r.err;
#endif
}

namespace {
/// stderr becomes memory that text() reads.
struct caught_stderr {
  int fd = ::memfd_create("stderr", 0);
  caught_stderr() { ::dup2(fd, 2); }
  std::string text() const {
    std::string s(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)), '\0');
    s.resize(static_cast<std::size_t>(::pread(fd, s.data(), s.size(), 0)));
    return s;
  }
};
}  // namespace

WEFT_CHILD(quit_and_go_on) {
  const caught_stderr caught;
  return weft::run([&] {
    auto c = weft::make_chan<int>();
    app::starts_one(c);
    static std::atomic<bool> stop{false};
    if (weft::procs() > 1) {  // one that never calls weft keeps nobody from looking
      static std::atomic<bool> spinning{false};
      weft::go([] {
        while (!stop) spinning = true;
      });
      if (!eventually([] { return spinning.load(); })) return 1;
    }
    if (!there_is("goroutine 2 [chan receive]")) return 3;
    for (int i = 1; i <= 3; ++i) {
      const std::size_t size = caught.text().size();
      ::raise(SIGQUIT);
      // The last goroutine's last line is followed by an empty one.
      if (!eventually([&] {
            const auto text = caught.text();
            return text.size() > size && text.size() > 2 && text.substr(text.size() - 1) == "\n" && text.find("created by", size) != std::string::npos;
          }))
        return 2;
    }
    stop = true;
    c.send(1);
    std::fputs(caught.text().c_str(), stdout);
    return 0;
  });
}
// "Why does it hang?" is asked of programs that should go on.
TEST(dump, on_sigquit_lists_every_goroutine_and_the_program_goes_on) {
  const auto r = child("quit_and_go_on");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_TRUE(contains(r.out, "SIGQUIT: quit\n\n"));
  EXPECT_TRUE(contains(r.out, "\ngoroutine 1 ["));
  expect_frames_of_the_server(part(r.out, "goroutine 2 [chan receive]:\n"));
  if (procs_asked() > 1) {
    EXPECT_TRUE(contains(r.out, " [running]:\n\tgoroutine running on other thread; stack unavailable\n"));
  }
}

WEFT_CHILD(quit_is_ignored) {
  std::signal(SIGQUIT, SIG_IGN);
  return weft::run([] {
    ::raise(SIGQUIT);
    weft::this_goroutine::sleep_for(10ms);
  });
}
TEST(dump, on_sigquit_leaves_a_program_alone_that_has_said_what_it_wants) {
  const auto r = child("quit_is_ignored");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(dump_by_call) {
  return weft::run([] {
    auto c = weft::make_chan<int>();
    app::starts_one(c);
    while (weft::stats().parks == 0) weft::this_goroutine::yield();
    weft::debug::dump(std::cout);
    c.send(1);
  });
}
TEST(dump, by_call_begins_with_the_caller) {
  const auto r = child("dump_by_call");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_TRUE(starts_with(r.out, "goroutine 1 [running]:\n"));
#if WEFT_SYMBOLS
  EXPECT_TRUE(contains(part(r.out, "goroutine 1 "), "dump_test.cpp:"));
#endif
  expect_frames_of_the_server(part(r.out, "goroutine 2 [chan receive]:\n"));
}

WEFT_CHILD(dump_from_a_thread) {
  return weft::run([] {
    std::atomic<bool> stop{false};
    weft::wait_group all;
    for (int i = 0; i < 50; ++i) {
      all.go([&] {
        auto c = weft::make_chan<int>();
        while (!stop) {
          weft::go([c] { c.send(1); });
          static_cast<void>(c.recv());
        }
      });
    }
    plain_thread t([&] {
      std::size_t bytes = 0;
      for (int i = 0; i < scale(20, 3); ++i) {
        std::ostringstream text;
        weft::debug::dump(text);
        bytes += text.str().size();
      }
      stop = true;
      std::printf("%d", bytes > 0);
    });
    t.join();
    all.wait();
  });
}
// They start, wait and end while it looks: nothing is torn, and nobody is lost.
TEST(dump, from_a_thread_while_goroutines_come_and_go) {
  const auto r = child("dump_from_a_thread");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.out, "1");
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(panics_beside_others) {
  return weft::run([] {
    auto c = weft::make_chan<int>();
    app::starts_one(c);
    weft::go(weft::go_options{.name = "failing"}, [] {
      static_cast<void>(there_is("goroutine 2 [chan receive]"));
      throw std::runtime_error("boom");
    });
    static_cast<void>(c.recv());
  });
}
namespace {
std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto i = text.find(part); i != std::string::npos; i = text.find(part, i + 1)) ++n;
  return n;
}
}  // namespace
// PANIC-13
TEST(dump, shows_as_much_as_weft_traceback_asks_for) {
  const auto with = [](const char* level) { return child("panics_beside_others", {.env = {level}}); };
  const auto none = with("WEFT_TRACEBACK=none");
  EXPECT_TRUE(ended_with(none, 2));
  EXPECT_EQ(none.err, "panic: boom\n");
  for (const char* level : {"WEFT_TRACEBACK", "WEFT_TRACEBACK=single"}) {
    const auto single = with(level);
    EXPECT_TRUE(ended_with(single, 2));
    EXPECT_TRUE(starts_with(single.err, "panic: boom\n\ngoroutine 3 [running]: failing\n"));
    EXPECT_EQ(count(single.err, "\ngoroutine "), 1u) << single.err;
  }
  const auto all = with("WEFT_TRACEBACK=all");
  EXPECT_TRUE(ended_with(all, 2));
  EXPECT_TRUE(starts_with(all.err, "panic: boom\n\ngoroutine 3 [running]: failing\n"));
  EXPECT_EQ(count(all.err, "\ngoroutine "), 3u) << all.err;
  expect_frames_of_the_server(part(all.err, "goroutine 2 [chan receive]:\n"));
  EXPECT_FALSE(contains(all.err, "weft_gostart"));
  const auto system = with("WEFT_TRACEBACK=system");
  EXPECT_TRUE(ended_with(system, 2));
  EXPECT_EQ(count(system.err, "\ngoroutine "), 3u);
#if WEFT_SYMBOLS
  EXPECT_TRUE(contains(part(system.err, "goroutine 2 "), "weft_gostart"));
  EXPECT_TRUE(contains(part(system.err, "goroutine 3 "), "__cxa_throw"));
#endif
  const auto crash = with("WEFT_TRACEBACK=crash");
  EXPECT_EQ(crash.signal, SIGABRT);
  EXPECT_EQ(count(crash.err, "\ngoroutine "), 3u);
  const auto nonsense = with("WEFT_TRACEBACK=loud");
  EXPECT_TRUE(ended_with(nonsense, 2));
  EXPECT_TRUE(starts_with(nonsense.err, "weft: WEFT_TRACEBACK=\"loud\" is not none, single, all, system or crash: ignored\npanic: boom\n"));
}
TEST(dump, of_a_fatal_error_is_left_out_by_weft_traceback_none) {
  const auto r = child("deadlock_of_a_server", {.env = {"WEFT_TRACEBACK=none"}});
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_EQ(r.err, "fatal error: all goroutines are asleep - deadlock!\n");
}
