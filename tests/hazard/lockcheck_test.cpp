// lockcheck_test.cpp: hazard 3. A std::mutex that is held over a park is unlocked on another thread, or blocks the thread that its
// holder is to run on. WEFT_DEBUG=lockcheck=1 says who does that, where it locked and where it parked.
// weft-test: procs=1,4 libs=-rdynamic chaos=0
#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "support/support.hpp"

using namespace weft::test;

namespace {

int count(const std::string& text, std::string_view part) {
  int n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

child_result run_checked(std::string_view scenario, const char* setting = "WEFT_DEBUG=lockcheck=1") {
  return child(scenario, {.env = {setting}});
}

#define SKIP_WHERE_LOCKS_CANNOT_BE_WATCHED() \
  if (under_sanitizer) GTEST_SKIP() << "the sanitizer has its own functions of locks"

}  // namespace

// Not in a namespace without a name: reports name what the program exports.
[[gnu::noinline]] void the_place_that_locks(std::mutex& m) {
  m.lock();
  asm volatile("");
}
[[gnu::noinline]] void the_place_that_parks() {
  weft::this_goroutine::sleep_for(1us);
  asm volatile("");
}

WEFT_CHILD(sleeps_under_a_mutex) {
  return weft::run([] {
    std::mutex m;
    weft::wait_group done;
    for (int round = 0; round < 3; ++round) {
      done.go([&] {
        the_place_that_locks(m);
        the_place_that_parks();
        m.unlock();
      });
      done.wait();
    }
  });
}

TEST(lockcheck, names_both_places_once) {
  SKIP_WHERE_LOCKS_CANNOT_BE_WATCHED();
  const auto r = run_checked("sleeps_under_a_mutex");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(count(r.err, "weft: lockcheck: goroutine"), 1) << r.err;
  EXPECT_TRUE(contains(r.err, " parks [sleep] while it holds the lock 0x"));
  const auto locked = r.err.find("locked at:\n"), left = r.err.find("leaves its thread at:\n");
  ASSERT_NE(locked, std::string::npos);
  ASSERT_LT(locked, left);
  EXPECT_TRUE(contains(r.err.substr(locked, left - locked), "the_place_that_locks"));
  EXPECT_TRUE(contains(r.err.substr(left), "the_place_that_parks"));
}

TEST(lockcheck, may_be_fatal) {
  SKIP_WHERE_LOCKS_CANNOT_BE_WATCHED();
  const auto r = run_checked("sleeps_under_a_mutex", "WEFT_DEBUG=lockcheck=2");
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(contains(r.err, "fatal error: a goroutine parks while it holds a lock of its thread's"));
}

TEST(lockcheck, is_silent_unless_asked_for) {
  const auto r = run_checked("sleeps_under_a_mutex", "WEFT_DEBUG=");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
}

WEFT_CHILD(other_ways_to_leave_under_a_lock) {
  return weft::run([&] {
    std::mutex m, forgotten;
    std::shared_mutex rw;
    std::recursive_timed_mutex timed;
    weft::wait_group done;
    const std::string& how = args.at(0);
    done.go([&] {
      if (how == "yield") {
        const std::scoped_lock hold(m);
        weft::this_goroutine::yield();
      } else if (how == "sleep") {
        const std::shared_lock hold(rw);
        weft::this_goroutine::sleep_for(1us);
      } else if (how == "try") {
        if (!m.try_lock()) return;
        weft::this_goroutine::yield();
        m.unlock();
      } else if (how == "recursive") {
        const std::scoped_lock hold(timed);
        if (timed.try_lock_for(1s)) timed.unlock();  // the outer one is still held
        weft::this_goroutine::yield();
      } else {
        forgotten.lock();  // and ends
      }
    });
    done.go([] { weft::this_goroutine::yield(); });
    done.wait();
    static_cast<void>(eventually([] { return weft::goroutines() == 1; }));  // ended, and not only done
  });
}

TEST(lockcheck, knows_the_other_kinds_of_locks_and_of_leaving) {
  SKIP_WHERE_LOCKS_CANNOT_BE_WATCHED();
  for (const char* how : {"yield", "sleep", "try", "recursive", "end"}) {
    const auto r = child("other_ways_to_leave_under_a_lock", {.env = {"WEFT_DEBUG=lockcheck=1"}, .args = {how}});
    EXPECT_TRUE(ended_with(r, 0)) << how;
    EXPECT_EQ(count(r.err, "weft: lockcheck: goroutine"), 1) << how << ":\n" << r.err;
  }
}

// Hazard 18. The goroutine comes back; meanwhile whoever needs the static blocks a thread.
WEFT_CHILD(sleeps_in_an_initialisation) {
  return weft::run([] {
    static const int answer = [] {
      the_place_that_parks();
      return 42;
    }();
    static const int other = answer + 1;  // done without a park
    the_place_that_parks();
    return other - 43;
  });
}

TEST(lockcheck, names_parks_in_the_initialisation_of_a_static) {
  SKIP_WHERE_LOCKS_CANNOT_BE_WATCHED();
  const auto r = run_checked("sleeps_in_an_initialisation");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(count(r.err, "weft: lockcheck: goroutine"), 1) << r.err;
  EXPECT_TRUE(contains(r.err, "weft: lockcheck: goroutine 1 parks [sleep] in the initialisation of a static (its guard: 0x"));
}

// Nothing of this is wrong, and a tool that cries wolf is switched off.
WEFT_CHILD(all_well) {
  return weft::run([] {
    std::mutex m;
    std::shared_mutex rw;
    weft::mutex ours;
    std::mutex threads_own;
    plain_thread t([&] {
      const std::scoped_lock hold(threads_own);
      std::this_thread::sleep_for(2ms);
    });
    weft::wait_group done;
    for (int i = 0; i < 20; ++i) {
      done.go([&] {
        for (int k = 0; k < 50; ++k) {
          {
            const std::scoped_lock both(m, rw);
          }
          weft::this_goroutine::yield();
          const std::scoped_lock hold(ours);
          weft::this_goroutine::yield();
          if (m.try_lock()) m.unlock();
        }
      });
    }
    done.wait();
    t.join();
  });
}

TEST(lockcheck, says_nothing_of_locks_that_are_released_in_time) {
  SKIP_WHERE_LOCKS_CANNOT_BE_WATCHED();
  const auto r = run_checked("all_well");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
}
