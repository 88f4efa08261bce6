// broadcast_test.cpp: every value to every subscriber; and watch: the latest value to who wants it.
#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

WEFT_TEST(broadcast, every_subscriber_gets_every_value_in_order) {
  const int n = scale(2'000, 200);
  weft::broadcast<int> b(static_cast<std::size_t>(n));
  weft::wait_group done;
  std::atomic<int> ready{0};
  for (int i = 0; i < 5; ++i) {
    done.go([&, s = b.subscribe()]() mutable {
      ++ready;
      int next = 0;
      while (auto v = s.recv()) {
        ASSERT_EQ(v->missed, 0u);
        ASSERT_EQ(**v, next++);
      }
      EXPECT_EQ(next, n);
    });
  }
  EXPECT_TRUE(eventually([&] { return ready == 5; }));
  EXPECT_EQ(b.subscribers(), 5u);
  for (int i = 0; i < n; ++i) b.send(i);
  b.close();
  b.close();
  done.wait();
  EXPECT_EQ(b.subscribers(), 0u);
  EXPECT_THROW(b.send(1), weft::closed_channel);
}

WEFT_TEST(broadcast, slow_subscriber_is_told_how_many_it_missed) {
  weft::broadcast<int> b(4);
  auto s = b.subscribe();
  EXPECT_EQ(s.try_recv().error(), weft::errc::would_block);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(b.send(i), 1u);
  auto v = s.recv();
  ASSERT_TRUE(v);
  EXPECT_EQ(v->missed, 6u);
  EXPECT_EQ(**v, 6);
  v = s.recv();
  EXPECT_EQ(v->missed, 0u);
  EXPECT_EQ(**v, 7);
  auto late = b.subscribe();
  EXPECT_EQ(late.recv_for(1ms).error(), weft::errc::timed_out);
  b.send(10);
  EXPECT_EQ(**late.recv(), 10);
  auto copy = s;
  EXPECT_EQ(**copy.recv(), 8);
  EXPECT_EQ(**s.recv(), 8);
  b.close();
  EXPECT_EQ(**s.recv(), 9);
  EXPECT_EQ(*s.try_recv().value(), 10);
  EXPECT_FALSE(s.recv());
  EXPECT_EQ(s.try_recv().error(), weft::errc::channel_closed);
  EXPECT_EQ(s.recv_for(60s).error(), weft::errc::channel_closed);
}

WEFT_TEST(broadcast, last_handle_closes_and_values_are_destroyed) {
  const auto before = counted::alive.load();
  {
    auto b = std::make_unique<weft::broadcast<counted>>(2);
    auto s = b->subscribe();
    auto other = *b;
    for (int i = 0; i < 5; ++i) b->send(counted(i));
    EXPECT_EQ(counted::alive, before + 2);
    b.reset();
    EXPECT_TRUE(s.recv());
    EXPECT_TRUE(s.recv());
    EXPECT_EQ(s.recv_for(1ms).error(), weft::errc::timed_out) << "another handle is left";
    {
      const auto last = std::move(other);
    }
    EXPECT_FALSE(s.recv());
  }
  EXPECT_EQ(counted::alive, before);
  EXPECT_THROW(weft::broadcast<int>(0), std::invalid_argument);
}

// What each saw, and what each was told it missed, is all there was.
WEFT_TEST(broadcast, nothing_is_lost_without_a_word) {
  weft::broadcast<int> b(8);
  const int senders = 3, each = scale(1'000, 100);
  weft::task_group receivers, g;
  for (int i = 0; i < 4; ++i) {
    receivers.go([&, i, s = b.subscribe()]() mutable {
      std::uint64_t all = 0;
      std::vector<int> last(senders, -1);
      while (auto v = s.recv()) {
        all += 1 + v->missed;
        int& mine = last[static_cast<std::size_t>(**v / each)];
        EXPECT_LT(mine, **v % each);
        mine = **v % each;
        if (i == 0) weft::this_goroutine::yield();
      }
      EXPECT_EQ(all, static_cast<std::uint64_t>(senders * each));
    });
  }
  for (int k = 0; k < senders; ++k) {
    g.go([&, k] {
      for (int i = 0; i < each; ++i) {
        b.send(k * each + i);
        if (i % 64 == 0) weft::this_goroutine::yield();
      }
    });
  }
  g.wait();
  b.close();
  receivers.wait();
}

WEFT_TEST(watch, shows_the_latest_value) {
  weft::watch<std::string> w("a");
  auto r = w.subscribe();
  EXPECT_FALSE(r.has_changed());
  EXPECT_EQ(*r.get(), "a");
  EXPECT_EQ(r.changed_for(1ms).error(), weft::errc::timed_out);
  w.send("b");
  w.send("c");
  EXPECT_TRUE(r.has_changed());
  EXPECT_TRUE(r.changed());
  EXPECT_TRUE(r.changed()) << "not seen yet";
  EXPECT_EQ(*r.get(), "c");
  EXPECT_FALSE(r.has_changed());
  auto other = r;
  w.modify([](const std::string& s) { return s + "d"; });
  EXPECT_EQ(*r.get(), "cd");
  EXPECT_TRUE(other.has_changed());
  EXPECT_THROW(w.modify([](const std::string&) -> std::string { throw 1; }), int);
  EXPECT_FALSE(r.has_changed());
  EXPECT_EQ(*w.get(), "cd");
  w.close();
  EXPECT_FALSE(r.changed());
  EXPECT_TRUE(other.changed()) << "the last value is still to be seen";
  EXPECT_EQ(r.changed_for(60s).error(), weft::errc::channel_closed);
  EXPECT_THROW(w.send("x"), weft::closed_channel);
  EXPECT_THROW(w.modify([](const std::string& s) { return s; }), weft::closed_channel);
}

// The old value's destructor is the user's: it may look at the watch, which is not locked then.
WEFT_TEST(watch, lets_the_old_value_go_when_others_may_look_again) {
  struct looks_back {
    std::function<void()> last;
    ~looks_back() {
      if (last) last();
    }
  };
  int looked = 0;
  const weft::watch<std::shared_ptr<looks_back>> w(nullptr);
  const auto value = [&] {
    auto v = std::make_shared<looks_back>();
    v->last = [&] { static_cast<void>(w.get()), ++looked; };
    return v;
  };
  w.send(value());
  w.modify([&](const auto&) { return value(); });
  EXPECT_EQ(looked, 1);
  w.send(nullptr);
  EXPECT_EQ(looked, 2);
}

WEFT_TEST(watch, every_watcher_comes_to_see_the_last_value) {
  const int n = scale(2'000, 200);
  weft::watch<int> w(0);
  weft::task_group g;
  for (int i = 0; i < 4; ++i) {
    g.go([&, r = w.subscribe()]() mutable {
      int last = 0;
      while (r.changed()) {
        const int v = *r.get();
        ASSERT_GT(v, last);
        last = v;
      }
      EXPECT_EQ(last, n);
    });
  }
  weft::task_group adders;
  for (int i = 0; i < 2; ++i) {
    adders.go([&] {
      for (int k = 0; k < n / 2; ++k) {
        w.modify([](int v) { return v + 1; });
        if (k % 16 == 0) weft::this_goroutine::yield();
      }
    });
  }
  adders.wait();
  w.close();
  g.wait();
}

WEFT_TEST(watch, waits_for_a_value_that_somebody_likes) {
  auto w = std::make_unique<weft::watch<int>>(0);
  weft::task_group g;
  g.go([r = w->subscribe()]() mutable {
    EXPECT_EQ(*r.wait_for_value([](int v) { return v >= 5; }), 5);
    EXPECT_EQ(r.wait_for_value([](int v) { return v < 0; }), nullptr);
  });
  for (int i = 1; i < 6; ++i) {
    w->send(i);
    weft::this_goroutine::yield();
  }
  w.reset();  // the last handle: closed
  g.wait();
}

WEFT_TEST(watch, waits_take_contexts) {
  weft::watch<int> w(0);
  weft::broadcast<int> b(2);
  auto r = w.subscribe();
  auto s = b.subscribe();
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::task_group g;
  g.go([&, &until = ctx] { EXPECT_EQ(r.changed(until).error(), weft::errc::canceled); });
  g.go([&, &until = ctx] { EXPECT_EQ(s.recv(until).error(), weft::errc::canceled); });
  for (int i = 0; i < 10; ++i) weft::this_goroutine::yield();
  cancel();
  g.wait();
  w.send(1);
  b.send(1);
  EXPECT_EQ(r.changed(ctx).error(), weft::errc::canceled);
  EXPECT_TRUE(r.changed(weft::background()));
  EXPECT_EQ(**s.recv(weft::background()), 1);
}

// Design D7
WEFT_TEST(watch, works_on_plain_threads) {
  weft::watch<int> w(0);
  weft::broadcast<int> b(16);
  plain_thread t([r = w.subscribe(), s = b.subscribe()]() mutable {
    EXPECT_TRUE(r.changed_for(60s));
    EXPECT_EQ(*r.get(), 1);
    EXPECT_EQ(**s.recv(), 2);
    EXPECT_FALSE(s.recv());
  });
  w.send(1);
  b.send(2);
  b.close();
  t.join();
}
