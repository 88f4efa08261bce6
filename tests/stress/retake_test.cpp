// retake_test.cpp: hogs, calls that block, locked goroutines, stops of the world, timers and channels, all at the same time.
// Values prove themselves: every number that was sent is received once, and everybody who was started ends.
// weft-test: timeout=120 flavours=displaces,yields
#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace self = weft::this_goroutine;

namespace {

void block(std::chrono::nanoseconds d) {
  const timespec t{0, d.count()};
  ::nanosleep(&t, nullptr);
}
int thread_id() {
  return weft::on_this_thread([] { return ::gettid(); });
}

/// One step of somebody who wants to lose the processor in every way there is.
void misbehave(rng& r) {
  switch (r.below(12)) {
    case 0: spin(std::chrono::microseconds(r.below(r.one_in(20) ? 15'000 : 50))); break;
    case 1: weft::blocking([&] { block(std::chrono::microseconds(r.below(300))); }); break;
    case 2: weft::system_call([&] { block(std::chrono::microseconds(r.below(100))); }); break;
    case 3: weft::system_call(&::getpid); break;
    case 4: self::sleep_for(std::chrono::microseconds(r.below(200))); break;
    case 5: weft::poll(); break;
    case 6: {
      self::lock_thread();
      const int tid = thread_id();
      self::yield();
      if (r.one_in(4)) spin(100us);
      if (r.one_in(4)) weft::blocking([] { block(10us); });
      if (thread_id() != tid) ADD_FAILURE() << "a locked goroutine has moved";
      self::unlock_thread();
      break;
    }
    case 7: {
      int n = 0;
      try {
        weft::blocking([&] { throw r.below(100); });
      } catch (int i) {
        n = i + 1;
      }
      if (n == 0) ADD_FAILURE() << "an exception was lost";
      break;
    }
    default: self::yield(); break;
  }
}

}  // namespace

WEFT_TEST(retake, of_everybody_by_everything_loses_and_doubles_nothing) {
  const int before = weft::procs();
  constexpr std::size_t channels = 4;
  std::array<weft::chan<std::uint64_t>, channels> c;
  for (std::size_t i = 0; i < channels; ++i) c[i] = weft::make_chan<std::uint64_t>(i * i);
  std::atomic<std::uint64_t> sent{0}, received{0}, sent_count{0}, received_count{0};
  std::atomic<int> locked_rounds{0};
  std::atomic<bool> stop{false};
  std::uint64_t guarded = 0;
  std::atomic<std::uint64_t> guarded_wanted{0};
  weft::mutex m;
  weft::wait_group senders, receivers, others;

  for (std::size_t k = 0; k < 12; ++k) {
    receivers.go([&, k] {
      rng r(100 + k);
      for (auto from = c[k % channels];;) {
        const auto v = from.recv();
        if (!v) return;
        received += *v, ++received_count;
        if (r.one_in(3)) misbehave(r);
      }
    });
    senders.go([&, k] {
      rng r(200 + k);
      for (auto to = c[k % channels]; !stop;) {
        const auto v = r.next() >> 16;
        to.send(v);
        sent += v, ++sent_count;
        if (r.one_in(8)) {
          const std::lock_guard hold(m);
          if (r.one_in(4)) misbehave(r);
          ++guarded, ++guarded_wanted;
        }
        misbehave(r);
      }
    });
  }
  for (std::uint64_t k = 0; k < 3; ++k) {  // hogs, longer than a slice
    others.go([&, k] {
      rng r(300 + k);
      while (!stop) {
        spin(std::chrono::milliseconds(5 + r.below(25)));
        if (r.one_in(2)) self::yield();
        else self::sleep_for(1ms);
      }
    });
  }
  for (int k = 0; k < 2; ++k) {  // locked pairs
    auto ping = weft::make_chan<int>(), pong = weft::make_chan<int>();
    others.go([=]() mutable {
      self::lock_thread();
      for (const int i : ping) pong.send(i + 1);
    });  // ends locked, and its thread with it
    others.go([&, ping, pong]() mutable {
      self::lock_thread();
      const int tid = thread_id();
      for (int i = 0; !stop; ++i) {
        ping.send(i);
        if (pong.recv() != i + 1 || thread_id() != tid) ADD_FAILURE() << i;
        ++locked_rounds;
      }
      ping.close();
      self::unlock_thread();
    });
  }
  others.go([&] {  // the world
    rng r(400);
    while (!stop) {
      weft::set_procs(1 + r.below(8));
      self::sleep_for(std::chrono::microseconds(r.below(4'000)));
    }
  });
  others.add(1);
  weft::go({.priority = weft::go_priority::background}, [&] {
    rng r(500);
    while (!stop) misbehave(r);
    others.done();
  });
  others.go([&] {  // and those that only come and go
    rng r(600);
    while (!stop) {
      weft::wait_group few;
      for (int i = 0; i < 8; ++i) {
        few.go([n = r.next()] {
          rng mine(n);
          misbehave(mine);
        });
      }
      few.wait();
    }
  });

  self::sleep_for(1s);
  stop = true;
  senders.wait();
  for (auto& each : c) each.close();
  receivers.wait();
  others.wait();
  weft::set_procs(before);
  EXPECT_EQ(sent, received);
  EXPECT_EQ(sent_count, received_count);
  EXPECT_EQ(guarded, guarded_wanted);
  EXPECT_GT(sent_count, 0u);
  EXPECT_GT(locked_rounds, 0);
}
