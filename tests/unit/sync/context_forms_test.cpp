// context_forms_test.cpp: the waits of shared_mutex, condition_variable, semaphore, latch, barrier and task end with a context, and
// leave nothing behind: no place in a queue, no permit, no lock, no notification.
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "support/support.hpp"

using namespace weft::test;
using weft::errc;

namespace {

/// wait(ctx) does not end by itself: it gives its context's error, cancelled before, during, by time, and in a plain thread.
template <class Wait>
void ends_with_its_context(Wait wait) {
  {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    const auto ended = weft::make_chan<std::error_code>(1);
    weft::go([&wait, &ctx = ctx, ended] { ended.send(wait(ctx)); });
    EXPECT_EQ(ended.recv_for(2ms).error(), errc::timed_out);
    cancel();
    EXPECT_EQ(ended.recv(), errc::canceled);
    EXPECT_EQ(wait(ctx), errc::canceled);  // done already
  }
  {
    const auto [ctx, cancel] = weft::with_timeout(weft::background(), 2ms);
    EXPECT_EQ(wait(ctx), errc::deadline_exceeded);
    EXPECT_GE(steady::now(), *ctx.deadline());
  }
  {
    const auto [ctx, cancel] = weft::with_deadline(weft::background(), steady::now() - 1s);
    EXPECT_EQ(wait(ctx), errc::deadline_exceeded);
  }
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  plain_thread waits([&wait, &ctx = ctx] { EXPECT_EQ(wait(ctx), errc::canceled); });
  weft::this_goroutine::sleep_for(1ms);
  cancel();
  waits.join();
  EXPECT_THROW(static_cast<void>(wait(weft::context())), weft::panic);
}

/// A context that another goroutine cancels after 0 to 5 turns, whatever happens meanwhile.
weft::context cancelled_soon(rng& r) {
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::go([c = std::move(cancel), n = r.below(6)] {
    for (int i = 0; i < n; ++i) weft::this_goroutine::yield();
  });
  return ctx;
}

/// work(i, r) in eight goroutines and a plain thread, each with numbers of its own.
template <class Work>
void from_all_sides(Work work) {
  weft::wait_group all;
  plain_thread t([&] {
    rng r(100);
    work(0, r);
  });
  for (int i = 1; i <= 8; ++i) {
    all.go([&work, i] {
      rng r(100 + static_cast<std::uint64_t>(i));
      work(i, r);
    });
  }
  all.wait();
  t.join();
}

}  // namespace

