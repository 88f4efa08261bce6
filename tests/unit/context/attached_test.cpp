// attached_test.cpp: what is attached to a context: functions for its end, contexts of the user's own making, and stop tokens.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>

#include <weft/context.hpp>

#include "support/support.hpp"
#include "unit/context/asking.hpp"

using namespace weft::test;
using weft::context;
using weft::errc;

// CONTEXT-13
WEFT_TEST(context, after_func_runs_once_after_the_end) {
  const auto ran = weft::make_chan<int>(10);
  {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    const auto stop = weft::after_func(ctx, [ran] { ran.send(1); });
    const auto stopped = weft::after_func(ctx, [ran] { ran.send(2); });
    EXPECT_FALSE(ran.recv_for(5ms));
    EXPECT_TRUE(stopped());
    EXPECT_FALSE(stopped());
    cancel();
    EXPECT_EQ(ran.recv(), 1);
    EXPECT_FALSE(stop());
    weft::after_func(ctx, [ran] { ran.send(3); });  // done already: at once
    EXPECT_EQ(ran.recv(), 3);
  }
  const auto never = weft::after_func(weft::background(), [ran] { ran.send(4); });
  EXPECT_TRUE(never());
  EXPECT_FALSE(never());
  const auto [slow, cancel_slow] = weft::with_cancel(weft::background());
  const auto go_on = weft::make_chan<void>();
  weft::after_func(slow, [go_on, ran] { go_on.recv(), ran.send(5); });
  cancel_slow();  // does not wait for f
  go_on.send();
  EXPECT_EQ(ran.recv(), 5);
  EXPECT_EQ(ran.size(), 0u);
}

// CONTEXT-13: what was never run is destroyed, and stop() and the end decide between them.
WEFT_TEST(context, after_func_either_runs_or_is_stopped) {
  const auto before = counted::alive.load();
  {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    auto stop = weft::after_func(ctx, [c = counted(1)] { static_cast<void>(c); });
    EXPECT_TRUE(stop());
    EXPECT_EQ(counted::alive.load(), before);
  }
  {
    auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::after_func(ctx, [c = counted(1)] { static_cast<void>(c); });
    cancel.detach();
  }
  EXPECT_EQ(counted::alive.load(), before);
  for (int i = 0; i < scale(300, 30); ++i) {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    std::atomic<int> ran{0};
    const auto stop = weft::after_func(ctx, [&ran] { ++ran; });
    bool stopped = false;
    weft::wait_group both;
    both.go([&cancel = cancel] { cancel(); });
    both.go([&] { stopped = stop(); });
    both.wait();
    if (!stopped) { EXPECT_TRUE(eventually([&] { return ran == 1; })); }
    else { EXPECT_EQ(ran, 0); }
  }
}

namespace {
/// A context of the user's own: done when it is told to.
struct own_context final : weft::custom_context {
  weft::chan<void> closed = weft::make_chan<void>();
  std::atomic<bool> over{false};
  void finish() {
    over = true;
    closed.close();
  }
  weft::receiver<void> done() const override { return closed; }
  std::error_code err() const override { return over ? make_error_code(errc::eof) : std::error_code(); }
  std::string name() const override { return "own"; }
};
/// Done, and cannot say why.
struct throwing_context final : weft::custom_context {
  weft::chan<void> closed = weft::make_chan<void>();
  throwing_context() { closed.close(); }
  weft::receiver<void> done() const override { return closed; }
  std::error_code err() const override { throw std::runtime_error("no error"); }
};
/// One that wraps a context of the library.
struct wrapping_context final : weft::custom_context {
  context inner;
  explicit wrapping_context(context c) : inner(std::move(c)) {}
  std::optional<std::chrono::steady_clock::time_point> deadline() const override { return inner.deadline(); }
  weft::receiver<void> done() const override { return inner.done(); }
  std::error_code err() const override { return inner.err(); }
  weft::context_value_view value(const weft::context_key_view& key) const override { return inner.find(key); }
};
}  // namespace

