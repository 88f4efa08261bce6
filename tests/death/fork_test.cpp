// fork_test.cpp: a child of fork() has none of weft's threads. Starting programs is safe; going on with weft is said, not hung.
// weft-test: emulated=0
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/sched.hpp"
#include "support/support.hpp"

extern char** environ;

using namespace weft::test;

namespace {

int status_of(pid_t pid) {
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

const char* const true_args[] = {"true", nullptr};

/// Forks as a goroutine while others run, and has the child do f; its exit status, or -2 for a signal.
template <class F>
int in_forked_child(F f) {
  return weft::run([&] {
    static std::atomic<bool> stop{false};
    for (int i = 0; i < 4; ++i) {
      weft::go([] {
        const auto c = weft::make_chan<int>(1);
        while (!stop) c.send(1), static_cast<void>(c.recv()), weft::this_goroutine::yield();
      });
    }
    weft::this_goroutine::sleep_for(1ms);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::alarm(5);  // instead of a hang
      f();
      ::_exit(77);
    }
    stop = true;
    return status_of(pid);
  });
}

/// Forks in a call so long that its processor has been taken, while others make calls, too, and has the child do f.
template <class F>
int in_child_without_a_processor(F f) {
  return weft::run([&] {
    const with_procs one(1);
    const auto block = [](std::chrono::microseconds d) {
      const timespec t{0, d.count() * 1'000};
      ::nanosleep(&t, nullptr);
    };
    static std::atomic<bool> stop{false};
    const pid_t parent = ::getpid();
    weft::wait_group others;
    for (int i = 0; i < 8; ++i) {
      others.go([&] {
        while (!stop) {
          if (::getpid() != parent) ::_exit(78);  // runs in the child, too
          weft::system_call([&] { block(1ms); });
        }
      });
    }
    const pid_t pid = weft::system_call([&] { return block(20ms), ::fork(); });
    if (pid == 0) {
      ::alarm(5);
      f();
      ::_exit(77);
    }
    const int status = weft::blocking([&] { return status_of(pid); });
    stop = true;
    others.wait();
    return status;
  });
}

const char* const said = "weft: this is a forked child; weft's threads stayed in its parent: only exec or _exit may follow\n";

}  // namespace

// Hazard 15, in a call that was asked to give way: in the child there is nobody to give way to.
WEFT_TEST(fork, in_a_system_call_goes_on_in_the_child) {
  const pid_t pid = weft::system_call([] {
    if (weft::p* pp = weft::self()->mp->pp)
      pp->attention.fetch_or(weft::attention_preempt, std::memory_order_release);  // [mo:attention]
    return ::fork();
  });
  if (pid == 0) ::_exit(weft::system_call([] { return 5; }));
  EXPECT_EQ(status_of(pid), 5);
}

// Hazard 15. A server that starts a helper program does so from whatever goroutine it is in.
WEFT_TEST(fork, then_exec_works_from_goroutines) {
  weft::wait_group done;
  std::atomic<int> fine{0};
  const int n = scale(8, 2);
  for (int i = 0; i < n; ++i) {
    done.go([&, i] {
      weft::this_goroutine::yield();
      if (i % 3 == 0) {
        pid_t pid = -1;
        ASSERT_EQ(::posix_spawnp(&pid, "true", nullptr, nullptr, const_cast<char**>(true_args), environ), 0);
        fine += status_of(pid) == 0;
      } else if (i % 3 == 1) {
        fine += std::system("exit 3") == 3 << 8;
      } else {
        const pid_t pid = ::fork();
        if (pid == 0) {
          ::execvp("true", const_cast<char**>(true_args));
          ::_exit(78);
        }
        fine += status_of(pid) == 0;
      }
    });
  }
  done.wait();
  EXPECT_EQ(fine, n);
}

WEFT_CHILD(forked_child_ends) {
  return in_forked_child([] { ::_exit(5); });
}
WEFT_CHILD(forked_child_yields) {
  return in_forked_child([] { weft::this_goroutine::yield(); });
}
WEFT_CHILD(forked_child_waits) {
  return in_forked_child([] { static_cast<void>(weft::make_chan<int>().recv()); });
}
WEFT_CHILD(forked_child_sleeps) {
  return in_forked_child([] { weft::this_goroutine::sleep_for(1ms); });
}
WEFT_CHILD(forked_child_without_a_processor) {
  const std::string what = args.at(0);
  return in_child_without_a_processor([&] {
    if (what == "ends") ::_exit(5);
    if (what == "waits with its thread") weft::this_goroutine::lock_thread(), static_cast<void>(weft::make_chan<int>().recv());
    if (what == "yields") weft::this_goroutine::yield();
    if (what == "waits") static_cast<void>(weft::make_chan<int>().recv());
  });
}
WEFT_CHILD(forked_child_exits) {
  return in_forked_child([] { weft::exit(0); });
}
WEFT_CHILD(forked_child_goes_on) {
  return in_forked_child([] {
    for (int i = 0; i < 1000; ++i) weft::go([] {});
    weft::wait_group done;
    done.go([] {});
    done.wait();
  });
}
WEFT_CHILD(forked_child_returns) {
  // Of main's function, or of another's.
  const bool of_main = args.at(0) == "main";
  static pid_t pid = -1;
  static const auto fork_and_return = [] {
    pid = ::fork();
    if (pid == 0) ::alarm(5);
  };
  return weft::run([&] {
    if (of_main) {
      fork_and_return();
    } else {
      weft::wait_group done;
      done.go(fork_and_return);
      done.wait();
    }
    return pid == 0 ? 79 : status_of(pid);
  });
}
WEFT_CHILD(forked_child_of_a_plain_thread) {
  static const auto c = weft::make_chan<int>();
  weft::run([] {});  // there was a world
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(5);
    if (args.at(0) == "wait") static_cast<void>(c.recv());
    if (args.at(0) == "wait a while") static_cast<void>(c.recv_for(1s));
    if (args.at(0) == "run") weft::run([] {});
    ::_exit(77);
  }
  return status_of(pid);
}
namespace {
/// ThreadSanitizer takes the parent's goroutines, which a forked child has copies of, for threads that it did not wait for.
auto forked(const std::string& scenario, std::vector<std::string> args = {}) {
  return child(scenario, {.env = {under_tsan ? "TSAN_OPTIONS=report_bugs=0" : ""}, .args = std::move(args)});
}
}  // namespace