WEFT_TEST(shared_mutex, locks_end_with_their_context) {
  weft::shared_mutex m;
  m.lock();
  ends_with_its_context([&](const weft::context& ctx) { return m.lock(ctx).error(); });
  ends_with_its_context([&](const weft::context& ctx) { return m.lock_shared(ctx).error(); });
  m.unlock();
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  EXPECT_TRUE(m.lock_shared(ctx));
  EXPECT_TRUE(m.lock_shared(weft::background()));
  ends_with_its_context([&](const weft::context& c) { return m.lock(c).error(); });
  EXPECT_TRUE(m.try_lock_shared()) << "a writer that gave up keeps no readers out";
  for (int i = 0; i < 3; ++i) m.unlock_shared();
  EXPECT_TRUE(m.lock(ctx));
  m.unlock();
  cancel();
  EXPECT_EQ(m.lock(ctx).error(), errc::canceled);
  EXPECT_EQ(m.lock_shared(ctx).error(), errc::canceled);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

WEFT_TEST(shared_mutex, is_held_by_those_alone_whose_context_lasted) {
  weft::shared_mutex m;
  std::atomic<int> readers{0}, writers{0};
  from_all_sides([&](int who, rng& r) {
    for (int i = 0; i < scale(200, 20); ++i) {
      const weft::context ctx = cancelled_soon(r);
      if ((i + who) % 3 == 0) {
        if (!m.lock(ctx)) continue;
        EXPECT_EQ(++writers, 1);
        EXPECT_EQ(readers, 0);
        if (r.one_in(2)) weft::this_goroutine::yield();
        --writers;
        m.unlock();
      } else {
        if (!m.lock_shared(ctx)) continue;
        ++readers;
        EXPECT_EQ(writers, 0);
        if (r.one_in(2)) weft::this_goroutine::yield();
        --readers;
        m.unlock_shared();
      }
    }
  });
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

WEFT_TEST(condition_variable, waits_end_with_their_context) {
  weft::mutex m;
  weft::condition_variable c;
  ends_with_its_context([&](const weft::context& ctx) {
    std::unique_lock hold(m);
    const std::error_code why = c.wait(hold, ctx).error();
    EXPECT_TRUE(hold.owns_lock());
    EXPECT_FALSE(m.try_lock());
    return why;
  });
  bool so = false;
  ends_with_its_context([&](const weft::context& ctx) {
    const std::lock_guard hold(m);
    return c.wait(m, ctx, [&] { return so; }).error();
  });
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::wait_group all;
  all.go([&, &ctx = ctx] {
    std::unique_lock hold(m);
    EXPECT_TRUE(c.wait(hold, ctx, [&] { return so; }));
  });
  {
    const std::lock_guard hold(m);
    so = true;
  }
  c.notify_one();
  all.wait();
  cancel();
  std::unique_lock hold(m);
  EXPECT_TRUE(c.wait(hold, ctx, [&] { return so; })) << "nothing to wait for";
  // It comes true while the wait is given up: the last word is pred()'s.
  int looks = 0;
  EXPECT_TRUE(c.wait(hold, ctx, [&] { return ++looks == 2; }));
}

// Six wait, and while three of them are cancelled three are notified. Three others are always there, so each notification must
// wake somebody: who gives up takes none along.
WEFT_TEST(condition_variable, notifications_do_not_get_lost_on_those_who_give_up) {
  for (int round = 0; round < scale(150, 15); ++round) {
    rng r(static_cast<std::uint64_t>(round));
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::mutex m;
    weft::condition_variable c;
    std::atomic<int> waiting{0}, woken{0}, over{0};
    weft::wait_group all;
    for (int i = 0; i < 6; ++i) {
      all.go([&, i, &ctx = ctx] {
        std::unique_lock hold(m);
        ++waiting;
        if (i % 2) c.wait(hold), ++woken;
        else woken += c.wait(hold, ctx).has_value(), ++over;
      });
    }
    EXPECT_TRUE(eventually([&] { return waiting == 6; }));
    { const std::lock_guard all_are_in_the_queue(m); }
    const auto cancels = weft::async([n = r.below(3), &cancel = cancel] {
      for (int y = 0; y < n; ++y) weft::this_goroutine::yield();
      cancel();
    });
    for (int i = 0; i < 3; ++i) {
      c.notify_one();
      if (r.one_in(2)) weft::this_goroutine::yield();
    }
    EXPECT_TRUE(eventually([&] { return over == 3 && woken == 3; }));
    c.notify_all();
    all.wait();
    EXPECT_TRUE(eventually([&] { return cancels.is_done(); }));
  }
}

WEFT_TEST(semaphore, acquire_ends_with_its_context) {
  weft::semaphore s(2);
  ends_with_its_context([&](const weft::context& ctx) { return s.acquire(ctx, 3).error(); });
  EXPECT_TRUE(s.acquire(weft::background(), 2));
  ends_with_its_context([&](const weft::context& ctx) { return s.acquire(ctx).error(); });
  s.release(2);
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  EXPECT_TRUE(s.acquire(ctx));
  cancel();
  EXPECT_EQ(s.acquire(ctx).error(), errc::canceled) << "though there is one";
  EXPECT_TRUE(s.try_acquire());
}

WEFT_TEST(semaphore, permits_do_not_get_lost_on_those_who_give_up) {
  weft::semaphore s(3);
  std::atomic<std::ptrdiff_t> out{0};
  from_all_sides([&](int, rng& r) {
    for (int i = 0; i < scale(250, 25); ++i) {
      const std::ptrdiff_t n = 1 + r.below(3);
      if (!s.acquire(cancelled_soon(r), n)) continue;
      EXPECT_LE(out += n, 3);
      if (r.one_in(2)) weft::this_goroutine::yield();
      out -= n;
      s.release(n);
    }
  });
  EXPECT_TRUE(s.try_acquire(3));
  EXPECT_FALSE(s.try_acquire());
}

WEFT_TEST(latch, wait_ends_with_its_context) {
  weft::latch l(1);
  ends_with_its_context([&](const weft::context& ctx) { return l.wait(ctx).error(); });
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::wait_group all;
  all.go([&, &ctx = ctx] { EXPECT_TRUE(l.wait(ctx)); });
  l.count_down();
  all.wait();
  EXPECT_TRUE(l.wait(ctx));
  cancel();
  EXPECT_EQ(l.wait(ctx).error(), errc::canceled);
}

// The last count_down() and the end of the contexts at once; when all have returned the latch may go.
WEFT_TEST(latch, is_nobodys_when_all_have_returned) {
  for (int i = 0; i < scale(150, 15); ++i) {
    rng r(static_cast<std::uint64_t>(i));
    auto l = std::make_unique<weft::latch>(1);
    weft::wait_group all;
    const weft::context ctx = cancelled_soon(r);
    for (int k = 0; k < 4; ++k) {
      all.go([&, k] {
        if (k == 0) return l->wait();
        const std::error_code why = l->wait(ctx).error();
        EXPECT_TRUE(!why || why == errc::canceled) << why.message();
      });
    }
    for (int y = r.below(4); y > 0; --y) weft::this_goroutine::yield();
    l->count_down();
    all.wait();
    l.reset();
  }
}

WEFT_TEST(barrier, wait_ends_with_its_context_and_the_arrival_counts) {
  weft::barrier b(2);
  auto token = b.arrive();
  ends_with_its_context([&](const weft::context& ctx) { return b.wait(token, ctx).error(); });
  weft::wait_group other;
  other.go([&] { b.arrive_and_wait(); });
  EXPECT_TRUE(b.wait(token, weft::background())) << "a token is good for another wait";
  other.wait();
}

// All arrive in each phase; who gave up waiting waits again with the same token.
WEFT_TEST(barrier, phases_do_not_get_lost_on_those_who_give_up) {
  const int phases = scale(60, 10);
  std::atomic<int> ended{0};
  const auto count = [&]() noexcept { ++ended; };
  weft::barrier b(9, count);
  from_all_sides([&](int, rng& r) {
    for (int i = 0; i < phases; ++i) {
      auto token = b.arrive();
      if (!b.wait(token, cancelled_soon(r)) && !b.wait(token, cancelled_soon(r))) b.wait(std::move(token));
      EXPECT_GE(ended, i + 1);
    }
  });
  EXPECT_EQ(ended, phases);
}

WEFT_TEST(task, join_ends_with_its_context) {
  weft::latch go_on(1);
  auto t = weft::async([&] { return go_on.wait(), std::string("done"); });
  auto nothing = weft::async([&] { go_on.wait(); });
  auto code = weft::async([&] { return go_on.wait(), errc::eof; });
  ends_with_its_context([&](const weft::context& ctx) { return t.join(ctx).error(); });
  ends_with_its_context([&](const weft::context& ctx) { return nothing.join(ctx).error(); });
  EXPECT_TRUE(t.valid());
  go_on.count_down();
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  EXPECT_EQ(t.join(ctx).value(), "done");
  EXPECT_FALSE(t.valid());
  EXPECT_TRUE(nothing.join(ctx));
  EXPECT_EQ(code.join(ctx).value(), errc::eof);
  auto throws = weft::async([]() -> int { throw std::runtime_error("why"); });
  EXPECT_THROW(static_cast<void>(throws.join(ctx)), std::runtime_error);
  EXPECT_THROW(static_cast<void>(throws.join(ctx)), std::logic_error) << "empty";
  auto ready = weft::async([] { return 7; });
  cancel();
  EXPECT_EQ(ready.join(ctx).error(), errc::canceled);
  EXPECT_EQ(ready.join(), 7);
}

WEFT_TEST(task, results_do_not_get_lost_on_those_who_give_up) {
  from_all_sides([&](int, rng& r) {
    for (int i = 0; i < scale(150, 15); ++i) {
      auto t = weft::async([i, n = r.below(4)] {
        for (int y = 0; y < n; ++y) weft::this_goroutine::yield();
        return i;
      });
      const weft::result<int> got = t.join(cancelled_soon(r));
      EXPECT_EQ(got ? *got : t.join(), i);
    }
  });
}
