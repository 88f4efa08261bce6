// background_test.cpp: goroutines that take what is left over.
// weft-test: serial=1 chaos=0
#include <atomic>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {
constexpr weft::go_options in_background{.priority = weft::go_priority::background};
}

// One each 10 ms while others are runnable all the time, whatever way it gives up its turn; neither more nor none.
WEFT_TEST(background, goroutine_has_a_turn_now_and_then_beside_others) {
  with_procs one(1);
  for (const bool sleeps : {false, true}) {
    std::atomic<bool> stop{false};
    std::atomic<std::int64_t> turns{0};
    weft::wait_group done;
    for (int i = 0; i < 2; ++i) {
      done.go([&] {
        while (!stop) self::yield();
      });
    }
    done.add(2);
    const auto start = steady::now();
    for (int i = 0; i < 2; ++i) {
      weft::go(in_background, [&] {
        while (!stop) {
          ++turns;
          if (sleeps) self::sleep_for(1us);
          else self::yield();
        }
        done.done();
      });
    }
    EXPECT_TRUE(eventually([&] { return turns >= 4; })) << sleeps;
    self::sleep_for(100ms);
    const auto ran = turns.load();
    EXPECT_LE(ran, (steady::now() - start) / 10ms + 6) << sleeps;
    stop = true;
    done.wait();
  }
}

// Its turn is a whole slice each time, and ends just when the next one is due.
WEFT_TEST(background, goroutine_that_uses_up_its_slices_leaves_others_theirs) {
  with_procs one(1);
  std::atomic<long> normal{0}, in_the_background{0};
  const auto until = steady::now() + 1s;
  weft::wait_group done;
  const auto compute = [&](std::atomic<long>& turns) {
    for (; steady::now() < until; weft::poll()) ++turns;
    done.done();
  };
  done.add(3);
  for (int i = 0; i < 2; ++i) weft::go([&] { compute(normal); });
  weft::go(in_background, [&] { compute(in_the_background); });
  done.wait();
  EXPECT_GE(normal, in_the_background);
}

// After a call that blocks it goes on with whatever processor there is, and that does not count as a turn without end.
WEFT_TEST(background, goroutine_has_its_turns_though_it_blocks) {
  with_procs two(2);
  std::atomic<bool> stop{false};
  std::atomic<long> turns{0};
  weft::wait_group done;
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      for (; !stop; self::yield()) spin(50us);
    });
  }
  done.add(1);
  weft::go(in_background, [&] {
    for (; !stop; self::yield()) weft::blocking([] { std::this_thread::sleep_for(1ms); }), ++turns;
    done.done();
  });
  EXPECT_TRUE(eventually([&] { return turns >= 30; }));
  stop = true;
  done.wait();
}

WEFT_TEST(background, goroutine_has_its_turn_where_turns_are_long) {
  with_procs one(1);
  std::atomic<bool> stop{false};
  std::atomic<long> turns{0}, others{0};
  weft::wait_group done;
  for (int i = 0; i < 5; ++i) {
    done.go([&] {
      for (; !stop; self::yield()) spin(5ms), ++others;
    });
  }
  done.add(1);
  weft::go(in_background, [&] {
    for (; !stop; self::yield()) ++turns;
    done.done();
  });
  EXPECT_TRUE(eventually([&] { return others >= 150; }, 60s));
  EXPECT_GE(turns, 5);
  stop = true;
  done.wait();
}

WEFT_TEST(background, goroutines_run_when_there_is_nothing_else) {
  std::atomic<int> ran{0};
  for (int i = 0; i < 1'000; ++i) weft::go(in_background, [&] { self::yield(), ++ran; });
  EXPECT_TRUE(eventually([&] { return ran == 1'000; }));
}

// One after the other, the oldest first.
WEFT_TEST(background, goroutines_have_their_turns_in_order) {
  with_procs one(1);
  int last = -1, wrong = 0;
  weft::wait_group done;
  done.add(200);
  for (int i = 0; i < 200; ++i) {
    weft::go(in_background, [&, i] {
      wrong += i != last + 1;
      last = i;
      done.done();
    });
  }
  done.wait();
  EXPECT_EQ(wrong, 0);
}

WEFT_TEST(background, goroutine_is_not_starved_by_a_hog) {
  with_procs one(1);
  std::atomic<bool> ran{false};
  weft::go(in_background, [&] { ran = true; });
  weft::wait_group hog;
  hog.go([&] {
    while (!ran) {
    }
  });
  hog.wait();
  EXPECT_TRUE(ran);
}

// A background hog that others wait for loses its processor as anybody does.
WEFT_TEST(background, hog_holds_up_nobody) {
  with_procs one(1);
  std::atomic<bool> stop{false}, started{false};
  weft::wait_group done;
  done.add(1);
  weft::go(in_background, [&] {
    started = true;
    while (!stop) {
    }
    done.done();
  });
  EXPECT_TRUE(eventually([&] { return started.load(); }));
  self::sleep_for(1ms);
  stop = true;
  done.wait();
}
