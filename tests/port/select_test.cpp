// select_test.cpp: Go's test/chan/{doubleselect,select2,select3,select6,select7} and runtime/chan_test.go. See README.md.
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
using weft::on_default;
using weft::on_recv;
using weft::on_send;

// test/chan/doubleselect: a sender that is in four queues is served once for each value.
WEFT_TEST(chan_port, doubleselect) {
  const int iterations = scale(100'000, 2'000);
  std::array<weft::chan<int>, 4> c;
  for (auto& x : c) x = weft::make_chan<int>();
  auto mux = weft::make_chan<int>();
  auto done = weft::make_chan<bool>();
  weft::go([=] {
    for (int i = 0; i < iterations; ++i) weft::select(on_send(c[0], i), on_send(c[1], i), on_send(c[2], i), on_send(c[3], i));
    for (auto& x : c) x.close();
  });
  for (auto& x : c) {
    weft::go([=] {
      for (const int v : x) mux.send(v);
      done.send(true);
    });
  }
  weft::go([=] {
    for (int i = 0; i < 4; ++i) static_cast<void>(done.recv());
    mux.close();
  });
  std::vector<bool> seen(static_cast<std::size_t>(iterations));
  int count = 0;
  for (const int v : mux) {
    EXPECT_FALSE(seen[static_cast<std::size_t>(v)]) << v;
    seen[static_cast<std::size_t>(v)] = true;
    ++count;
  }
  EXPECT_EQ(count, iterations);
}

// test/chan/select2: a select leaves nothing behind in the queue of a channel that is never ready.
WEFT_TEST(chan_port, select2) {
  const int n = scale(100'000, 2'000);
  const auto c = weft::make_chan<int>(), dummy = weft::make_chan<int>();
  const auto round = [&] {
    weft::go([c, n] {
      for (int i = 0; i < n; ++i) c.send(1);
    });
    for (int i = 0; i < n; ++i) weft::select(on_recv(c), on_recv(dummy, [] { ADD_FAILURE() << "dummy"; }));
  };
  round();
  // What is left behind is so in every round; other growth, such as an emulator's for code that it sees for the first time, is not.
  const std::size_t most = under_sanitizer ? 64u << 20 : 1u << 20;
  std::size_t growth = most;
  for (int tries = 0; tries < 8 && growth >= most; ++tries) {
    const auto before = resident_bytes();
    round();
    growth = resident_bytes() - std::min(before, resident_bytes());
  }
  EXPECT_LT(growth, most);
}

// test/chan/select3: what blocks, and what does not.
WEFT_TEST(chan_port, select3) {
  const auto test = [](bool blocks, const std::function<void()>& f) {
    auto ended = std::make_shared<std::atomic<bool>>(false);
    weft::go([f, ended] {
      f();
      *ended = true;
    });
    if (blocks) {
      for (int i = 0; i < 20; ++i) weft::this_goroutine::yield();
      EXPECT_FALSE(*ended);
    } else {
      EXPECT_TRUE(eventually([&] { return ended->load(); }));
    }
    return ended;
  };
  const auto empty = weft::make_chan<int>(), async = weft::make_chan<int>(10), full = weft::make_chan<int>(1), closed = weft::make_chan<int>();
  const weft::chan<int> nil;
  full.send(1);
  closed.close();
  // Whoever blocks here is let go at the end.
  const auto let_go = weft::make_chan<void>();
  std::vector<std::shared_ptr<std::atomic<bool>>> blocked;
  blocked.push_back(test(true, [=] { weft::select(on_recv(empty), on_recv(let_go)); }));
  const auto alone = weft::make_chan<int>();
  blocked.push_back(test(true, [=] { weft::select(on_send(alone, 7), on_recv(let_go)); }));
  test(false, [=] { weft::select(on_recv(closed)); });
  test(false, [=] { weft::select(on_recv(closed), on_recv(empty), on_recv(nil)); });
  test(false, [=] { EXPECT_THROW(weft::select(on_send(closed, 7)), weft::closed_channel); });
  test(false, [=] { EXPECT_EQ(weft::select(on_default(), on_recv(nil)), 0); });
  test(false, [=] { EXPECT_EQ(weft::select(on_send(nil, 7), on_default()), 1); });
  test(false, [=] { EXPECT_EQ(weft::select(on_send(async, 7), on_recv(nil)), 0); });
  test(false, [=] { EXPECT_EQ(weft::select(on_send(full, 7), on_default()), 1); });
  blocked.push_back(test(true, [=] { weft::select(on_recv(nil), on_send(nil, 7), on_recv(let_go)); }));
  blocked.push_back(test(true, [=] { weft::select(on_send(full, 7), on_recv(let_go)); }));
  let_go.close();
  for (auto& b : blocked) EXPECT_TRUE(eventually([&] { return b->load(); }));
}

// test/chan/select6: an entry in the middle of a queue can be taken out.
WEFT_TEST(chan_port, select6) {
  auto c1 = weft::make_chan<bool>(), c2 = weft::make_chan<bool>(), c3 = weft::make_chan<bool>();
  weft::go([=] { static_cast<void>(c1.recv()); });
  weft::go([=] {
    weft::select(on_recv(c1, [] { ADD_FAILURE() << "dummy"; }), on_recv(c2, [&] { c3.send(true); }));
    static_cast<void>(c1.recv());
  });
  weft::this_goroutine::yield();
  weft::go([=] { c2.send(true); });
  static_cast<void>(c3.recv());
  c1.send(true);
  c1.send(true);
}

// test/chan/select7: all kinds of receive meet all kinds of send.
WEFT_TEST(chan_port, select7) {
  using channel = weft::chan<int>;
  const std::array<void (*)(channel), 3> receives = {
      [](channel c) { static_cast<void>(c.recv()); },
      [](channel c) { weft::select(on_recv(c)); },
      [](channel c) { weft::select(on_recv(c), on_recv(weft::make_chan<int>())); },
  };
  const std::array<void (*)(channel), 3> sends = {
      [](channel c) { c.send(1); },
      [](channel c) { weft::select(on_send(c, 1)); },
      [](channel c) { weft::select(on_send(c, 1), on_send(weft::make_chan<int>(), 1)); },
  };
  for (auto receive : receives) {
    for (auto send : sends) {
      auto c = weft::make_chan<int>();
      weft::go(receive, c);
      weft::this_goroutine::yield();
      send(c);
    }
  }
}

// runtime/chan_test.go: TestSelectFairness
WEFT_TEST(chan_port, TestSelectFairness) {
  const int trials = scale(10'000, 2'000);
  auto c1 = weft::make_chan<int>(trials + 1), c2 = weft::make_chan<int>(trials + 1);
  for (int i = 0; i < trials + 1; ++i) c1.send(1), c2.send(2);
  const auto c3 = weft::make_chan<int>(), c4 = weft::make_chan<int>();
  auto out = weft::make_chan<int>(), done = weft::make_chan<int>();
  weft::wait_group wg;
  wg.go([=] {
    for (bool going = true; going;) {
      int b = 0;
      const auto take = [&](std::optional<int> v) { b = v.value(); };
      weft::select(on_recv(c3, take), on_recv(c4, take), on_recv(c1, take), on_recv(c2, take));
      weft::select(on_send(out, b), on_recv(done, [&] { going = false; }));
    }
  });
  std::array<int, 3> count{};
  for (int i = 0; i < trials; ++i) ++count[static_cast<std::size_t>(out.recv().value())];
  done.close();
  wg.wait();
  EXPECT_GT(count[1], trials * 4 / 10);
  EXPECT_GT(count[2], trials * 4 / 10);
}
