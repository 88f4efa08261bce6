// give_up_test.cpp: locks taken with limits that are about as long as the wait, so that hand-over and giving up meet all the time.
// Exclusion holds, nobody who waits without a limit is forgotten, and afterwards the mutex is free and may go.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

namespace {

struct shared_state {
  weft::mutex m;
  std::atomic<int> inside{0};
  std::int64_t plain = 0;
  std::atomic<std::int64_t> locks{0}, misses{0};

  void hold(rng& r) {
    EXPECT_EQ(inside.fetch_add(1), 0);
    ++plain;
    ++locks;
    // Now and then long enough for the starving mode, where the mutex is handed over.
    if (r.one_in(20)) weft::this_goroutine::sleep_for(std::chrono::microseconds(1'200));
    else if (r.one_in(3)) weft::this_goroutine::yield();
    inside.fetch_sub(1);
    m.unlock();
  }
};

}  // namespace

WEFT_TEST(give_up, mutex_with_limits_stays_one) {
  for (int round = 0; round < 3; ++round) {
    auto s = std::make_unique<shared_state>();
    std::atomic<bool> stop{false};
    weft::wait_group all;
    const auto work = [&s = *s, &stop](int who) {
      rng r(static_cast<std::uint64_t>(who));
      while (!stop) {
        switch (r.below(4)) {
          case 0: s.m.lock(), s.hold(r); break;
          case 1: {
            if (s.m.try_lock_for(std::chrono::microseconds(r.below(1'500)))) s.hold(r);
            else ++s.misses;
            break;
          }
          case 2: {
            const auto [ctx, cancel] = weft::with_timeout(weft::background(), std::chrono::microseconds(r.below(1'500)));
            if (s.m.lock(ctx)) s.hold(r);
            else ++s.misses;
            break;
          }
          default: weft::this_goroutine::yield();
        }
      }
    };
    for (int i = 0; i < 6 + 4 * round; ++i) all.go(work, i);
    std::vector<plain_thread> threads;
    for (int i = 0; i < round; ++i) threads.emplace_back([&work, i] { work(100 + i); });
    weft::this_goroutine::sleep_for(scale(300, 100) * 1ms);
    stop = true;
    threads.clear();
    EXPECT_TRUE(all.wait_for(60s));
    EXPECT_EQ(s->plain, s->locks);
    EXPECT_GT(s->locks, 0);
    EXPECT_GT(s->misses, 0);
    EXPECT_TRUE(s->m.try_lock());
    s->m.unlock();
  }
}