// Hazard 15. What waits for a thread that is not there waits for ever.
TEST(fork, a_child_that_goes_on_with_weft_is_told_so) {
  EXPECT_TRUE(ended_with(forked("forked_child_ends"), 5));
  for (const char* what : {"yields", "waits", "sleeps", "exits", "goes_on"}) {
    const auto r = forked(std::string("forked_child_") + what);
    EXPECT_TRUE(ended_with(r, 2)) << what;
    EXPECT_EQ(r.err, said) << what;
  }
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(ended_with(forked("forked_child_without_a_processor", {"ends"}), 5));
  for (const char* what : {"yields", "waits", "waits with its thread"}) {
    const auto r = forked("forked_child_without_a_processor", {what});
    EXPECT_TRUE(ended_with(r, 2)) << what;
    EXPECT_EQ(r.err, said) << what;
  }
  for (const char* whose : {"main", "other"}) {
    const auto r = forked("forked_child_returns", {whose});
    EXPECT_TRUE(ended_with(r, 2)) << whose;
    EXPECT_EQ(r.err, said) << whose;
  }
  for (const char* what : {"wait", "wait a while", "run"}) {
    const auto r = forked("forked_child_of_a_plain_thread", {what});
    EXPECT_TRUE(ended_with(r, 2)) << what;
    EXPECT_EQ(r.err, said) << what;
  }
}

// A pre-forking server forks first: no world was there yet, so each process has its own.
WEFT_CHILD(forks_before_run) {
  const pid_t pid = ::fork();
  const int sum = weft::run([] {
    weft::wait_group done;
    static std::atomic<int> n{0};
    for (int i = 0; i < 10; ++i) done.go([] { weft::this_goroutine::yield(), ++n; });
    done.wait();
    return n.load();
  });
  if (pid == 0) ::_exit(sum);
  return sum + status_of(pid);
}
TEST(fork, before_the_first_run_is_fine) { EXPECT_TRUE(ended_with(child("forks_before_run"), 20)); }
