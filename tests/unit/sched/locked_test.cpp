// locked_test.cpp: goroutines that stay on one thread, and have it for themselves.
// weft-test: serial=1 timeout=120
#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <sched.h>
#include <set>
#include <string>
#include <sys/prctl.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {

int thread_id() {
  return weft::on_this_thread([] { return ::gettid(); });
}
bool thread_exists(int tid) { return std::filesystem::exists("/proc/self/task/" + std::to_string(tid)); }

void block(std::chrono::nanoseconds d) {
  const timespec t{0, d.count()};
  ::nanosleep(&t, nullptr);
}

struct locked_to_thread {
  locked_to_thread() { self::lock_thread(); }
  ~locked_to_thread() { self::unlock_thread(); }
  locked_to_thread(const locked_to_thread&) = delete;
};

}  // namespace

// LOCKTHREAD-01. A library that keeps its state per thread must find it again, and must find nobody else in it.
WEFT_TEST(locked_goroutine, stays_on_its_thread_and_nobody_else_runs_there) {
  std::array<std::atomic<int>, 2> theirs{};
  std::atomic<int> moved{0}, intruders{0};
  std::atomic<bool> stop{false};
  weft::wait_group locked, others;
  auto c = weft::make_chan<int>();
  weft::mutex m;
  const int rounds = scale(1'250, 125);
  for (std::size_t i = 0; i < 2; ++i) {
    locked.go([&, i] {
      const locked_to_thread hold;
      const int tid = thread_id();
      theirs[i] = tid;
      rng r(i);
      const auto look = [&] { moved += thread_id() != tid; };
      for (int k = 0; k < rounds; ++k) {  // eight steps each
        self::yield(), look();
        if (i) c.send(k), look();
        else static_cast<void>(c.recv()), look();
        self::yield(), look();
        weft::system_call(&::getpid), look();
        {
          const std::lock_guard guard(m);
          self::yield(), look();
        }
        if (r.one_in(16)) self::sleep_for(10us), look();
        if (r.one_in(16)) weft::blocking([&] { block(1us); }), look();
        weft::wait_group inner;
        inner.go([] {});
        inner.wait(), look();
        weft::poll(), look();
        self::yield(), look();
      }
      theirs[i] = 0;
    });
  }
  for (int i = 0; i < 4; ++i) {
    others.go([&] {
      while (!stop) {
        const int tid = thread_id();
        intruders += tid == theirs[0] || tid == theirs[1];
        self::yield();
      }
    });
  }
  locked.wait();
  stop = true;
  others.wait();
  EXPECT_EQ(moved, 0);
  EXPECT_EQ(intruders, 0);
}

// LOCKTHREAD-02. Who is not locked any more shares the thread again: at procs 1 with who runs then.
WEFT_TEST(lock_thread, nests) {
  with_procs one(1);
  const auto shared = [] {
    const int mine = thread_id();
    std::atomic<int> other{0};
    for (int i = 0; i < 20 && other != mine; ++i) {
      weft::wait_group done;
      done.go([&] { other = thread_id(); });
      done.wait();
      if (thread_id() != mine) return true;  // as good a sign that it is not locked
    }
    return other == mine;
  };
  self::unlock_thread();  // does nothing
  EXPECT_TRUE(shared());
  self::lock_thread();
  self::lock_thread();
  EXPECT_FALSE(shared());
  self::unlock_thread();
  EXPECT_FALSE(shared());
  self::unlock_thread();
  EXPECT_TRUE(shared());
  self::unlock_thread();  // does nothing
  EXPECT_TRUE(shared());
  self::lock_thread();
  EXPECT_FALSE(shared());
  self::unlock_thread();
}

// LOCKTHREAD-03
WEFT_TEST(locked_goroutine, may_wait_for_anything) {
  for (const bool both : {false, true}) {
    auto c = weft::make_chan<int>();
    if (both) self::lock_thread();
    weft::go([=]() mutable {
      self::lock_thread();
      for (int i = 0; i < 10; ++i) c.send(i);
      c.close();
      self::unlock_thread();
    });
    int sum = 0;
    for (const int i : c) sum += i;
    EXPECT_EQ(sum, 45);
    if (both) self::unlock_thread();
  }
  const locked_to_thread hold;
  const int tid = thread_id();
  weft::mutex m;
  m.lock();
  weft::go([&] {
    self::sleep_for(1ms);
    m.unlock();
  });
  m.lock();
  m.unlock();
  self::sleep_for(1ms);
  EXPECT_FALSE(weft::make_chan<int>().recv_for(1ms));
  auto l = weft::net::listen("tcp", "127.0.0.1:0");
  weft::wait_group client;
  client.go([&] {
    auto s = weft::net::dial("tcp", l.address());
    const std::byte x{'x'};
    s.write_all({&x, 1});
  });
  auto s = l.accept();
  std::byte x{};
  EXPECT_EQ(s.read_some({&x, 1}), 1u);
  EXPECT_EQ(x, std::byte{'x'});
  client.wait();
  EXPECT_EQ(thread_id(), tid);
}

// LOCKTHREAD-04. From thread to thread: dearer than a switch, by a wake-up.
WEFT_TEST(locked_goroutine, plays_ping_pong_with_another) {
  constexpr int batches = 20;  // the best of them: the machine holds us up, too
  const int rounds = scale(10'000, 500) / batches;
  auto ping = weft::make_chan<int>(), pong = weft::make_chan<int>();
  weft::wait_group done;
  done.go([=]() mutable {
    const locked_to_thread hold;
    for (const int i : ping) pong.send(i + 1);
  });
  {
    const locked_to_thread hold;
    steady::duration best = 1h;
    int token = 0;
    for (int k = 0; k < batches; ++k) {
      const auto start = steady::now();
      for (int i = 0; i < rounds; ++i) {
        ping.send(token);
        token = *pong.recv();
      }
      best = std::min(best, steady::now() - start);
    }
    EXPECT_EQ(token, batches * rounds);
    EXPECT_LT(best / rounds, limit(150us));
    ping.close();
  }
  done.wait();
}

// The two are one slice, though each of their switches goes to another thread: the queue of the one P has its turn.
WEFT_TEST(locked_goroutine, that_keeps_waking_another_starves_nobody) {
  with_procs one(1);
  std::atomic<int> turns{0};
  std::atomic<bool> stop{false};
  auto ping = weft::make_chan<int>(), pong = weft::make_chan<int>();
  weft::wait_group done;
  done.go([=]() mutable {
    const locked_to_thread hold;
    for (const int i : ping) pong.send(i);
  });
  done.go([&]() {
    const locked_to_thread hold;
    for (int i = 0; !stop; ++i) {
      ping.send(i);
      if (pong.recv() != i) ADD_FAILURE() << i;
    }
    ping.close();
  });
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      while (!stop) ++turns, self::yield();
    });
  }
  EXPECT_TRUE(eventually([&] { return turns >= 100; }));
  stop = true;
  done.wait();
}

