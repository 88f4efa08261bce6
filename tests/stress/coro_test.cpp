// coro_test.cpp: goroutines, coroutines and a plain thread in one crowd, on channels, a mutex, timers and forks.
#include <atomic>
#include <vector>

#include <weft/co.hpp>

#include "support/support.hpp"

using namespace weft::test;
namespace co = weft::co;

namespace {

struct crowd {
  weft::chan<long> c = weft::make_chan<long>(3);
  weft::mutex m;
  weft::wait_group wg;
  long locked = 0;  // guarded by m
  std::atomic<long> sent{0}, received{0}, locks{0};
};

co::task<long> tree(int depth) {
  if (depth == 0) co_return 1;
  auto left = co::fork(tree(depth - 1));
  if (depth % 3 == 0) co_await co::yield();
  const long right = co_await tree(depth - 1);
  co_return co_await left + right;
}

co::task<> wander(crowd& w, std::uint64_t stream, int steps) {
  rng random(stream);
  for (int i = 0; i < steps; i++) {
    switch (random.below(8)) {
      case 0:
      case 1: {
        const long v = random.below(1'000);
        const int which = co_await co::select(weft::on_send(w.c, v), weft::on_timeout(50us));
        if (which == 0) w.sent += v;
        break;
      }
      case 2:
      case 3: {
        long got = 0;
        co_await co::select(weft::on_recv(w.c, [&](std::optional<long> v) { got = *v; }), weft::on_timeout(50us));
        w.received += got;
        break;
      }
      case 4: {
        const auto guard = co_await co::lock(w.m);
        w.locked++, w.locks++;
        break;
      }
      case 5: co_await co::sleep_for(std::chrono::microseconds(random.below(100))); break;
      case 6: EXPECT_EQ(co_await tree(4), 16); break;
      case 7: co_await co::yield(); break;
    }
  }
  w.wg.done();
}

void wander_as_goroutine(crowd& w, std::uint64_t stream, int steps) {
  rng random(stream);
  for (int i = 0; i < steps; i++) {
    switch (random.below(5)) {
      case 0: {
        const long v = random.below(1'000);
        if (w.c.send_for(v, 50us)) w.sent += v;
        break;
      }
      case 1:
        if (const auto v = w.c.recv_for(50us)) w.received += *v;
        break;
      case 2: {
        w.m.lock();
        w.locked++, w.locks++;
        w.m.unlock();
        break;
      }
      case 3: EXPECT_EQ(tree(3).join(), 8); break;
      case 4: weft::this_goroutine::yield(); break;
    }
  }
  w.wg.done();
}

}  // namespace

WEFT_TEST(coro_stress, nothing_is_lost_in_a_crowd) {
  crowd w;
  const int each = scale(40, 8), steps = scale(300, 40);
  w.wg.add(2 * each + 1);
  for (int i = 0; i < each; i++) {
    co::go(wander(w, static_cast<std::uint64_t>(i), steps));
    weft::go([&w, i, steps] { wander_as_goroutine(w, 1'000 + static_cast<std::uint64_t>(i), steps); });
  }
  plain_thread t([&w, steps] { wander_as_goroutine(w, 5'000, steps / 4); });
  w.wg.wait();
  t.join();
  while (const auto v = w.c.try_recv()) w.received += *v;
  EXPECT_EQ(w.sent, w.received);
  EXPECT_EQ(w.locked, w.locks);
}

// Frames go back to the processor on which the coroutine ended, not where it was started.
WEFT_TEST(coro_stress, frames_are_recycled_across_processors) {
  auto handles = weft::make_chan<weft::chan<int>>(64);
  const int n = scale(5'000, 500);
  weft::wait_group wg;
  wg.add(n);
  const auto waiter = [](weft::chan<int> c, weft::wait_group& all) -> co::task<> {
    EXPECT_TRUE((co_await co::recv(c)).has_value());
    all.done();
  };
  weft::go([handles] {
    for (auto& c : handles) c.send(1);
  });
  for (int i = 0; i < n; i++) {
    auto c = weft::make_chan<int>();
    co::go(waiter, c, std::ref(wg));
    handles.send(c);
  }
  wg.wait();
  handles.close();
}

WEFT_TEST(coro_stress, the_number_of_processors_changes_under_a_tree) {
  const int before = weft::procs();
  std::atomic<bool> done{false};
  weft::wait_group wg;
  wg.go([&] {
    while (!done) {
      for (const int n : {1, 4, 2, 8}) weft::set_procs(n), weft::this_goroutine::yield();
    }
  });
  for (int i = 0; i < scale(20, 5); i++) EXPECT_EQ(tree(8).join(), 256);
  done = true;
  wg.wait();
  weft::set_procs(before);
}

namespace {
co::task<> start_children(weft::task_group& group, std::atomic<int>& ran, weft::wait_group& wg) {
  for (int i = 0; i < 20; i++) {
    group.go([&] { ran++; });
    co_await co::yield();
  }
  wg.done();
}
co::task<> own_a_group(std::atomic<int>& ran) {
  weft::task_group group;
  weft::wait_group wg;
  wg.add(3);
  for (int i = 0; i < 3; i++) co::go(start_children(group, ran, wg));
  for (int i = 0; i < 20; i++) {
    group.go([&] { ran++; });
    co_await co::yield();
  }
  co_await co::wait(wg);
  group.wait();
}
}  // namespace

// A coroutine goes on with another carrier than the one with which it made its group: those that run on that one now own nothing.
WEFT_TEST(coro_stress, groups_of_coroutines_count_all_children) {
  for (int round = 0; round < scale(100, 10); round++) {
    std::atomic<int> ran{0};
    own_a_group(ran).join();
    EXPECT_EQ(ran, 80);
  }
}

// Coroutines that block take carriers along; those that come to rest beyond the number kept end, and may have chosen somebody already
// whom only g0 can switch to: that one must not be forgotten.
WEFT_TEST(carriers, that_end_lose_nobody_whom_they_had_chosen) {
  with_procs one(1);
  auto gate = weft::make_chan<int>(), answers = weft::make_chan<int>(16);
  std::vector<weft::chan<int>> asked;
  weft::wait_group ended;
  for (int i = 0; i < 6; ++i) {
    asked.push_back(weft::make_chan<int>());
    ended.add(1);
    weft::go({.fp_environment = i % 2 == 0}, [&ended, i, answers, me = asked.back()] {
      while (me.recv()) {
        weft::this_goroutine::yield();
        answers.send(i);
      }
      ended.done();
    });
  }
  for (int n = 0; n < scale(2'000, 50); ++n) {
    for (int i = 0; i < 20; ++i) co::go([](weft::chan<int> c) -> co::task<> {
      static_cast<void>(c.recv());
      co_return;
    }(gate));
    weft::this_goroutine::yield();
    weft::this_goroutine::yield();
    for (int i = 0; i < 20; ++i) gate.send(1);
    for (auto& a : asked) a.send(1);
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(answers.recv_for(limit(10s))) << "round " << n;
  }
  for (auto& a : asked) a.close();
  ended.wait();
}
