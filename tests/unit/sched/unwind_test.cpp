// unwind_test.cpp: run_options.at_exit = unwind: whatever goroutines wait for when main returns, their destructors run.
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "support/support.hpp"

using namespace weft::test;

namespace {

constexpr weft::run_options unwinding{.at_exit = weft::at_exit_policy::unwind};

/// Runs body as main of a world that is unwound, and sees that nothing is left.
template <class F>
void run_and_unwind(F body) {
  const auto before = counted::alive.load();
  const int procs = weft::procs();
  weft::run(body, unwinding);
  EXPECT_EQ(weft::goroutines(), 0);
  EXPECT_EQ(counted::alive, before);
  EXPECT_EQ(weft::procs(), procs);
}

/// Until n of the goroutines have said that they are about to wait, and then some.
struct about_to_wait {
  std::atomic<int> n{0};
  void all(int wanted) {
    EXPECT_TRUE(eventually([&] { return n == wanted; }));
    weft::this_goroutine::sleep_for(1ms);
  }
};

}  // namespace

// Hazard 14. A leak checker, or a lock file that is to be removed, wants to see the destructors.
TEST(at_exit_unwind, runs_the_destructors_of_goroutines_that_wait) {
  std::atomic<int> went_on{0};
  run_and_unwind([&] {
    static about_to_wait waiting;
    waiting.n = 0;
    const auto full = weft::make_chan<int>(), empty = weft::make_chan<int>();
    const auto start = [&](auto wait) {
      weft::go([&went_on, wait, captured = counted(1)] {
        const counted local(2);
        const std::string text(100, 'x');
        ++waiting.n;
        wait();
        went_on += 1 + local.value * 0;
      });
    };
    start([=] { static_cast<void>(empty.recv()); });
    start([=] { full.send(1); });
    start([=] { static_cast<void>(empty.recv_for(1h)); });
    start([] { static_cast<void>(weft::chan<int>().recv()); });
    start([] { weft::chan<int>().send(1); });
    start([=] { weft::select(weft::on_recv(empty), weft::on_send(full, 2)); });
    start([=] { weft::select(weft::on_recv(empty), weft::on_timeout(1h)); });
    start([] { weft::select(); });
    start([] { weft::this_goroutine::sleep_for(1h); });
    start([] {
      for (;;) weft::this_goroutine::yield();
    });
    waiting.all(10);
  });
  EXPECT_EQ(went_on, 0);
}

TEST(at_exit_unwind, reaches_those_that_wait_for_a_group) {
  run_and_unwind([] {
    static about_to_wait waiting;
    waiting.n = 0;
    static weft::wait_group never;
    never.add(1);
    for (int i = 0; i < 3; ++i) {
      weft::go([c = counted(i)] {
        ++waiting.n;
        never.wait();
        ADD_FAILURE() << "went on";
      });
    }
    waiting.all(3);
  });
}

TEST(at_exit_unwind, reaches_those_that_wait_for_the_network) {
  run_and_unwind([] {
    static about_to_wait waiting;
    waiting.n = 0;
    auto listener = weft::net::listen("tcp", "127.0.0.1:0");
    const std::string address = listener.address();
    auto client = weft::net::dial("tcp", address);
    auto server = listener.accept();
    auto silent = weft::net::dial("tcp", address);
    auto server_of_silent = listener.accept();
    weft::go([l = std::move(listener), c = counted(1)]() mutable {
      ++waiting.n;
      static_cast<void>(l.accept());
    });
    weft::go([never_read = std::move(server), never_writes = std::move(silent), s = std::move(server_of_silent), c = counted(2)]() mutable {
      std::byte b[10];
      ++waiting.n;
      static_cast<void>(s.read_some(b));
    });
    weft::go([s = std::move(client), c = counted(3)]() mutable {
      const std::vector<std::byte> much(1 << 20);
      ++waiting.n;
      std::error_code error;  // when the others are unwound first, it fails
      while (!error) s.write_all(much, error);
    });
    waiting.all(3);
  });
}

// The parent's stack is under the child's feet.
TEST(at_exit_unwind, unwinds_children_before_parents) {
  std::vector<int> order;  // one processor unwinds
  run_and_unwind([&] {
    static about_to_wait waiting;
    waiting.n = 0;
    struct note {
      std::vector<int>* list;
      int depth;
      ~note() { list->push_back(depth); }
    };
    static void (*descend)(std::vector<int>&, int);
    descend = [](std::vector<int>& list, int depth) {
      const note n{&list, depth};
      const auto shared = weft::make_chan<int>();
      const counted on_the_parents_stack(depth);
      if (depth < 4) {
        for (int i = 0; i < 2; ++i) {
          weft::go([&, depth] {
            descend(list, depth + 1);
            EXPECT_EQ(on_the_parents_stack.value, depth);
          });
        }
      }
      struct looks {
        const counted& c;
        ~looks() { static_cast<void>(counted(c)); }
      } at_end{on_the_parents_stack};
      ++waiting.n;
      static_cast<void>(shared.recv());
    };
    weft::go([&] { descend(order, 0); });
    waiting.all(31);
  });
  ASSERT_EQ(order.size(), 31u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end(), std::greater<>())) << testing::PrintToString(order);
}

