// order_test.cpp: the order in which primitives wake who waits, at procs 1. Go shows it, so weft copies it exactly.
// weft-test: procs=1 chaos=0 env=WEFT_DEBUG=slice=3600000
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
using ints = std::vector<int>;

namespace {
/// Starts n goroutines, each blocked in wait(i) before the next one starts; wait appends to the order by itself.
template <class Wait>
void start_blocked(weft::wait_group& done, int n, Wait wait) {
  for (int i = 0; i < n; ++i) {
    done.go([=] { wait(i); });
    weft::this_goroutine::yield();
  }
}
}  // namespace

// CHAN-16. All are made ready at once: the first waiter is the last of them and takes the "next" slot.
WEFT_TEST(order, of_receivers_woken_by_close) {
  ints ran;
  auto c = weft::make_chan<int>();
  weft::wait_group done;
  start_blocked(done, 6, [&, c](int i) {
    static_cast<void>(c.recv());
    ran.push_back(i);
  });
  c.close();
  done.wait();
  EXPECT_EQ(ran, (ints{0, 5, 4, 3, 2, 1}));
}

// CHAN-17
WEFT_TEST(order, of_blocked_senders_is_the_order_of_their_sends) {
  ints got;
  auto c = weft::make_chan<int>();
  weft::wait_group done;
  start_blocked(done, 6, [c](int i) { c.send(i); });
  for (int i = 0; i < 6; ++i) got.push_back(c.recv().value());
  done.wait();
  EXPECT_EQ(got, (ints{0, 1, 2, 3, 4, 5}));
}

// CHAN-11
WEFT_TEST(order, of_blocked_receivers_is_the_order_of_their_receives) {
  ints got(10);
  auto c = weft::make_chan<int>();
  weft::wait_group done;
  start_blocked(done, 10, [&, c](int i) { got[static_cast<std::size_t>(i)] = c.recv().value(); });
  for (int i = 0; i < 10; ++i) c.send(i);
  done.wait();
  EXPECT_EQ(got, (ints{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

// MUTEX-05
WEFT_TEST(order, of_blocked_lockers_is_the_order_of_their_locks) {
  ints ran;
  weft::mutex m;
  m.lock();
  weft::wait_group done;
  start_blocked(done, 6, [&](int i) {
    const std::lock_guard hold(m);
    ran.push_back(i);
  });
  m.unlock();
  done.wait();
  EXPECT_EQ(ran, (ints{0, 1, 2, 3, 4, 5}));
}

// WAITGROUP-09. Made ready in order: the last one takes the "next" slot.
WEFT_TEST(order, of_waiters_of_a_wait_group) {
  ints ran;
  weft::wait_group group, done;
  group.add(1);
  start_blocked(done, 6, [&](int i) {
    group.wait();
    ran.push_back(i);
  });
  group.done();
  done.wait();
  EXPECT_EQ(ran, (ints{5, 0, 1, 2, 3, 4}));
}

// COND-06. Each is made ready by itself: the last one takes the "next" slot.
WEFT_TEST(order, of_waiters_woken_by_notify_all) {
  ints ran;
  weft::mutex m;
  weft::condition_variable c;
  weft::wait_group done;
  start_blocked(done, 6, [&](int i) {
    std::unique_lock hold(m);
    c.wait(hold);
    ran.push_back(i);
  });
  c.notify_all();
  done.wait();
  EXPECT_EQ(ran, (ints{5, 0, 1, 2, 3, 4}));
}

// RWMUTEX-05: w1 r0 r1 w2 r3 wait for a reader. When w1 leaves, all readers that wait get in before w2.
WEFT_TEST(order, of_writers_and_readers) {
  std::vector<std::string> ran;
  weft::shared_mutex m;
  m.lock_shared();
  weft::wait_group done;
  for (const char* who : {"w1", "r0", "r1", "w2", "r3"}) {
    done.go([&, who] {
      if (*who == 'w') {
        const std::lock_guard hold(m);
        ran.push_back(who);
      } else {
        const std::shared_lock hold(m);
        ran.push_back(who);
      }
    });
    weft::this_goroutine::yield();
  }
  m.unlock_shared();
  done.wait();
  EXPECT_EQ(ran, (std::vector<std::string>{"w1", "r0", "r1", "r3", "w2"}));
}
