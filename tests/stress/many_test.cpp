// many_test.cpp: very many goroutines, at once and one after the other.
// weft-test: timeout=180 serial=1
#include <algorithm>
#include <atomic>
#include <cstring>

#include "support/support.hpp"

using namespace weft::test;

// SCHED-02. With a mapping per stack the kernel would say no at 65,530.
WEFT_TEST(many, a_million_goroutines_are_parked_at_once_and_released_by_close) {
  const int n = scale_alive(1'000'000);
  auto release = weft::make_chan<int>();
  std::atomic<int> parked{0}, ended{0};
  for (int i = 0; i < n; ++i) {
    weft::go([&parked, &ended, release] {
      ++parked;
      static_cast<void>(release.recv());
      ++ended;
    });
  }
  ASSERT_TRUE(eventually([&] { return parked == n; }, 100s));
  EXPECT_EQ(weft::goroutines(), n + 1);
  EXPECT_LT(resident_bytes(), std::size_t{8} << 30);
  EXPECT_EQ(ended, 0);
  release.close();
  ASSERT_TRUE(eventually([&] { return ended == n; }, 60s));
  ASSERT_TRUE(eventually([&] { return weft::goroutines() == 1; }, 10s));
}

// What a wave of goroutines took goes back when it is over.
WEFT_TEST(many, memory_goes_back_after_they_have_ended) {
  if (under_sanitizer || under_emulator) return;  // they keep what the program gives back
  const auto wave = [] {
    const int n = scale_alive(200'000);
    auto release = weft::make_chan<int>();
    weft::wait_group done;
    for (int i = 0; i < n; ++i) done.go([=] { static_cast<void>(release.recv()); });
    weft::this_goroutine::sleep_for(10ms);
    const auto most = resident_bytes();
    release.close();
    done.wait();
    return most;
  };
  const auto most = wave();
  EXPECT_TRUE(eventually([&] { return resident_bytes() < most / 2; }, 20s)) << resident_bytes() << " of " << most;
}

// SCHED-32
WEFT_TEST(many, a_chain_of_a_million_takes_the_memory_of_a_few) {
  struct chain {
    static void link(int left, weft::chan<int> end) {
      char part[2000];
      std::memset(part, left, sizeof part);
      asm volatile("" : : "r"(part) : "memory");
      if (left == 0) end.send(1);
      else weft::go(&link, left - 1, end);
    }
  };
  const auto run = [](int n) {
    auto end = weft::make_chan<int>();
    weft::go(&chain::link, n, end);
    EXPECT_EQ(end.recv(), 1);
  };
  run(10'000);
  const auto before = resident_bytes();
  run(scale(1'000'000));
  const auto after = resident_bytes();
  EXPECT_LT(after - std::min(after, before), std::size_t{50} << 20);
}

// WAITGROUP-08
WEFT_TEST(many, a_million_goroutines_end_under_one_wait_group) {
  const int n = scale_alive(1'000'000);
  weft::wait_group done;
  std::atomic<std::int64_t> sum{0};
  for (int i = 0; i < n; ++i) done.go([&sum, i] { sum += i; });
  done.wait();
  EXPECT_EQ(sum, std::int64_t{n} * (n - 1) / 2);
}

// SCHED-01, at length.
WEFT_TEST(many, starts_by_many_goroutines_are_each_run_once) {
  const int each = scale(20'000, 200);
  std::atomic<std::int64_t> ran{0};
  weft::wait_group done;
  for (int k = 0; k < 16; ++k) {
    done.go([&] {
      for (int i = 0; i < each; ++i) {
        done.go([&] { ++ran; });
        if (i % 256 == 0) weft::this_goroutine::yield();
      }
    });
  }
  done.wait();
  EXPECT_EQ(ran, std::int64_t{16} * each);
}

// CHAN-26
WEFT_TEST(many, sieve_gives_the_2000th_prime) {
  const int wanted = under_sanitizer ? 200 : 2'000;
  auto in = weft::make_chan<int>();
  std::atomic<bool> stop{false};
  weft::go([&stop, in] {
    for (int i = 2; !stop; ++i) in.send(i);
    in.close();
  });
  int prime = 0;
  for (int k = 0; k < wanted; ++k) {
    prime = in.recv().value();
    auto out = weft::make_chan<int>();
    weft::go([in, out, prime] {
      for (const int i : in)
        if (i % prime != 0) out.send(i);
      out.close();
    });
    in = out;
  }
  EXPECT_EQ(prime, under_sanitizer ? 1223 : 17389);
  stop = true;
  while (in.recv()) {
  }
}
