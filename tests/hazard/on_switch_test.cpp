// on_switch_test.cpp: hazard 18. Libraries keep state for each thread that nobody sees: a locale, a queue of errors, a current context.
// Between two calls of such a library a goroutine may have changed threads, and others have used the library on either.
// Chaos mode moves goroutines about on every occasion.
// weft-test: env=WEFT_DEBUG=chaos=1 timeout=120
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <locale.h>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

#include "support/support.hpp"

using namespace weft::test;

namespace {

// A library as they are: its last errors are the calling thread's. noinline: it comes out of another file.
namespace library {
using errors = std::vector<int>;
thread_local errors queue;
[[gnu::noinline]] void fails(int code) { queue.push_back(code); }
[[gnu::noinline]] errors& of_this_thread() {
  asm volatile("");  // nor is it known to give the same each time
  return queue;
}
}  // namespace library

/// Its errors, as one goroutine's.
struct own_errors {
  library::errors mine;
  int entered = 0, left = 0;
  weft::on_switch follow{{.enter = &enter, .leave = &leave, .arg = this}};

  static void enter(void* self) noexcept {
    auto& o = *static_cast<own_errors*>(self);
    ++o.entered;
    o.mine.swap(library::of_this_thread());
  }
  static void leave(void* self) noexcept {
    auto& o = *static_cast<own_errors*>(self);
    ++o.left;
    o.mine.swap(library::of_this_thread());
  }
};

void park(int k, const weft::chan<int>& c, weft::mutex& m) {
  switch (k % 4) {
    case 0: weft::this_goroutine::yield(); break;
    case 1: weft::this_goroutine::sleep_for(1us); break;
    case 2: weft::select(weft::on_recv(c), weft::on_send(c, 1)); break;
    default: {
      const std::scoped_lock hold(m);
      weft::this_goroutine::yield();
    }
  }
}

}  // namespace

WEFT_TEST(on_switch, carries_a_librarys_state_from_thread_to_thread) {
  std::atomic<int> wrong{0}, moves{0};
  const auto once = [&] {
    const auto c = weft::make_chan<int>(2);
    weft::mutex m;
    weft::wait_group done;
    for (int i = 0; i < 2 * weft::procs() + 2; ++i) {
      done.go([&, i] {
        if (i % 2 != 0) {  // has no hooks, and leaves its traces on every thread
          for (int k = 0; k < scale(200, 40); ++k) library::fails(-i), park(k, c, m);
          return;
        }
        own_errors errors;
        auto last = ::gettid();
        for (int k = 0; k < scale(200, 40); ++k) {
          library::fails(i);
          park(k + i, c, m);
          const auto& seen = library::of_this_thread();
          wrong += seen.size() != static_cast<std::size_t>(k) + 1 || seen.front() != i || seen.back() != i;
          if (const auto now = ::gettid(); now != last) ++moves, last = now;
        }
        wrong += errors.entered != errors.left + 1;
        weft::this_goroutine::yield();
      });
    }
    done.wait();
  };
  once();
  EXPECT_TRUE(weft::procs() == 1 || eventually([&] { return once(), moves > 0; })) << "or this test shows nothing";
  EXPECT_EQ(wrong, 0);
}

// A real one: printf's decimal point.
WEFT_TEST(on_switch, carries_a_locale) {
  const ::locale_t other = ::newlocale(LC_ALL_MASK, "C.UTF-8", nullptr);
  if (!other) GTEST_SKIP() << "no other locale here";
  struct own_locale {
    ::locale_t mine, threads = nullptr;
    weft::on_switch follow{{.enter = [](void* self) noexcept { static_cast<own_locale*>(self)->change(); },
                            .leave = [](void* self) noexcept { static_cast<own_locale*>(self)->change(); },
                            .arg = this}};
    void change() noexcept {
      threads = ::uselocale(mine);
      mine = threads;
    }
  };
  std::atomic<int> wrong{0};
  const auto is = [](::locale_t l) { return weft::on_this_thread([] { return ::uselocale(nullptr); }) == l; };
  weft::wait_group done;
  for (int i = 0; i < 2 * weft::procs() + 2; ++i) {
    done.go([&, i] {
      if (i % 2 != 0) {
        for (int k = 0; k < scale(200, 40); ++k) weft::this_goroutine::yield(), wrong += !is(LC_GLOBAL_LOCALE);
      } else {
        own_locale here{.mine = other};
        for (int k = 0; k < scale(200, 40); ++k) weft::this_goroutine::yield(), wrong += !is(other);
      }
      wrong += !is(LC_GLOBAL_LOCALE);
    });
  }
  done.wait();
  EXPECT_EQ(wrong, 0);
  ::freelocale(other);
}

namespace {
struct noted {
  std::string* to;
  char name;
  static void enter(void* self) noexcept { *static_cast<noted*>(self)->to += static_cast<noted*>(self)->name; }
  static void leave(void* self) noexcept { *static_cast<noted*>(self)->to += static_cast<char>(static_cast<noted*>(self)->name - 'a' + 'A'); }
  weft::switch_hooks hooks() { return {&enter, &leave, this}; }
};
}  // namespace

WEFT_TEST(on_switch, of_several_leaves_the_latest_first_and_enters_it_last) {
  std::string log;
  noted a{&log, 'a'}, b{&log, 'b'};
  const auto c = weft::make_chan<void>();
  weft::go([c] { c.send(); });
  {
    const weft::on_switch outer(a.hooks());
    {
      const weft::on_switch inner(b.hooks());
      const weft::on_switch empty(weft::switch_hooks{});
      EXPECT_EQ(log, "ab");
      c.recv();
    }
  }
  // It may have parked or not, and more than once.
  std::size_t at = 2;
  while (log.compare(at, 4, "BAab") == 0) at += 4;
  EXPECT_EQ(log.substr(at), "BA") << log;
}

