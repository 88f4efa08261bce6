// exception_test.cpp: C++ exceptions and errno belong to the goroutine, not to the thread that happens to run it.
#include <atomic>
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string>

#include "support/support.hpp"

using namespace weft::test;

namespace {
void move_about() {
  weft::this_goroutine::yield();
  weft::this_goroutine::sleep_for(10us);
}
}  // namespace

// PANIC-01
WEFT_TEST(exception, is_caught_by_the_goroutine_that_threw_it) {
  std::atomic<int> right{0};
  weft::wait_group done;
  const int n = scale(1'000, 200);
  for (int i = 0; i < n; ++i) {
    done.go([&, i] {
      try {
        weft::this_goroutine::yield();
        throw std::runtime_error(std::to_string(i));
      } catch (const std::runtime_error& e) {
        if (e.what() == std::to_string(i)) ++right;
      }
    });
  }
  done.wait();
  EXPECT_EQ(right, n);
}

// The list of caught exceptions is the thread's in every C++ library. One that stayed behind at a park would be
// destroyed by a stranger's catch block, and rethrown by a stranger's `throw;`.
WEFT_TEST(exception, that_is_being_handled_stays_with_its_goroutine_over_parks) {
  std::atomic<int> right{0};
  weft::wait_group done;
  const int n = scale(300, 50);
  for (int i = 0; i < n; ++i) {
    done.go([&, i] {
      try {
        try {
          throw std::runtime_error(std::to_string(i));
        } catch (const std::exception& outer) {
          move_about();
          try {
            throw i;
          } catch (int inner) {
            move_about();
            if (inner != i) ADD_FAILURE() << "a stranger's inner exception";
          }
          move_about();
          if (outer.what() != std::to_string(i)) ADD_FAILURE() << "a stranger's outer exception";
          throw;
        }
      } catch (const std::runtime_error& again) {
        move_about();
        if (again.what() == std::to_string(i) && std::current_exception()) ++right;
      }
      if (std::current_exception()) ADD_FAILURE() << "an exception is left over";
    });
  }
  done.wait();
  EXPECT_EQ(right, n);
}

// A destructor that parks while its stack is unwound: scope guards ask uncaught_exceptions() what is going on.
WEFT_TEST(exception, count_of_uncaught_ones_stays_with_its_goroutine_over_parks) {
  struct guard {
    int expected;
    std::atomic<int>& wrong;
    ~guard() {
      for (int k = 0; k < 3; ++k) {
        if (std::uncaught_exceptions() != expected) ++wrong;
        move_about();
      }
    }
  };
  std::atomic<int> wrong{0};
  weft::wait_group done;
  for (int i = 0; i < scale(200, 50); ++i) {
    done.go([&, i] {
      if (i % 2 == 0) {
        guard calm{0, wrong};
        return;
      }
      try {
        guard unwinding{1, wrong};
        throw i;
      } catch (int v) {
        if (v != i || std::uncaught_exceptions() != 0) ++wrong;
      }
    });
  }
  done.wait();
  EXPECT_EQ(wrong, 0);
}

WEFT_TEST(exception, pointers_travel_between_goroutines) {
  auto c = weft::make_chan<std::exception_ptr>();
  weft::go([c] {
    try {
      throw weft::panic("over there");
    } catch (...) {
      c.send(std::current_exception());
    }
  });
  try {
    std::rethrow_exception(c.recv().value());
    FAIL();
  } catch (const weft::panic& e) {
    EXPECT_STREQ(e.what(), "over there");
  }
}

// Design D5. A goroutine that wakes elsewhere must find the errno that it left.
WEFT_TEST(errno_, stays_with_its_goroutine_over_parks) {
  struct access {
    // Not inlined: a compiler keeps the address of errno over calls, the very thing that goes wrong.
    [[gnu::noinline]] static void set(int v) { errno = v; }
    [[gnu::noinline]] static int get() { return errno; }
  };
  std::atomic<int> wrong{0};
  weft::wait_group done;
  for (int i = 1; i <= 100; ++i) {
    done.go([&, i] {
      for (int k = 0; k < scale(200, 20); ++k) {
        access::set(i);
        if (k % 8 == 0) weft::this_goroutine::sleep_for(1us);
        else weft::this_goroutine::yield();
        if (access::get() != i) ++wrong;
      }
    });
  }
  done.wait();
  EXPECT_EQ(wrong, 0);
}

WEFT_TEST(defer, runs_in_reverse_order_on_every_way_out) {
  std::string order;
  weft::wait_group done;
  done.go([&] {
    try {
      weft::defer first([&] { order += "1"; });
      weft::defer second([&] { weft::this_goroutine::yield(), order += "2"; });
      throw 1;
    } catch (int) {
      order += "c";
    }
    weft::defer last([&] { order += "3"; });
  });
  done.wait();
  EXPECT_EQ(order, "21c3");
}
