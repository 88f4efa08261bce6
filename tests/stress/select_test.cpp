// select_test.cpp: selects of all shapes at random on the same channels: each value arrives once, none is made up.
// WEFT_TEST_SEED repeats the choices.
// weft-test: timeout=180
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
using weft::on_default;
using weft::on_recv;
using weft::on_send;
using weft::on_timeout;
namespace self = weft::this_goroutine;

namespace {

constexpr int channels = 6;

struct world {
  std::array<weft::chan<std::int64_t>, channels> c;
  std::array<weft::chan<std::string>, 2> boxed;
  weft::chan<void> events;
  std::atomic<std::int64_t> sent{0}, received{0}, sent_sum{0}, received_sum{0}, left{0};

  world() {
    for (int i = 0; i < channels; ++i) c[static_cast<std::size_t>(i)] = weft::make_chan<std::int64_t>(i < 3 ? 0 : i);
    boxed = {weft::make_chan<std::string>(), weft::make_chan<std::string>(2)};
    events = weft::make_chan<void>(1);
  }
  void out(std::int64_t v) { ++sent, sent_sum += v; }
  void in(std::int64_t v) { ++received, received_sum += v; }
  const weft::chan<std::int64_t>& any(rng& r) { return c[static_cast<std::size_t>(r.below(channels))]; }
};

// One random select. All of them can give up, so that the end is always reached.
void step(world& w, rng& r) {
  const auto v = static_cast<std::int64_t>(r.next() >> 30);
  const auto text = std::to_string(v) + " as a text that does not fit into a string's own bytes";
  const auto d = std::chrono::microseconds(r.below(200));
  const auto take = [&](std::optional<std::int64_t> got) { w.in(got.value()); };
  const auto take_text = [&](std::optional<std::string> got) { w.in(std::stoll(got.value())); };
  switch (r.below(7)) {
    case 0: weft::select(on_recv(w.any(r), take), on_recv(w.any(r), take), on_recv(w.any(r), take), on_timeout(d)); break;
    case 1: weft::select(on_send(w.any(r), v, [&] { w.out(v); }), on_send(w.any(r), v + 1, [&] { w.out(v + 1); }), on_timeout(d)); break;
    case 2: weft::select(on_send(w.any(r), v, [&] { w.out(v); }), on_recv(w.any(r), take), on_default()); break;
    case 3: {
      std::string mine = text;
      const int k = weft::select(on_send(w.boxed[0], std::move(mine), [&] { w.out(v); }), on_recv(w.boxed[1], take_text), on_recv(w.any(r), take), on_timeout(d));
      if (k != 0 && mine != text) ADD_FAILURE() << "a value was not sent and is gone";
      break;
    }
    case 4: weft::select(on_send(w.boxed[1], text, [&] { w.out(v); }), on_recv(w.boxed[0], take_text), on_recv(w.events), on_send(w.events), on_timeout(d)); break;
    case 5: {
      weft::selector s;
      const int n = 1 + r.below(30);
      std::optional<std::int64_t> got;
      std::vector<std::int64_t> values(static_cast<std::size_t>(n), -1);
      for (auto& x : values) {
        if (r.one_in(2)) {
          s.recv(w.any(r), got);
        } else {
          x = static_cast<std::int64_t>(r.next() >> 30);
          s.send(w.any(r), x);
        }
      }
      const int k = r.one_in(3) ? s.try_wait() : s.wait_for(d);
      if (k >= 0 && values[static_cast<std::size_t>(k)] >= 0) w.out(values[static_cast<std::size_t>(k)]);
      else if (k >= 0) w.in(got.value());
      break;
    }
    case 6:
      if (r.one_in(2)) {
        if (w.any(r).send_for(v, d)) w.out(v);
      } else if (auto got = w.any(r).recv_for(d)) {
        w.in(*got);
      }
      break;
  }
  if (r.one_in(16)) self::yield();
}

}  // namespace

WEFT_TEST(select_stress, of_all_shapes_loses_and_doubles_nothing) {
  world w;
  const int steps = scale(30'000, 400);
  weft::wait_group done;
  for (unsigned k = 0; k < 24; ++k) {
    done.go([&, k] {
      rng r(k);
      for (int i = 0; i < steps; ++i) step(w, r);
    });
  }
  std::vector<plain_thread> threads;
  for (unsigned k = 0; k < 2; ++k) {
    threads.emplace_back([&, k] {
      rng r(100 + k);
      for (int i = 0; i < steps / 4; ++i) step(w, r);
    });
  }
  done.wait();
  threads.clear();
  for (auto& c : w.c) {
    while (auto v = c.try_recv()) w.in(*v);
  }
  for (auto& c : w.boxed) {
    while (auto v = c.try_recv()) w.in(std::stoll(*v));
  }
  EXPECT_EQ(w.sent, w.received);
  EXPECT_EQ(w.sent_sum, w.received_sum);
  EXPECT_GT(w.sent, steps);
}

// Closes come in between: who sends gets an exception, who receives gets nothing, and whatever was sent before arrives.
WEFT_TEST(select_stress, with_closes_keeps_its_counts) {
  for (int round = 0; round < scale(1'000, 20); ++round) {
    const std::array c = {weft::make_chan<int>(), weft::make_chan<int>(1), weft::make_chan<int>(3)};
    std::atomic<int> sent{0}, received{0};
    weft::wait_group senders, receivers;
    for (unsigned k = 0; k < 6; ++k) {
      senders.go([&, k] {
        rng r(static_cast<unsigned>(round) * 10 + k);
        std::array open = c;
        for (int left = 3; left > 0;) {
          const auto i = static_cast<std::size_t>(r.below(3)), j = static_cast<std::size_t>(r.below(3));
          try {
            weft::select(on_send(open[i], 1, [&] { ++sent; }), on_send(open[j], 1, [&] { ++sent; }), on_timeout(5ms));
          } catch (const weft::closed_channel&) {
            left = 0;
          }
          if (r.one_in(4)) self::yield();  // else who wakes each other has the processor for a whole slice
        }
      });
    }
    for (int k = 0; k < 4; ++k) {
      receivers.go([&] {
        std::array open = c;
        for (int left = 3; left > 0;) {
          int k2 = -1;
          const auto take = [&](int which) {
            return [&, which](std::optional<int> v) {
              if (v) ++received;
              else k2 = which;
            };
          };
          weft::select(on_recv(open[0], take(0)), on_recv(open[1], take(1)), on_recv(open[2], take(2)));
          if (k2 >= 0) open[static_cast<std::size_t>(k2)] = {}, --left;
        }
      });
    }
    rng r(5'000u + static_cast<unsigned>(round));
    for (const auto& x : c) {
      for (int i = r.below(30); i > 0; --i) self::yield();
      x.close();
    }
    senders.wait();
    receivers.wait();
    EXPECT_EQ(sent, received);
  }
}
