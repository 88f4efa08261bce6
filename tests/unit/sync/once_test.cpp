// once_test.cpp: doing a thing once, and keeping what came of it.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "support/support.hpp"

using namespace weft::test;

// ONCE-01, ONCE-08: plain data, for ThreadSanitizer.
WEFT_TEST(once, runs_one_function_and_lets_all_wait_for_its_end) {
  for (int round = 0; round < scale(10'000, 200); ++round) {
    weft::once o;
    int plain = 0;
    weft::wait_group done;
    for (int i = 0; i < (round == 0 ? 10 : 4); ++i) {
      done.go([&] {
        o.call([&] {
          if (round % 64 == 0) weft::this_goroutine::yield();
          ++plain;
        });
        EXPECT_EQ(plain, 1);
      });
    }
    done.wait();
  }
}

// ONCE-02
WEFT_TEST(once, is_done_even_if_the_function_throws) {
  weft::once o;
  EXPECT_THROW(o.call([] { throw std::runtime_error("failed"); }), std::runtime_error);
  o.call([] { ADD_FAILURE() << "called again"; });
}

WEFT_TEST(once, hands_on_arguments) {
  weft::once o;
  auto p = std::make_unique<int>(7);
  int got = 0;
  o.call([&](std::unique_ptr<int> q, int n) { got = *q + n; }, std::move(p), 1);
  EXPECT_EQ(got, 8);
}

// ONCE-04
WEFT_TEST(once_func, runs_once_and_throws_the_same_each_time) {
  int calls = 0;
  const auto f = weft::once_func([&] { ++calls; });
  const auto copy = f;
  f(), copy(), f();
  EXPECT_EQ(calls, 1);
  const auto g = weft::once_func([&] {
    ++calls;
    throw std::runtime_error("number " + std::to_string(calls));
  });
  for (int i = 0; i < 3; ++i) {
    try {
      g();
      ADD_FAILURE() << "did not throw";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "number 2");
    }
  }
  EXPECT_EQ(calls, 2);
}

// ONCE-05
WEFT_TEST(once_value, gives_all_the_same_result) {
  std::atomic<int> calls{0};
  const auto text = weft::once_value([&] { return "value " + std::to_string(++calls); });
  weft::wait_group done;
  for (int i = 0; i < 10; ++i) {
    done.go([&, text] { EXPECT_EQ(text(), "value 1"); });
  }
  done.wait();
  EXPECT_EQ(&text(), &text());
  const auto both = weft::once_values([&] { return std::pair(++calls, std::string("two")); });
  for (int i = 0; i < 2; ++i) {
    const auto& [number, word] = both();
    EXPECT_EQ(number, 2);
    EXPECT_EQ(word, "two");
  }
  const auto bad = weft::once_value([&]() -> int { throw std::runtime_error(std::to_string(++calls)); });
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(bad());
      ADD_FAILURE() << "did not throw";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "3");
    }
  }
}

// ONCE-07
WEFT_TEST(once_func, lets_go_of_what_it_captured_after_the_call) {
  auto captured = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = captured;
  const auto f = weft::once_func([c = std::move(captured)] { EXPECT_EQ(*c, 1); });
  EXPECT_FALSE(seen.expired());
  f();
  EXPECT_TRUE(seen.expired());
  f();
  auto other = std::make_shared<int>(2);
  const std::weak_ptr<int> seen_too = other;
  const auto g = weft::once_func([c = std::move(other)] { throw 1; });
  EXPECT_THROW(g(), int);
  EXPECT_TRUE(seen_too.expired());
}

// ONCE-04. What throws when it is moved may be wrapped; nobody is told that the function did not return.
WEFT_TEST(once_func, does_not_move_the_function) {
  struct unwilling {
    bool* may_move;
    explicit unwilling(bool* may) : may_move(may) {}
    unwilling(unwilling&& o) : may_move(o.may_move) {
      if (!*may_move) throw std::runtime_error("moved");
    }
    int operator()() const { return 7; }
  };
  bool may_move = true;
  const auto f = weft::once_value(unwilling(&may_move));
  const auto g = weft::once_func(unwilling(&may_move));
  may_move = false;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(f(), 7);
    g();
  }
}

// ONCE-06
WEFT_TEST(once_func, is_over_when_the_goroutine_ends_in_it) {
  int calls = 0;
  const auto f = weft::once_func([&] {
    ++calls;
    weft::this_goroutine::exit();
  });
  weft::wait_group done;
  done.go([&] {
    const weft::defer d([&] { EXPECT_EQ(calls, 1); });
    f();
    ADD_FAILURE() << "went on";
  });
  done.wait();
  EXPECT_THROW(f(), weft::panic);
  EXPECT_EQ(calls, 1);
}

// Design D7
WEFT_TEST(once, is_for_threads_too) {
  weft::once o;
  std::atomic<int> calls{0};
  const auto work = [&] {
    o.call([&] {
      weft::this_goroutine::sleep_for(1ms);
      ++calls;
    });
    EXPECT_EQ(calls, 1);
  };
  plain_thread a(work), b(work);
  weft::wait_group done;
  done.go(work);
  done.wait();
  a.join(), b.join();
}
