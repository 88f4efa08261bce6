// wait_test.cpp: what coroutines wait for, beside goroutines that wait for the same.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <weft/co.hpp>

#include "support/support.hpp"

using namespace weft::test;
namespace co = weft::co;

WEFT_TEST(chan, coroutines_and_goroutines_meet_on_one_channel) {
  for (const int capacity : {0, 1, 16}) {
    auto c = weft::make_chan<int>(capacity);
    auto sums = weft::make_chan<long>(8);
    const int each = scale(2'000);
    weft::wait_group senders;
    senders.add(4);
    for (int i = 0; i < 2; i++) {
      co::go([](weft::chan<int> to, int n, weft::wait_group& wg) -> co::task<> {
        for (int k = 1; k <= n; k++) co_await co::send(to, k);
        wg.done();
      }, c, each, std::ref(senders));
      weft::go([=, &senders] {
        for (int k = 1; k <= each; k++) c.send(k);
        senders.done();
      });
      co::go([](weft::chan<int> from, weft::chan<long> to) -> co::task<> {
        long sum = 0;
        while (const auto v = co_await co::recv(from)) sum += *v;
        co_await co::send(to, sum);
      }, c, sums);
      weft::go([=] {
        long sum = 0;
        for (int v : c) sum += v;
        sums.send(sum);
      });
    }
    senders.wait();
    c.close();
    long sum = 0;
    for (int i = 0; i < 4; i++) sum += sums.recv().value();
    EXPECT_EQ(sum, 4L * each * (each + 1) / 2);
  }
}

WEFT_TEST(chan, a_move_only_value_travels_and_a_send_on_a_closed_channel_throws) {
  auto c = weft::make_chan<std::unique_ptr<int>>();
  const auto sender = [](weft::chan<std::unique_ptr<int>> to) -> co::task<bool> {
    co_await co::send(to, std::make_unique<int>(1));
    auto mine = std::make_unique<int>(2);
    bool threw = false;
    try {
      co_await co::send(to, std::move(mine));
    } catch (const weft::closed_channel&) {
      threw = true;
    }
    co_return threw && *mine == 2;
  };
  weft::go([c] {
    EXPECT_EQ(**c.recv(), 1);
    weft::this_goroutine::sleep_for(1ms);
    c.close();
  });
  EXPECT_TRUE(sender(c).join());
  EXPECT_FALSE([](weft::chan<std::unique_ptr<int>> from) -> co::task<bool> { co_return (co_await co::recv(from)).has_value(); }(c).join());
}

WEFT_TEST(select, the_case_that_can_run_runs) {
  const auto body = []() -> co::task<> {
    auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
    auto out = weft::make_chan<int>(1);
    int got = 0;
    EXPECT_EQ(co_await co::select(weft::on_recv(a), weft::on_default([&] { got = 1; })), 1);
    EXPECT_EQ(got, 1);
    EXPECT_EQ(co_await co::select(weft::on_recv(a), weft::on_send(out, 7)), 1);
    EXPECT_EQ(co_await co::recv(out), 7);
    const auto before = steady::now();
    EXPECT_EQ(co_await co::select(weft::on_recv(a), weft::on_timeout(2ms)), 1);
    EXPECT_GE(steady::now() - before, 2ms);
    EXPECT_EQ(co_await co::select(weft::on_timeout(1ms)), 0);
    co::go([](weft::chan<int> to) -> co::task<> { co_await co::send(to, 9); }, b);
    EXPECT_EQ(co_await co::select(weft::on_recv(a), weft::on_recv(b, [&](std::optional<int> v) { got = *v; }), weft::on_timeout(1h)), 1);
    EXPECT_EQ(got, 9);
    b.close();
    EXPECT_EQ(co_await co::select(weft::on_recv(a), weft::on_recv(b, [&](std::optional<int> v) { got = v.has_value(); })), 1);
    EXPECT_EQ(got, 0);
  };
  body().join();
}

// Both ends are selects, with time-outs that race the values: none is lost, none comes twice.
WEFT_TEST(select, loses_nothing_to_timeouts) {
  auto a = weft::make_chan<long>(), b = weft::make_chan<long>();
  const int n = scale(1'000);
  const auto producer = [](weft::chan<long> x, weft::chan<long> y, int count) -> co::task<long> {
    long sum = 0;
    for (long i = 0; i < count;) {
      const int which = co_await co::select(weft::on_send(x, i), weft::on_send(y, i), weft::on_timeout(10us));
      if (which != 2) sum += i++;
    }
    co_return sum;
  };
  const auto consumer = [](weft::chan<long> x, weft::chan<long> y, weft::chan<long> result) -> co::task<> {
    long sum = 0;
    bool open = true;
    const auto take = [&](std::optional<long> v) { v ? void(sum += *v) : void(open = false); };
    while (open) co_await co::select(weft::on_recv(x, take), weft::on_recv(y, take), weft::on_timeout(7us));
    co_await co::send(result, sum);
  };
  auto result = weft::make_chan<long>();
  co::go(consumer, a, b, result);
  const long sent = producer(a, b, n).join();
  a.close();
  EXPECT_EQ(result.recv(), sent);
}

// A timer's channel holds a time, not a value: who waits on it waits for that.
WEFT_TEST(select, timers_and_contexts) {
  const auto body = []() -> co::task<> {
    auto never = weft::make_chan<int>();
    const auto begin = steady::now();
    EXPECT_TRUE((co_await co::recv(weft::after(2ms))).has_value());
    EXPECT_GE(steady::now() - begin, 2ms);
    EXPECT_EQ(co_await co::select(weft::on_recv(never), weft::on_recv(weft::after(1ms))), 1);
    EXPECT_EQ(co_await co::select(weft::on_recv(weft::after(1h)), weft::on_timeout(1ms)), 1);
    auto [ctx, cancel] = weft::with_cancel(weft::background());
    weft::go([cancel = std::move(cancel)]() mutable { weft::this_goroutine::sleep_for(1ms), cancel(); });
    EXPECT_EQ(co_await co::select(weft::on_recv(never), weft::on_recv(ctx.done())), 1);
  };
  body().join();
}

// stats() counts them as it does goroutines', whoever resumes the coroutine.
WEFT_TEST(stats, counts_the_parks_of_coroutines) {
  const auto body = []() -> co::task<> {
    for (int i = 0; i < 50; i++) co_await co::sleep_for(10us);
  };
  const auto before = weft::stats().parks;
  body().join();
  EXPECT_GE(weft::stats().parks, before + 50);
}

WEFT_TEST(mutex, excludes_coroutines_and_goroutines_from_each_other) {
  weft::mutex m;
  weft::wait_group wg;
  long count = 0;
  const int each = scale(2'000);
  wg.add(8);
  for (int i = 0; i < 4; i++) {
    co::go([](weft::mutex& mu, long& c, int n, weft::wait_group& all) -> co::task<> {
      for (int k = 0; k < n; k++) {
        const auto guard = co_await co::lock(mu);
        const long was = c;
        if (k % 16 == 0) co_await co::yield();  // held over a wait
        c = was + 1;
      }
      all.done();
    }, std::ref(m), std::ref(count), each, std::ref(wg));
    weft::go([&] {
      for (int k = 0; k < each; k++) {
        const std::lock_guard guard(m);
        const long was = count;
        if (k % 16 == 0) weft::this_goroutine::yield();
        count = was + 1;
      }
      wg.done();
    });
  }
  wg.wait();
  EXPECT_EQ(count, 8L * each);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

WEFT_TEST(wait_group, is_waited_for) {
  const auto body = []() -> co::task<int> {
    weft::wait_group wg;
    std::atomic<int> done{0};
    co_await co::wait(wg);  // at 0: at once
    for (int i = 0; i < 10; i++) wg.go([&] { weft::this_goroutine::yield(), done++; });
    co_await co::wait(wg);
    co_return done.load();
  };
  EXPECT_EQ(body().join(), 10);
}

WEFT_TEST(sleep, is_never_shorter_than_it_says) {
  const auto body = []() -> co::task<> {
    const auto begin = steady::now();
    co_await co::sleep_for(3ms);
    EXPECT_GE(steady::now() - begin, 3ms);
    co_await co::sleep_for(-1s);
    co_await co::sleep_until(begin + 5ms);
    EXPECT_GE(steady::now() - begin, 5ms);
  };
  body().join();
  weft::wait_group wg;
  const int n = scale(1'000);
  wg.add(n);
  for (int i = 0; i < n; i++) {
    co::go([](weft::wait_group& all, int us) -> co::task<> {
      co_await co::sleep_for(std::chrono::microseconds(us));
      all.done();
    }, std::ref(wg), i % 50);
  }
  wg.wait();
}

// On one processor two that yield take turns: neither gets ahead by more than one.
WEFT_TEST(yield, lets_the_others_go_first) {
  const with_procs one(1);
  int turns[2] = {}, most = 0, begun = 0;
  weft::wait_group wg;
  wg.add(2);
  for (const int i : {0, 1}) {
    co::go([](int(&t)[2], int me, int& ahead, int& there, weft::wait_group& all) -> co::task<> {
      there++;
      while (there < 2) co_await co::yield();  // nobody gets ahead of one that has not begun
      for (int k = 0; k < 300; k++) {
        t[me]++;
        if (t[1 - me] > 0) ahead = std::max(ahead, t[me] - t[1 - me]);
        co_await co::yield();
      }
      all.done();
    }(turns, i, most, begun, wg));
  }
  wg.wait();
  EXPECT_LE(most, under_chaos ? 300 : 2);
}

WEFT_TEST(join, of_a_task_of_async) {
  const auto body = []() -> co::task<int> {
    auto unstarted = weft::async([] { return 1; });
    auto started = weft::async([] { return weft::this_goroutine::sleep_for(1ms), 2; });
    co_await co::sleep_for(100us);
    auto bad = weft::async([]() -> int { throw 5; });
    int caught = 0;
    try {
      static_cast<void>(co_await co::join(bad));
    } catch (int v) {
      caught = v;
    }
    co_return co_await co::join(unstarted) + co_await co::join(started) + caught;
  };
  EXPECT_EQ(body().join(), 8);
}

namespace {

co::task<> echo(weft::net::stream s) {
  std::array<std::byte, 256> buffer;
  while (const std::size_t n = co_await co::read_some(s, buffer)) co_await co::write_all(s, std::span(buffer).first(n));
}
co::task<> serve(weft::net::listener l) {
  std::error_code ec;
  for (;;) {
    auto s = co_await co::accept(l, ec);
    if (ec) break;
    co::go(echo(std::move(s)));
  }
  EXPECT_EQ(ec, weft::errc::closed);
}
co::task<bool> ask(weft::net::listener l, std::string text) {
  const auto s = weft::net::dial("tcp", l.address());
  std::string back(text.size(), ' ');
  for (int i = 0; i < 5; i++) {
    co_await co::write_all(s, text);
    co_await co::read_full(s, std::as_writable_bytes(std::span(back)));
    if (back != text) co_return false;
  }
  s.close_write();
  std::error_code ec;
  std::byte rest[1];
  const std::size_t more = co_await co::read_some(s, rest, ec);
  if (more != 0 || ec) co_return false;
  const std::size_t none = co_await co::read_full(s, rest, ec);
  co_return none == 0 && ec == weft::errc::eof;
}

}  // namespace

WEFT_TEST(net, an_echo_server_of_coroutines) {
  const auto l = weft::net::listen("tcp", "127.0.0.1:0");
  co::go(serve(l));
  std::vector<co::forked<bool>> clients;
  for (int i = 0; i < 20; i++) clients.push_back(co::fork(ask(l, std::string(1 + 90 * static_cast<std::size_t>(i), 'x'))));
  for (auto& c : clients) EXPECT_TRUE(c.join());
  l.close();
}

WEFT_TEST(net, a_deadline_and_a_close_end_a_wait) {
  const auto l = weft::net::listen("tcp", "127.0.0.1:0");
  const auto a = weft::net::dial("tcp", l.address());
  const auto b = l.accept();
  const auto body = [](weft::net::stream s) -> co::task<> {
    std::byte one[1];
    std::error_code ec;
    s.set_read_deadline(steady::now() + 2ms);
    EXPECT_EQ(co_await co::read_some(s, one, ec), 0u);
    EXPECT_EQ(ec, weft::errc::timed_out);
    s.set_read_deadline(weft::net::no_deadline);
    weft::go([s] { weft::this_goroutine::sleep_for(1ms), s.close(); });
    EXPECT_EQ(co_await co::read_some(s, one, ec), 0u);
    EXPECT_EQ(ec, weft::errc::closed);
    std::string what;
    try {
      static_cast<void>(co_await co::write_all(s, "x"));
    } catch (const std::system_error& e) {
      what = e.what();
    }
    EXPECT_TRUE(contains(what, "write tcp"));
  };
  body(b).join();
}

// `t - now` overflows for the least of all time points.
WEFT_TEST(sleep, of_a_coroutine_until_a_time_long_past_ends) {
  []() -> co::task<> { co_await co::sleep_until(steady::time_point::min()); }().join();
}

// The handles of channels may go while a coroutine waits for them.
WEFT_TEST(select, of_a_coroutine_keeps_its_channels_when_their_handles_go) {
  const with_procs one(1);  // who has begun to wait there, waits
  auto c = std::make_unique<weft::chan<int>>(weft::make_chan<int>());
  auto t = std::make_unique<weft::timer>(20ms), tick = std::make_unique<weft::timer>(20ms);
  weft::wait_group done;
  done.add(2);
  std::atomic<int> begun{0}, chosen{-1};
  std::atomic<bool> ticked{false};
  co::go([&](weft::chan<int>* from, weft::timer* after) -> co::task<> {
    ++begun;
    chosen = co_await co::select(weft::on_recv(*from), weft::on_recv(after->c));
    done.done();
  }, c.get(), t.get());
  co::go([&](weft::timer* after) -> co::task<> {
    ++begun;
    ticked = (co_await co::recv(after->c)).has_value();
    done.done();
  }, tick.get());
  EXPECT_TRUE(eventually([&] { return begun == 2; }));
  for (int i = 0; i < 20; ++i) weft::this_goroutine::yield();  // unless it was preempted in between: then it goes on now
  c.reset(), t.reset(), tick.reset();
  std::vector<weft::chan<int>> others;  // in the memory that was theirs
  for (int i = 0; i < 100; ++i) others.push_back(weft::make_chan<int>());
  done.wait();
  EXPECT_EQ(chosen, 1);
  EXPECT_TRUE(ticked);
}
