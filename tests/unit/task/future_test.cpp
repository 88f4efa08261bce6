// future_test.cpp: std::futures of plain threads, waited for in goroutines.
#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "support/support.hpp"

using namespace weft::test;

// With one processor nobody else would run while its thread blocks in std::future::get().
WEFT_TEST(future, others_run_while_it_waits) {
  std::promise<int> p;
  std::atomic<bool> others_ran{false};
  weft::go([&] {
    weft::this_goroutine::yield();
    others_ran = true;
    p.set_value(5);
  });
  EXPECT_EQ(weft::get(p.get_future()), 5);
  EXPECT_TRUE(others_ran);
}

WEFT_TEST(future, gives_values_and_exceptions_of_all_kinds) {
  EXPECT_EQ(weft::get(std::async(std::launch::async, [] { return std::string("thread"); })), "thread");
  EXPECT_EQ(*weft::get(std::async(std::launch::async, [] { return std::make_unique<int>(3); })), 3);
  EXPECT_THROW(weft::get(std::async(std::launch::async, [] { throw std::runtime_error("x"); })), std::runtime_error);
  EXPECT_THROW(weft::get(std::future<int>()), std::future_error);
  const std::uint64_t mine = weft::this_goroutine::id();
  EXPECT_EQ(weft::get(std::async(std::launch::deferred, [] { return weft::this_goroutine::id(); })), mine);
  std::promise<void> broken;
  auto f = broken.get_future();
  std::exchange(broken, {});
  EXPECT_THROW(weft::get(std::move(f)), std::future_error);
  int x = 4;
  std::promise<int&> reference;
  reference.set_value(x);
  EXPECT_EQ(&weft::get(reference.get_future()), &x);
}

WEFT_TEST(future, shared_future_is_waited_for_by_many) {
  std::promise<std::string> p;
  const std::shared_future<std::string> f = p.get_future().share();
  std::atomic<int> got{0};
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      EXPECT_EQ(weft::get(f), "all");
      ++got;
    });
  }
  weft::this_goroutine::yield();
  p.set_value("all");
  done.wait();
  EXPECT_EQ(got, 8);
  EXPECT_THROW(static_cast<void>(weft::get(std::shared_future<int>())), std::future_error);
}

WEFT_TEST(future, wait_for_gives_up) {
  std::promise<int> p;
  auto f = p.get_future();
  const auto begin = steady::now();
  EXPECT_EQ(weft::wait_for(f, 3ms), std::future_status::timeout);
  EXPECT_GE(steady::now() - begin, 3ms);
  EXPECT_EQ(weft::wait_for(f, 0s), std::future_status::timeout);
  p.set_value(1);
  EXPECT_EQ(weft::wait_for(f, 60s), std::future_status::ready);
  EXPECT_EQ(f.get(), 1);
  EXPECT_EQ(weft::wait_for(std::async(std::launch::deferred, [] {}), 60s), std::future_status::deferred);
}

WEFT_TEST(future, works_on_plain_threads) {
  std::promise<int> p;
  plain_thread t([f = p.get_future()]() mutable { EXPECT_EQ(weft::get(std::move(f)), 1); });
  p.set_value(1);
  t.join();
}