WEFT_TEST(on_switch, is_over_when_it_is_destroyed_by_an_exception_or_an_exit) {
  std::string log;
  noted a{&log, 'a'};
  try {
    const weft::on_switch here(a.hooks());
    throw std::runtime_error("on");
  } catch (const std::runtime_error&) {
    weft::this_goroutine::yield();
  }
  EXPECT_EQ(log, "aA");
  weft::wait_group done;
  done.go([&] {
    const weft::on_switch here(a.hooks());
    weft::this_goroutine::exit();
  });
  done.wait();
  EXPECT_EQ(log, "aAaA");
}

// Exceptions and errno are the goroutine's; what a hook does with its own leaves no trace.
WEFT_TEST(on_switch, hooks_may_use_exceptions_and_errno) {
  const weft::switch_hooks hooks{.enter =
                                     [](void*) noexcept {
                                       try {
                                         throw 1;
                                       } catch (int) {
                                         errno = EXDEV;
                                       }
                                     },
                                 .leave =
                                     [](void*) noexcept {
                                       try {
                                         throw std::runtime_error("in a hook");
                                       } catch (const std::exception&) {
                                         errno = EXDEV;
                                       }
                                     }};
  const weft::on_switch here(hooks);
  std::atomic<bool> stop{false};
  weft::wait_group done;
  done.go([&] {
    while (!stop) weft::this_goroutine::yield();
  });
  for (int i = 0; i < 50; ++i) {
    try {
      throw i;
    } catch (int) {
      weft::on_this_thread([] { errno = ENOENT; });
      weft::this_goroutine::yield();
      weft::this_goroutine::sleep_for(1us);
      EXPECT_EQ(weft::on_this_thread([] { return errno; }), ENOENT);
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      try {
        throw;
      } catch (int now) {
        EXPECT_EQ(now, i);
      }
    }
  }
  stop = true;
  done.wait();
}

// They run on the thread's own large stack, and what does not wait works there.
WEFT_TEST(on_switch, hooks_may_use_what_does_not_wait) {
  struct state {
    weft::chan<int> c = weft::make_chan<int>(1);
    std::atomic<int> received{0};
  } s;
  const weft::switch_hooks hooks{.enter = [](void* to) noexcept { static_cast<void>(static_cast<state*>(to)->c.try_send(1)); },
                                 .leave = [](void* to) noexcept { static_cast<void>(static_cast<state*>(to)->c.try_send(1)); },
                                 .arg = &s};
  weft::wait_group done;
  done.go([&] {
    for ([[maybe_unused]] const int i : s.c) ++s.received;
  });
  {
    const weft::on_switch here(hooks);
    EXPECT_TRUE(eventually([&] { return s.received >= 10; }));
  }
  EXPECT_TRUE(eventually([&] { return s.received >= 11; }));
  s.c.close();
  done.wait();
}

// A wait that is called off at the last moment leaves nobody out and enters nobody twice.
WEFT_TEST(on_switch, is_entered_once_for_each_time_it_was_left) {
  std::atomic<int> in{0}, wrong{0};
  struct counts {
    std::atomic<int>*in, *wrong;
    int here = 0;
  };
  const weft::chan<int> c = weft::make_chan<int>();
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      counts mine{&in, &wrong};
      const weft::on_switch here({.enter =
                                      [](void* arg) noexcept {
                                        auto& m = *static_cast<counts*>(arg);
                                        *m.wrong += m.here++ != 0;
                                        ++*m.in;
                                      },
                                  .leave =
                                      [](void* arg) noexcept {
                                        auto& m = *static_cast<counts*>(arg);
                                        *m.wrong += --m.here != 0;
                                        --*m.in;
                                      },
                                  .arg = &mine});
      for (int k = 0; k < scale(500, 50); ++k) {
        static_cast<void>(c.recv_for(1us));
        if (k % 5 == 0) weft::blocking([] { ::usleep(10); });
        wrong += mine.here != 1;
      }
    });
    done.go([&] {
      for (int k = 0; k < scale(500, 50); ++k) static_cast<void>(c.try_send(1)), weft::this_goroutine::yield();
    });
  }
  done.wait();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(in, 0);
}

WEFT_TEST(on_switch, on_a_plain_thread_is_a_begin_and_an_end) {
  std::string log;
  plain_thread([&] {
    noted a{&log, 'a'};
    const weft::on_switch here(a.hooks());
    weft::this_goroutine::yield();
    weft::this_goroutine::sleep_for(1us);
  });
  EXPECT_EQ(log, "aA");
}

namespace {
std::atomic<bool> counting{false};
std::atomic<std::uint64_t> counter{0};
}  // namespace
// STW-01. What runs on the scheduler's stack is no goroutine's, and stands still all the same.
WEFT_TEST(on_switch, and_call_c_stand_still_with_the_world) {
  if (weft::procs() == 1) return;
  std::atomic<bool> stop{false};
  weft::wait_group done;
  done.go([&] {
    weft::call_c([&] {
      counting = true;
      while (!stop) ++counter;
    });
  });
  done.go([&] {
    const weft::on_switch here({.leave = [](void*) noexcept {
      for (int i = 0; i < 100; ++i) ++counter;
    }});
    while (!stop) weft::this_goroutine::yield();
  });
  EXPECT_TRUE(eventually([] { return counting.load(); }));
  for (int i = 0; i < 20; ++i) {
    std::uint64_t before = 0, after = 0;
    weft::stop_the_world([&]() noexcept {
      before = counter;
      spin(3ms);  // long enough for a thread to get a processor
      after = counter;
    });
    EXPECT_EQ(before, after);
    weft::this_goroutine::yield();
  }
  stop = true;
  done.wait();
}