// Nothing stays behind: the leak checker would see it.
WEFT_TEST(context, of_the_users_own_making_may_throw) {
  const context ctx(std::make_shared<throwing_context>());
  EXPECT_THROW(static_cast<void>(weft::after_func(ctx, [] {})), std::runtime_error);
  EXPECT_THROW(static_cast<void>(ctx.get_stop_token()), std::runtime_error);
  EXPECT_THROW(static_cast<void>(weft::with_cancel(ctx)), std::runtime_error);
  EXPECT_THROW(static_cast<void>(ctx.done_core()), std::runtime_error);
  EXPECT_THROW(weft::parallel_for(0, 8, [](int) {}, {.ctx = ctx}), std::runtime_error);
  EXPECT_THROW(static_cast<void>(weft::make_chan<int>().recv(ctx)), std::runtime_error);
  EXPECT_THROW(weft::task_group{ctx}, std::runtime_error);
  EXPECT_THROW(static_cast<void>(weft::this_goroutine::sleep_for(1h, ctx)), std::runtime_error);
  weft::mutex m;
  EXPECT_THROW(static_cast<void>(m.lock(ctx)), std::runtime_error);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// CONTEXT-13, CONTEXT-16. To stop a function ends what was made to watch for it, and no more.
WEFT_TEST(context, stop_of_a_function_leaves_the_users_own_contexts_alone) {
  const auto user = std::make_shared<own_context>();
  const auto [ctx, cancel] = weft::with_cancel(context(user));
  for (const context& of : {context(user), ctx, weft::with_value(ctx, std::string("key"), 1)}) {
    const auto stop = weft::after_func(of, [] { ADD_FAILURE() << "it was stopped"; });
    EXPECT_TRUE(stop());
    EXPECT_FALSE(ctx.err()) << to_string(of);
  }
  user->finish();
  EXPECT_TRUE(eventually([&] { return ctx.err() == errc::eof; }));
}

// CONTEXT-16
WEFT_TEST(context, of_the_users_own_making_is_a_parent_too) {
  const auto user = std::make_shared<own_context>();
  const context parent(user);
  const int before = weft::goroutines();
  {
    const auto [child, cancel] = weft::with_cancel(weft::with_value(parent, user_key{1}, 1));
    EXPECT_TRUE(is_live(child));
    EXPECT_EQ(to_string(child), "own.WithValue((anonymous namespace)::user_key, int).WithCancel");
    EXPECT_EQ(weft::goroutines(), before + 1);
    cancel();
    EXPECT_TRUE(eventually([&] { return weft::goroutines() == before; }));
  }
  {
    const auto ran = weft::make_chan<void>();
    const auto stop = weft::after_func(parent, [ran] { ran.send(); });
    EXPECT_TRUE(stop());
    EXPECT_TRUE(eventually([&] { return weft::goroutines() == before; }));
  }
  const auto [child, cancel] = weft::with_timeout(parent, 1h);
  const auto ran = weft::make_chan<void>(1);
  weft::after_func(parent, [ran] { ran.send(); });
  weft::detail::done_core* core = parent.done_core();
  ASSERT_NE(core, nullptr);
  EXPECT_EQ(core, parent.done_core());
  user->finish();
  child.done().recv();
  EXPECT_EQ(child.err(), errc::eof);
  EXPECT_EQ(text_of(child.cause()), "EOF");
  EXPECT_TRUE(ran.recv());
  EXPECT_TRUE(eventually([&] { return core->done.load(); }));
  EXPECT_EQ(parent.err(), errc::eof);
  EXPECT_TRUE(is_done(weft::with_cancel(parent).ctx));
  EXPECT_TRUE(eventually([&] { return weft::goroutines() == before; }));
}

// CONTEXT-16
WEFT_TEST(context, that_wraps_one_of_the_library_needs_no_goroutine) {
  const auto [inner, cancel_inner] = weft::with_timeout(weft::with_value(weft::background(), user_key{1}, 5), 1h);
  const context wrapped(std::make_shared<wrapping_context>(inner));
  const int before = weft::goroutines();
  const auto [child, cancel] = weft::with_cancel(wrapped);
  EXPECT_EQ(weft::goroutines(), before);
  EXPECT_EQ(child.deadline(), inner.deadline());
  EXPECT_EQ(*child.value<int>(user_key{1}), 5);
  EXPECT_EQ(wrapped.done_core(), inner.done_core());
  cancel_inner();
  EXPECT_TRUE(is_done(child));
  EXPECT_EQ(child.err(), errc::canceled);
}

// A std::stop_token from a context: as soon as the cancelling call has returned.
WEFT_TEST(context, gives_a_stop_token) {
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  const auto [child, cancel_child] = weft::with_cancel(ctx);
  const std::stop_token early = child.get_stop_token();
  int called = 0;
  const std::stop_callback on_stop(early, [&] {
    ++called;
    EXPECT_EQ(child.err(), errc::canceled);  // no lock is held
  });
  EXPECT_FALSE(early.stop_requested());
  cancel();
  EXPECT_TRUE(early.stop_requested());
  EXPECT_EQ(called, 1);
  EXPECT_TRUE(child.get_stop_token().stop_requested());
}

// And a context from a token.
WEFT_TEST(context, ends_with_a_stop_token) {
  const auto owner = std::make_unique<std::stop_source>();  // on the heap: g++ 12 warns of one on the stack
  std::stop_source& source = *owner;
  const auto [ctx, cancel] = weft::with_stop_token(weft::background(), source.get_token());
  const auto [other, cancel_other] = weft::with_stop_token(weft::background(), source.get_token());
  const auto [none, cancel_none] = weft::with_stop_token(weft::background(), {});
  cancel_other();
  EXPECT_TRUE(is_live(ctx));
  plain_thread([&] { source.request_stop(); }).join();
  ctx.done().recv();
  EXPECT_EQ(ctx.err(), errc::canceled);
  EXPECT_TRUE(is_live(none));
  EXPECT_TRUE(is_done(weft::with_stop_token(weft::background(), source.get_token()).ctx));
  for (int i = 0; i < scale(200, 20); ++i) {  // the context's end and the stop at the same time
    const auto own = std::make_unique<std::stop_source>();
    std::stop_source& s = *own;
    auto made = std::make_unique<weft::cancelable>(weft::with_stop_token(weft::background(), s.get_token()));
    weft::wait_group both;
    both.go([&] { s.request_stop(); });
    both.go([&] { made.reset(); });
    both.wait();
  }
}