// A goroutine that never came to run has only what it captured.
TEST(at_exit_unwind, drops_what_has_not_run) {
  std::atomic<int> ran{0};
  run_and_unwind([&] {
    for (int i = 0; i < 1000; ++i) {
      weft::go([&ran, c = counted(i), text = std::string(100, 'x')] {
        ++ran;
        weft::this_goroutine::sleep_for(1h);
      });
    }
    for (int i = 0; i < 100; ++i) {
      auto t = weft::async([&ran, c = counted(i)] {
        ++ran;
        weft::this_goroutine::sleep_for(1h);
        return std::make_unique<int>(5);
      });
    }
  });
  EXPECT_LE(ran, 1100);
}

TEST(at_exit_unwind, reaches_tasks_and_who_joins_them) {
  run_and_unwind([] {
    static about_to_wait waiting;
    waiting.n = 0;
    for (int i = 0; i < 10; ++i) {
      weft::go([i, c = counted(i)] {
        auto t = weft::async([c2 = counted(i)] {
          const counted local(1);
          ++waiting.n;
          weft::this_goroutine::sleep_for(1h);
          return 5;
        });
        if (i % 2) weft::this_goroutine::sleep_for(100us);  // else it runs on this stack
        const counted local(2);
        t.join();
        ADD_FAILURE() << "went on";
      });
    }
    waiting.all(10);
  });
}

// Destructors unlock, close and tell; others that hear of it go on to their next wait.
TEST(at_exit_unwind, lets_destructors_use_channels_and_mutexes) {
  std::atomic<int> got_the_mutex{0};
  run_and_unwind([&] {
    static about_to_wait waiting;
    waiting.n = 0;
    auto m = std::make_shared<weft::mutex>();
    const auto forever = weft::make_chan<int>();
    const auto words = weft::make_chan<int>(4);
    for (int i = 0; i < 4; ++i) {
      weft::go([&, m, forever, words, c = counted(i)] {
        ++waiting.n;
        const std::lock_guard hold(*m);
        weft::defer tell([&] { words.send(1), weft::this_goroutine::yield(), weft::this_goroutine::sleep_for(1ms); });
        ++got_the_mutex;
        static_cast<void>(forever.recv());
      });
    }
    waiting.all(4);
  });
  EXPECT_EQ(got_the_mutex, 4);
}

TEST(at_exit_unwind, begins_the_next_run_with_nothing) {
  for (int i = 0; i < 20; ++i) {
    run_and_unwind([&] {
      EXPECT_EQ(weft::goroutines(), 1);
      for (int k = 0; k < 20; ++k) {
        weft::go([k, c = counted(k)] {
          const auto ch = weft::make_chan<counted>(3);
          ch.send(counted(k));
          if (k % 3) weft::this_goroutine::yield();
          while (k % 2) weft::this_goroutine::sleep_for(10us);
          static_cast<void>(weft::make_chan<int>().recv());
        });
      }
      if (i % 2) weft::this_goroutine::sleep_for(1ms);
    });
  }
}

WEFT_TEST(at_exit_unwind, costs_other_worlds_nothing) {
  weft::go([] { weft::this_goroutine::sleep_for(1ms); });
  weft::this_goroutine::sleep_for(5ms);
}

WEFT_CHILD(stuck_goroutines) {
  static about_to_wait waiting;
  struct waits_in_destructor {
    std::string text = std::string(100, 'x');
    ~waits_in_destructor() { static_cast<void>(weft::make_chan<int>().recv()); }
  };
  return weft::run(
      [] {
        weft::go({.name = "destructor"}, [] {  // it waits in a destructor when the end comes
          waits_in_destructor w;
          ++waiting.n;
        });
        weft::go({.name = "later"}, [] {  // it will wait in one
          waits_in_destructor w;
          ++waiting.n;
          weft::this_goroutine::sleep_for(1h);
        });
        weft::go({.name = "mutex"}, [] {
          weft::mutex m;
          m.lock();
          ++waiting.n;
          m.lock();
        });
        weft::go({.name = "fine"}, [] {
          ++waiting.n;
          weft::this_goroutine::sleep_for(1h);
        });
        waiting.all(4);
        std::printf("main");
        return 4;
      },
      unwinding);
}
// Nothing that cannot be unwound keeps a program from ending.
TEST(at_exit_unwind, names_those_that_it_leaves) {
  const auto r = child("stuck_goroutines");
  EXPECT_TRUE(ended_with(r, 4));
  EXPECT_EQ(r.out, "main");
  EXPECT_TRUE(contains(r.err, "weft: at_exit::unwind: goroutine "));
  EXPECT_TRUE(contains(r.err, "[chan receive] destructor could not be unwound and stays as it is\n"));
  EXPECT_TRUE(contains(r.err, "[chan receive] later could not be unwound and stays as it is\n"));
  EXPECT_TRUE(contains(r.err, "[sync.Mutex.Lock] mutex could not be unwound and stays as it is\n"));
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 3) << r.err;
}