// LOCKTHREAD-05
WEFT_TEST(locked_goroutine, starts_goroutines_that_are_not_locked) {
  const locked_to_thread hold;
  const int mine = thread_id();
  std::atomic<int> here{0}, gone_on{0};
  weft::wait_group done;
  for (int i = 0; i < 20; ++i) {
    done.go([&] {
      here += thread_id() == mine;
      for (int k = 0; k < 10; ++k) self::yield();
      ++gone_on;
    });
  }
  done.wait();
  EXPECT_EQ(here, 0);
  EXPECT_EQ(gone_on, 20);
  EXPECT_EQ(thread_id(), mine);
}

// LOCKTHREAD-06. Fifty threads sleep for their goroutines; the one processor is somebody else's.
WEFT_TEST(locked_goroutine, that_waits_holds_up_nobody) {
  with_procs one(1);
  auto end = weft::make_chan<int>();
  std::atomic<int> waiting{0}, ran{0};
  weft::wait_group locked, done;
  for (int i = 0; i < 50; ++i) {
    locked.go([&] {
      const locked_to_thread hold;
      ++waiting;
      static_cast<void>(end.recv());
    });
  }
  EXPECT_TRUE(eventually([&] { return waiting == 50; }));
  for (int i = 0; i < 1'000; ++i) done.go([&] { self::yield(), ++ran; });
  done.wait();
  EXPECT_EQ(ran, 1'000);
  end.close();
  locked.wait();
}

// One that computes holds up others no more than an unlocked one.
WEFT_TEST(locked_goroutine, that_computes_holds_up_nobody) {
  with_procs one(1);
  std::atomic<bool> started{false}, stop{false};
  weft::wait_group done;
  done.go([&] {
    const locked_to_thread hold;
    const int tid = thread_id();
    started = true;
    while (!stop) {
    }
    self::yield();
    EXPECT_EQ(thread_id(), tid);
  });
  EXPECT_TRUE(eventually([&] { return started.load(); }));
  self::sleep_for(1ms);
  stop = true;
  done.wait();
}

// LOCKTHREAD-08
WEFT_TEST(lock_thread, of_two_at_once_beside_stops_of_the_world_does_not_hang) {
  with_procs four(4);
  std::atomic<bool> stop{false};
  weft::wait_group stopper;
  stopper.go([&] {
    for (int n = 1; !stop; n = n % 4 + 1) weft::set_procs(n), self::yield();
  });
  for (int round = 0; round < scale(100, 20); ++round) {
    weft::wait_group both;
    std::atomic<int> there{0};
    for (int i = 0; i < 2; ++i) {
      both.go([&] {
        ++there;
        while (there < 2) self::yield();
        const locked_to_thread hold;
        const int tid = thread_id();
        for (int k = 0; k < 5; ++k) self::yield();
        EXPECT_EQ(thread_id(), tid);
      });
    }
    both.wait();
  }
  stop = true;
  stopper.wait();
}

// Perhaps it has changed its thread in a way that nobody can undo: nobody else may have it.
WEFT_TEST(locked_goroutine, that_ends_so_takes_its_thread_along) {
  std::set<int> gone;
  for (int i = 0; i < 20; ++i) {
    std::atomic<int> tid{0};
    weft::wait_group done;
    done.go([&, i] {
      self::lock_thread();
      if (i % 2) self::yield();
      if (i % 3 == 0) self::lock_thread();
      tid = thread_id();
      if (i % 5 == 0) self::exit();
    });
    done.wait();
    if (tid == ::getpid()) continue;  // run()'s own thread is still needed: it only sleeps
    EXPECT_TRUE(eventually([&] { return !thread_exists(tid); })) << tid;
    gone.insert(tid);
  }
  EXPECT_GE(gone.size(), 10u);
}

WEFT_CHILD(locked_end_on_the_first_thread) {
  for (int round = 0; round < 3; ++round) {
    const int n = weft::run(
        [&] {
          std::atomic<int> on_first{0}, tries{0};
          while (on_first == 0 && tries < 1'000) {
            ++tries;
            weft::wait_group done;
            done.go([&] {
              if (::gettid() != ::getpid()) return;
              self::lock_thread();
              ++on_first;
            });
            done.wait();
          }
          int here = 0;
          for (int i = 0; i < 50; ++i) {
            self::sleep_for(100us);
            here += thread_id() == ::getpid();
          }
          return on_first == 1 && here == 0 ? 0 : 10 + here;
        },
        {.procs = 1});
    if (n != 0) return n;
  }
  return 0;
}
// run() has to return on the thread that called it, which therefore stays, and runs nobody.
TEST(locked_goroutine, that_ends_on_the_first_thread_leaves_it_to_nobody) {
  EXPECT_TRUE(ended_with(child("locked_end_on_the_first_thread"), 0));
}

namespace {
bool lock_in_init = false;
struct thread_facts {
  cpu_set_t cpus{};
  bool blocks_usr1 = false;
  int slack_ns = 0;
};
thread_facts facts_of_this_thread() {
  return weft::on_this_thread([] {
    thread_facts f;
    sched_getaffinity(0, sizeof f.cpus, &f.cpus);
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, nullptr, &now);
    f.blocks_usr1 = sigismember(&now, SIGUSR1) == 1;
    f.slack_ns = prctl(PR_GET_TIMERSLACK);
    return f;
  });
}
}  // namespace

WEFT_CHILD(a_changed_thread) {
  return weft::run(
      [] {
        const thread_facts usual = facts_of_this_thread();
        // Static: the goroutine that is locked looks at them to the end, and main does not wait for it.
        static std::atomic<bool> looked{false};
        static std::atomic<int> changed_tid{0};
        static int wrong = 0;
        weft::go([&] {
          self::lock_thread();  // and never unlocked
          cpu_set_t one;
          CPU_ZERO(&one);
          for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (!CPU_ISSET(cpu, &usual.cpus)) continue;
            CPU_SET(cpu, &one);
            break;
          }
          sched_setaffinity(0, sizeof one, &one);
          sigset_t usr1;
          sigemptyset(&usr1);
          sigaddset(&usr1, SIGUSR1);
          pthread_sigmask(SIG_BLOCK, &usr1, nullptr);
          prctl(PR_SET_TIMERSLACK, 123'456);
          changed_tid = thread_id();
          weft::go([&] {
            const thread_facts f = facts_of_this_thread();
            wrong = (thread_id() == changed_tid) + 2 * f.blocks_usr1 + 4 * (CPU_EQUAL(&f.cpus, &usual.cpus) == 0) + 8 * (f.slack_ns != usual.slack_ns);
            looked = true;
          });
          // Nobody sleeps: a thread is made to run the one above, while this one blocks.
          weft::blocking([&] {
            while (!looked) block(100us);
          });
        });
        weft::blocking([&] {
          while (!looked) block(100us);
        });
        return wrong;
      },
      {.procs = 1});
}
// Row 52 of Go's proc.go, TestLockOSThreadAvoidsStatePropagation: else a goroutine that has nothing to do with it is confined, too.
TEST(locked_goroutine, does_not_hand_down_what_it_did_to_its_thread) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ended_with(child("a_changed_thread"), 0));
}

