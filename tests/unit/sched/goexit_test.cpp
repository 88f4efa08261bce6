// goexit_test.cpp: this_goroutine::exit(): a goroutine ends from anywhere within, and its destructors run.
#include <atomic>
#include <exception>
#include <ostream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>


#include "support/support.hpp"

using namespace weft::test;

namespace {

// By a pointer: the compilers warn of recursion without end where they know that it does not return.
void (*volatile const end)() = &weft::this_goroutine::exit;

struct note_end {
  std::vector<int>* list;
  int n;
  ~note_end() { list->push_back(n); }
};

[[gnu::noinline]] void deep(std::vector<int>& ended, int n) {
  const note_end outer{&ended, 2 * n};
  const note_end inner{&ended, 2 * n - 1};
  if (n > 1) deep(ended, n - 1);
  else end();
}

/// Runs f as a goroutine and waits for its end.
template <class F>
void in_goroutine(F f) {
  weft::wait_group ended;
  ended.go(std::move(f));
  ended.wait();
}

}  // namespace

// PANIC-05. Whoever forgets a frame leaks a lock or a file.
WEFT_TEST(goexit, runs_the_destructors_of_all_frames_innermost_first) {
  std::vector<int> ended;
  bool went_on = false;
  in_goroutine([&] {
    deep(ended, 3);
    went_on = true;
  });
  EXPECT_EQ(ended, (std::vector{1, 2, 3, 4, 5, 6}));
  EXPECT_FALSE(went_on);
}

// PANIC-05. A loop that survives every failure of one round must not survive its goroutine's end.
WEFT_TEST(goexit, is_not_an_exception) {
  std::string seen;
  in_goroutine([&] {
    try {
      try {
        weft::this_goroutine::exit();
      } catch (const std::exception&) {
        seen += "exception ";
      }
    } catch (...) {
      seen += std::to_string(std::uncaught_exceptions()) + "all ";
      throw;
    }
    seen += "on";
  });
  EXPECT_EQ(seen, "0all ");
}

// Handlers that pass on what they do not know are everywhere, also where another exception is being handled.
WEFT_TEST(goexit, passes_handlers_within_handlers) {
  std::string seen;
  in_goroutine([&] {
    try {
      throw std::runtime_error("first");
    } catch (const std::runtime_error&) {
      try {
        try {
          weft::this_goroutine::exit();
        } catch (...) {
          seen += std::current_exception() ? "a" : "-";
          const std::exception_ptr kept = std::current_exception();
          throw;
        }
      } catch (...) {
        seen += "b";
        throw;
      }
    }
  });
  EXPECT_EQ(seen, "ab");
}

// PANIC-07
WEFT_TEST(goexit, runs_deferred_actions_latest_first) {
  std::string seen;
  in_goroutine([&] {
    weft::defer a([&] { seen += "a"; });
    weft::defer b([&] { seen += "b"; });
    weft::this_goroutine::exit();
  });
  EXPECT_EQ(seen, "ba");
}

namespace {
struct waits_when_destroyed {
  weft::chan<int> in, out;
  std::atomic<int>* uncaught;
  ~waits_when_destroyed() {
    for (int i = 0; i < 10; ++i) {
      weft::this_goroutine::yield();
      out.send(i);
      EXPECT_EQ(in.recv(), i);
    }
    *uncaught += std::uncaught_exceptions();
  }
};
[[gnu::noinline]] void nested_waits(const weft::chan<int>& in, const weft::chan<int>& out, std::atomic<int>& uncaught, int depth) {
  const waits_when_destroyed w{in, out, &uncaught};
  if (depth > 0) nested_waits(in, out, uncaught, depth - 1);
  else end();
}
}  // namespace

// PANIC-05. What the unwinder knows must travel with the goroutine, for it goes on on another thread.
WEFT_TEST(goexit, may_wait_in_destructors) {
  const int n = scale(200, 10), depth = 5;
  std::atomic<int> uncaught{0};
  weft::wait_group ended;
  for (int i = 0; i < n; ++i) {
    const auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
    ended.go([&, a, b] {
      nested_waits(a, b, uncaught, depth - 1);
    });
    ended.go([a, b] {
      for (int k = 0; k < 10 * depth; ++k) a.send(*b.recv());
    });
  }
  ended.wait();
  EXPECT_EQ(uncaught, n * depth);
}

