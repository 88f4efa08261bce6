// waits_test.cpp: a wait ends when its context does, and what it waited for is as if it had never waited.
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
using weft::errc;

namespace {

/// Runs wait(ctx), which must not end by itself, and cancels: it gives its context's error.
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
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  plain_thread waits([&wait, &ctx = ctx] { EXPECT_EQ(wait(ctx), errc::canceled); });
  weft::this_goroutine::sleep_for(1ms);
  cancel();
  waits.join();
}

}  // namespace

WEFT_TEST(chan, receive_ends_with_its_context) {
  const auto ints = weft::make_chan<int>();
  const auto strings = weft::make_chan<std::string>(1);
  const auto events = weft::make_chan<void>();
  const weft::chan<int> nil;
  ends_with_its_context([&](const weft::context& ctx) { return ints.recv(ctx).error(); });
  ends_with_its_context([&](const weft::context& ctx) { return strings.recv(ctx).error(); });
  ends_with_its_context([&](const weft::context& ctx) { return events.recv(ctx).error(); });
  ends_with_its_context([&](const weft::context& ctx) { return nil.recv(ctx).error(); });
  strings.send("value");
  EXPECT_EQ(*strings.recv(weft::background()), "value");
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  strings.send("second");
  EXPECT_EQ(*strings.recv(ctx), "second");
  strings.close();
  EXPECT_EQ(strings.recv(ctx).error(), errc::channel_closed);
  cancel();
  EXPECT_EQ(strings.recv(ctx).error(), errc::canceled);
}

// A value that was not sent is the sender's still.
WEFT_TEST(chan, send_ends_with_its_context) {
  const auto pointers = weft::make_chan<std::unique_ptr<int>>();
  const auto ints = weft::make_chan<int>();
  const auto events = weft::make_chan<void>();
  auto value = std::make_unique<int>(7);
  ends_with_its_context([&](const weft::context& ctx) { return pointers.send(std::move(value), ctx).error(); });
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, 7);
  ends_with_its_context([&](const weft::context& ctx) { return ints.send(1, ctx).error(); });
  ends_with_its_context([&](const weft::context& ctx) { return events.send(ctx).error(); });
  EXPECT_FALSE(ints.try_recv());  // no sender was left behind
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::wait_group done;
  done.go([&] { EXPECT_EQ(**pointers.recv(), 7); });
  EXPECT_TRUE(pointers.send(std::move(value), ctx));
  EXPECT_FALSE(value);
  done.wait();
  ints.close();
  EXPECT_THROW(static_cast<void>(ints.send(1, ctx)), weft::closed_channel);
}

// Whether a value comes or the context ends first: each value arrives once, or its send says that it was not sent.
WEFT_TEST(chan, values_and_cancellations_do_not_get_lost) {
  const auto c = weft::make_chan<int>();
  std::atomic<int> sent{0}, got{0};
  weft::wait_group all;
  for (int i = 0; i < 8; ++i) {
    all.go([&, i] {
      rng r(static_cast<std::uint64_t>(i));
      for (int k = 0; k < scale(300, 30); ++k) {
        auto [ctx, cancel] = weft::with_cancel(weft::background());
        weft::go([c = std::move(cancel), n = r.below(6)] {
          for (int y = 0; y < n; ++y) weft::this_goroutine::yield();
        });
        if (i % 2) sent += c.send(1, ctx).has_value();
        else got += c.recv(ctx).has_value();
      }
    });
  }
  all.wait();
  EXPECT_EQ(sent, got);
}

WEFT_TEST(select, has_a_case_for_a_context) {
  const auto c = weft::make_chan<int>();
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  std::error_code seen;
  weft::go([&cancel = cancel] { cancel(); });
  EXPECT_EQ(weft::select(weft::on_recv(c), weft::on_context(ctx, [&](std::error_code e) { seen = e; })), 1);
  EXPECT_EQ(seen, errc::canceled);
  bool called = false;
  EXPECT_EQ(weft::select(weft::on_context(ctx, [&] { called = true; }), weft::on_recv(c)), 0);
  EXPECT_TRUE(called);
  EXPECT_EQ(weft::select(weft::on_context(weft::background()), weft::on_default()), 1);
  weft::selector s;
  s.recv(c);
  const int done = s.done(ctx);
  EXPECT_EQ(s.wait(), done);
  weft::selector never;
  never.done(weft::background());
  EXPECT_EQ(never.try_wait(), -1);
}