WEFT_INIT(locks_main) {
  if (lock_in_init) self::lock_thread();
}
WEFT_CHILD(main_is_locked) {
  lock_in_init = args.at(0) == "init";
  return weft::run([&] {
    if (!lock_in_init) self::lock_thread();
    std::atomic<int> moved{0};
    for (int i = 0; i < 200; ++i) {
      weft::wait_group done;
      for (int k = 0; k < 5; ++k) done.go([&] { self::yield(), moved += ::gettid() == ::getpid(); });
      done.wait();
      moved += ::gettid() != ::getpid();
      self::yield();
      if (i % 10 == 0) weft::blocking([] { block(100us); });
      if (i % 10 == 5) self::sleep_for(100us);
      moved += ::gettid() != ::getpid();
    }
    return moved == 0 ? 7 : 1;
  });
}
// LOCKTHREAD-07. Window systems want the first thread.
TEST(lock_thread, at_the_begin_of_main_keeps_the_first_thread) {
  for (const char* where : {"init", "main"}) EXPECT_TRUE(ended_with(child("main_is_locked", {.args = {where}}), 7)) << where;
}

WEFT_TEST(lock_thread, on_a_plain_thread_does_nothing) {
  plain_thread([] {
    self::lock_thread();
    auto c = weft::make_chan<int>();
    weft::go([=]() mutable { c.send(1); });
    EXPECT_EQ(c.recv(), 1);
    self::unlock_thread();
  }).join();
}

// Left over at the end of a run, it goes on in the next one, on the same thread.
TEST(locked_goroutine, goes_on_in_a_later_run) {
  auto go_on = weft::make_chan<int>(), tids = weft::make_chan<int>();
  weft::run([=]() mutable {
    weft::go([=]() mutable {
      const locked_to_thread hold;
      for (tids.send(thread_id()); go_on.recv();) tids.send(thread_id());
      tids.close();
    });
  });
  int first = 0;
  for (int i = 0; i < 3; ++i) {
    weft::run([&] {
      if (i == 0) first = *tids.recv();
      go_on.send(i);
      EXPECT_EQ(*tids.recv(), first);
    });
  }
  weft::run([&] {
    go_on.close();
    EXPECT_FALSE(tids.recv());
  });
}
