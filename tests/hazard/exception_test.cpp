// exception_test.cpp: hazard 2. Which exceptions are being handled, and how many are on their way, is kept per thread by the C++
// library. Here goroutines park in the middle of all that, nested at random, and wake on other threads.
// weft-test: env=WEFT_DEBUG=chaos=2 flavours=O3,lto
#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>

#include "support/support.hpp"

using namespace weft::test;

namespace {

std::atomic<int> wrong{0};

void park(rng& r) {
  if (r.one_in(3)) weft::this_goroutine::sleep_for(1us);
  else weft::this_goroutine::yield();
}

std::string what_is_handled() {
  const std::exception_ptr e = std::current_exception();
  if (!e) return "";
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  } catch (...) {
    return "?";
  }
}

void expect(bool holds) {
  if (!holds) ++wrong;
}

void step(rng& r, int who, int depth, int uncaught);

// Parks while its stack is unwound, and throws and catches there too.
struct on_the_way_out {
  rng& r;
  int who, depth, uncaught;
  ~on_the_way_out() {
    expect(std::uncaught_exceptions() == uncaught);
    park(r);
    expect(std::uncaught_exceptions() == uncaught);
    if (depth > 0 && r.one_in(2)) step(r, who, depth - 1, uncaught);
    expect(std::uncaught_exceptions() == uncaught);
  }
};

// With `depth` more handlers in it, while `uncaught` exceptions are on their way.
void step(rng& r, int who, int depth, int uncaught) {
  const std::string outer = what_is_handled(), mine = std::to_string(who) + "/" + std::to_string(r.below(1'000'000));
  park(r);
  try {
    const on_the_way_out guard{r, who, depth - 1, uncaught + 1};
    expect(what_is_handled() == outer);
    throw std::runtime_error(mine);
  } catch (const std::exception& e) {
    park(r);
    expect(e.what() == mine && what_is_handled() == mine && std::uncaught_exceptions() == uncaught);
    if (depth > 0) step(r, who, depth - 1, uncaught);
    expect(what_is_handled() == mine);
    park(r);
    try {
      throw;
    } catch (const std::runtime_error& again) {
      park(r);
      expect(again.what() == mine);
      if (depth > 0) {
        try {
          std::throw_with_nested(std::logic_error("outside of " + mine));
        } catch (const std::nested_exception& nested) {
          park(r);
          try {
            nested.rethrow_nested();
          } catch (const std::exception& inside) {
            park(r);
            expect(inside.what() == mine);
          }
        }
      }
    }
    expect(what_is_handled() == mine);
  }
  park(r);
  expect(what_is_handled() == outer && std::uncaught_exceptions() == uncaught);
}

}  // namespace

WEFT_TEST(exceptions, in_any_nesting_stay_with_their_goroutine) {
  wrong = 0;
  weft::wait_group done;
  for (int i = 0; i < 12; ++i) {
    done.go([i] {
      rng r(static_cast<std::uint64_t>(i));
      for (int k = 0; k < scale(12, 2); ++k) step(r, i, 3, 0);
      expect(!std::current_exception());
    });
  }
  done.wait();
  EXPECT_EQ(wrong, 0);
}

// One object, many handlers on many threads: its count of references is all they share.
WEFT_TEST(exceptions, may_be_rethrown_by_many_goroutines_at_once) {
  std::atomic<int> right{0};
  const auto e = std::make_exception_ptr(std::runtime_error("shared"));
  weft::wait_group done;
  for (int i = 0; i < 50; ++i) {
    done.go([&, i] {
      rng r(static_cast<std::uint64_t>(i));
      try {
        std::rethrow_exception(e);
      } catch (const std::runtime_error& x) {
        park(r);
        if (std::string_view(x.what()) == "shared" && std::current_exception() == e) ++right;
      }
    });
  }
  done.wait();
  EXPECT_EQ(right, 50);
}

// The thread has exceptions of its own, from before run(); a goroutine that is left over parks in a handler on it.
TEST(exceptions, of_the_thread_that_called_run_are_its_own) {
  auto go_on = weft::make_chan<int>();
  std::atomic<bool> there{false}, still_mine{false};
  struct unwinding {
    ~unwinding() {
      EXPECT_EQ(std::uncaught_exceptions(), 1);
      weft::run([] {
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        EXPECT_FALSE(std::current_exception());
      });
      EXPECT_EQ(std::uncaught_exceptions(), 1);
    }
  };
  try {
    const unwinding here;
    throw std::runtime_error("the thread's");
  } catch (const std::exception&) {
    weft::run([&] {
      EXPECT_FALSE(std::current_exception());
      weft::go([&, go_on] {
        try {
          throw std::runtime_error("the goroutine's");
        } catch (const std::exception&) {
          there = true;
          static_cast<void>(go_on.recv());
          still_mine = what_is_handled() == "the goroutine's";
        }
      });
      EXPECT_TRUE(eventually([&] { return there.load(); }));
    });
    EXPECT_EQ(what_is_handled(), "the thread's");
  }
  EXPECT_FALSE(std::current_exception());
  weft::run([&] {
    go_on.send(1);
    EXPECT_TRUE(eventually([&] { return still_mine.load(); }));
  });
  EXPECT_FALSE(std::current_exception());
}