WEFT_TEST(mutex, lock_ends_with_its_context) {
  weft::mutex m;
  m.lock();
  ends_with_its_context([&](const weft::context& ctx) { return m.lock(ctx).error(); });
  m.unlock();
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  EXPECT_TRUE(m.lock(ctx));
  m.unlock();
  cancel();
  EXPECT_EQ(m.lock(ctx).error(), errc::canceled);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

WEFT_TEST(mutex, has_time_limits) {
  weft::mutex m;
  m.lock();
  const auto start = steady::now();
  EXPECT_FALSE(m.try_lock_for(3ms));
  EXPECT_GE(steady::now(), start + 3ms);
  EXPECT_FALSE(m.try_lock_for(-1s));
  EXPECT_FALSE(m.try_lock_until(steady::now() + 2ms));
  EXPECT_FALSE(m.try_lock_until(std::chrono::system_clock::now() + 2ms));
  weft::go([&] {
    weft::this_goroutine::sleep_for(2ms);
    m.unlock();
  });
  {
    const std::unique_lock hold(m, 1min);
    EXPECT_TRUE(hold.owns_lock());
  }
  EXPECT_TRUE(m.try_lock_for(0s));
  m.unlock();
}

// MUTEX: one that gives up leaves no count, no mode and no hand-over behind: whoever comes next gets the mutex.
WEFT_TEST(mutex, is_free_when_all_have_given_up) {
  for (int i = 0; i < scale(20, 3); ++i) {
    auto m = std::make_unique<weft::mutex>();
    m->lock();
    weft::wait_group all;
    std::atomic<int> inside{0};
    for (int k = 0; k < 20; ++k) {
      all.go([&, k] {
        if (!m->try_lock_for(std::chrono::microseconds(100 * k))) return;
        EXPECT_EQ(++inside, 1);
        if (k % 3 == 0) weft::this_goroutine::yield();
        --inside;
        m->unlock();
      });
    }
    weft::this_goroutine::sleep_for(std::chrono::microseconds(100 * (i % 25)));
    m->unlock();
    all.wait();
    EXPECT_TRUE(m->try_lock());
    m->unlock();
    m.reset();  // nobody is in it any more
  }
}

WEFT_TEST(wait_group, wait_ends_with_its_context) {
  weft::wait_group g;
  g.add();
  ends_with_its_context([&](const weft::context& ctx) { return g.wait(ctx).error(); });
  EXPECT_FALSE(g.wait_for(0s));
  const auto start = steady::now();
  EXPECT_FALSE(g.wait_for(2ms));
  EXPECT_FALSE(g.wait_until(steady::now() + 2ms));
  EXPECT_GE(steady::now(), start + 4ms);
  g.done();
  EXPECT_TRUE(g.wait_for(0s));
  EXPECT_TRUE(g.wait_for(1h));
  EXPECT_TRUE(g.wait(weft::background()));
}

// The end of the count and of many waits at the same time.
WEFT_TEST(wait_group, counts_those_that_give_up_right) {
  for (int i = 0; i < scale(200, 20); ++i) {
    auto g = std::make_unique<weft::wait_group>();
    g->add();
    weft::wait_group waiters;
    for (int k = 0; k < 6; ++k) {
      waiters.go([&, k] {
        if (k == 0) g->wait();
        else static_cast<void>(g->wait_for(std::chrono::microseconds(20 * k + i % 40)));
      });
    }
    if (i % 2) weft::this_goroutine::sleep_for(std::chrono::microseconds(i));
    g->done();
    waiters.wait();
    g.reset();
  }
}

WEFT_TEST(sleep, ends_with_its_context) {
  ends_with_its_context([](const weft::context& ctx) { return weft::this_goroutine::sleep_for(1h, ctx).error(); });
  const auto start = steady::now();
  EXPECT_TRUE(weft::this_goroutine::sleep_for(3ms, weft::background()));
  EXPECT_GE(steady::now(), start + 3ms);
  EXPECT_TRUE(weft::this_goroutine::sleep_for(-1s, weft::background()));
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  EXPECT_TRUE(weft::this_goroutine::sleep_for(1ms, ctx));
}

// An empty context is a mistake of the program, also where one waits.
WEFT_TEST(context, that_is_empty_cannot_be_waited_with) {
  const weft::context nil;
  const auto c = weft::make_chan<int>(1);
  EXPECT_THROW(static_cast<void>(c.send(1, nil)), weft::panic);
  EXPECT_THROW(static_cast<void>(c.recv(nil)), weft::panic);
  EXPECT_THROW(static_cast<void>(weft::this_goroutine::sleep_for(1s, nil)), weft::panic);
}

// A channel of events: no value travels, and the operations are those of any channel.
WEFT_TEST(chan, of_void_carries_events) {
  const auto c = weft::make_chan<void>(2);
  const weft::sender<void> to = c;
  const weft::receiver<void> from = c;
  to.send();
  EXPECT_TRUE(to.try_send());
  EXPECT_FALSE(to.try_send());
  EXPECT_EQ(c.size(), 2u);
  EXPECT_TRUE(from.recv());
  EXPECT_TRUE(from.recv(weft::background()));
  EXPECT_EQ(from.try_recv().error(), errc::would_block);
  EXPECT_EQ(weft::select(weft::on_recv(from, [](bool) { FAIL(); }), weft::on_send(to)), 1);
  bool open = false;
  EXPECT_EQ(weft::select(weft::on_recv(from, [&](bool o) { open = o; })), 0);
  EXPECT_TRUE(open);
  c.close();
  EXPECT_FALSE(from.recv());
  EXPECT_EQ(from.recv(weft::background()).error(), errc::channel_closed);
  EXPECT_THROW(to.send(), weft::closed_channel);
}