// An exception within a destructor, caught there, is nobody else's business.
WEFT_TEST(goexit, destructors_may_throw_and_catch) {
  struct tries {
    std::string* seen;
    ~tries() {
      try {
        weft::this_goroutine::yield();
        throw std::runtime_error("inner");
      } catch (const std::exception& e) {
        weft::this_goroutine::yield();
        *seen += e.what();
      }
    }
  };
  std::string seen;
  in_goroutine([&] {
    tries a{&seen}, b{&seen};
    weft::this_goroutine::exit();
  });
  EXPECT_EQ(seen, "innerinner");
}

// PANIC-06
WEFT_TEST(goexit, ten_thousand_of_them_leave_nothing) {
  const int n = scale(10'000);
  const auto before = counted::alive.load();
  weft::wait_group ended;
  std::atomic<int> destroyed{0};
  for (int i = 0; i < n; ++i) {
    ended.go([&, i, captured = counted(i)] {
      const counted local(i);
      const std::string text(static_cast<std::size_t>(100 + i % 10), 'x');
      weft::defer d([&] { ++destroyed; });
      std::vector<int> list;
      deep(list, 1 + i % 7);
    });
  }
  ended.wait();
  EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; }));
  EXPECT_EQ(destroyed, n);
  EXPECT_EQ(counted::alive, before);
}

// WAITGROUP-07
WEFT_TEST(goexit, counts_as_the_end_for_a_wait_group) {
  weft::wait_group group;
  std::atomic<bool> captured_is_gone{false};
  struct tells {
    std::atomic<bool>* gone;
    bool live = true;
    explicit tells(std::atomic<bool>* g) : gone(g) {}
    tells(tells&& o) noexcept : gone(o.gone), live(std::exchange(o.live, false)) {}
    ~tells() {
      if (live) *gone = true;
    }
  };
  group.go([t = tells(&captured_is_gone)] { weft::this_goroutine::exit(); });
  group.wait();
  EXPECT_TRUE(captured_is_gone);
}

// The joiner waits for a value that will never be there.
WEFT_TEST(goexit, of_a_task_is_told_to_who_joins_it) {
  for (int i = 0; i < 50; ++i) {
    auto t = weft::async([]() -> int { weft::this_goroutine::exit(); });
    if (i % 2) weft::this_goroutine::sleep_for(10us);  // else it runs on this stack
    EXPECT_THROW(t.join(), weft::task_exited);
  }
  {
    auto dropped = weft::async([] { weft::this_goroutine::exit(); });
  }
}

// A task that is joined in a destructor runs on the stack of a goroutine that unwinds: it is its own goroutine all the same.
WEFT_TEST(goexit, of_a_task_within_an_exit) {
  struct joins {
    int* caught;
    ~joins() {
      auto t = weft::async([] { weft::this_goroutine::exit(); });
      try {
        t.join();
      } catch (const weft::task_exited&) {
        ++*caught;
      }
    }
  };
  int caught = 0;
  in_goroutine([&] {
    joins a{&caught}, b{&caught};
    weft::this_goroutine::exit();
  });
  EXPECT_EQ(caught, 2);
}

namespace {
struct exits_on_write : std::streambuf {
  int overflow(int) override { weft::this_goroutine::exit(); }
};
}  // namespace
// The library's streams catch everything; they know a forced unwind and let it pass.
WEFT_TEST(goexit, passes_through_iostreams) {
  bool went_on = false;
  in_goroutine([&] {
    exits_on_write buffer;
    std::ostream out(&buffer);
    out << "text" << 5;
    went_on = true;
  });
  EXPECT_FALSE(went_on);
}

// On a thread that weft did not make it ends that thread.
TEST(goexit, ends_a_plain_thread) {
  bool destroyed = false, went_on = false;
  std::thread([&] {
    weft::defer d([&] { destroyed = true; });
    weft::this_goroutine::exit();
    went_on = true;
  }).join();
  EXPECT_TRUE(destroyed);
  EXPECT_FALSE(went_on);
}

// The goroutine that gets the record and the stack next starts with nothing of the old one's.
WEFT_TEST(goexit, leaves_no_exception_state_behind) {
  for (int i = 0; i < 100; ++i) {
    in_goroutine([] {
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      EXPECT_FALSE(std::current_exception());
      try {
        throw 1;
      } catch (int) {
        weft::this_goroutine::exit();
      }
    });
  }
}
