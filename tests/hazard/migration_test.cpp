// migration_test.cpp: hazard 1. A compiler may keep the address of a thread's own variable over a switch, after which the
// goroutine may be on another thread. weft's own code must not, at any level of optimisation; nor must what users write as the
// guide says (docs/guide/goroutines_and_threads.md). Chaos mode moves goroutines about on every occasion.
// weft-test: flavours=O2,O3,lto env=WEFT_DEBUG=chaos=1 timeout=120
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

namespace {

thread_local int plain = 0;
thread_local std::string with_a_constructor = "fresh";
thread_local const long own_tid = ::gettid();

long kernel_tid() { return ::gettid(); }  // asks each time

// One of the ways to park, another one each time.
void park(rng& r, weft::chan<int> c, weft::mutex& m) {
  switch (r.below(5)) {
    case 0: weft::this_goroutine::yield(); break;
    case 1: weft::this_goroutine::sleep_for(1us); break;
    case 2: c.send(1); break;
    case 3: static_cast<void>(c.try_recv()); break;
    default: {
      const std::scoped_lock hold(m);
      weft::this_goroutine::yield();
    }
  }
}

// Runs `step` many times in many goroutines that park all the while, each time between two calls of it.
template <class Step>
void while_they_move(Step step) {
  auto c = weft::make_chan<int>(8);
  weft::mutex m;
  weft::wait_group done;
  const int n = 2 * weft::procs() + 2, rounds = scale(150, 30);
  std::atomic<int> left{n};
  for (int i = 0; i < n; ++i) {
    done.go([&, i] {
      rng r(static_cast<std::uint64_t>(i));
      for (int k = 0; k < rounds; ++k) {
        step(i, k);
        park(r, c, m);
      }
      if (--left == 0) c.close();
    });
  }
  weft::go([c]() mutable {
    while (c.recv()) {
    }
  });
  done.wait();
}

}  // namespace

// Or the rest of this file shows nothing.
WEFT_TEST(migration, takes_place) {
  if (weft::procs() == 1) return;
  std::mutex lock;
  std::set<long> tids[64];
  EXPECT_TRUE(eventually([&] {
    while_they_move([&](int i, int) {
      const long here = kernel_tid();
      const std::scoped_lock hold(lock);
      tids[i % 64].insert(here);
    });
    return std::any_of(tids, tids + 64, [](const auto& t) { return t.size() > 1; });
  }));
}

// weft's own accessor: who am I, after each switch.
WEFT_TEST(migration, leaves_everybody_who_he_is) {
  std::atomic<int> wrong{0};
  std::vector<std::uint64_t> ids(1'000);
  while_they_move([&](int i, int k) {
    const auto n = static_cast<std::size_t>(i);
    if (k == 0) ids[n] = weft::this_goroutine::id();
    if (weft::this_goroutine::id() != ids[n]) ++wrong;
  });
  EXPECT_EQ(wrong, 0);
}

WEFT_TEST(on_this_thread, reads_the_threads_own_of_now) {
  std::atomic<int> wrong{0};
  while_they_move([&](int, int) {
    for (int k = 0; k < 3; ++k) {  // all in one function with switches between, as the compiler likes it
      const long tid = kernel_tid();
      if (weft::on_this_thread([] { return own_tid; }) != tid) ++wrong;
      if (weft::on_this_thread([] { return std::this_thread::get_id(); }) != weft::on_this_thread([] { return std::this_thread::get_id(); })) ++wrong;
      weft::on_this_thread([tid] { plain = static_cast<int>(tid), with_a_constructor = std::to_string(tid); });
      if (weft::on_this_thread([] { return plain; }) != tid) ++wrong;
      if (weft::on_this_thread([] { return with_a_constructor; }) != std::to_string(tid)) ++wrong;
      weft::this_goroutine::yield();
    }
  });
  EXPECT_EQ(wrong, 0);
}

// errno is saved for each goroutine. A system call that fails before a park tells why also after it.
WEFT_TEST(errno_, is_the_goroutines_wherever_it_wakes) {
  std::atomic<int> wrong{0};
  while_they_move([&](int i, int) {
    for (int k = 0; k < 3; ++k) {
      const int code = 1 + (i * 7 + k) % 100;
      weft::on_this_thread([code] { errno = code; });
      weft::this_goroutine::yield();
      if (weft::on_this_thread([] { return errno; }) != code) ++wrong;
      if (::close(-1) != -1 || weft::on_this_thread([] { return errno; }) != EBADF) ++wrong;
      weft::this_goroutine::sleep_for(1us);
      if (weft::on_this_thread([] { return errno; }) != EBADF) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
}

// What the compiler keeps in registers belongs to the goroutine: as many values as there are registers and more, of both kinds.
WEFT_TEST(migration, keeps_what_was_in_registers) {
  std::atomic<int> wrong{0};
  while_they_move([&](int i, int k) {
    std::uint64_t a[20];
    double x[20];
    std::iota(a, a + 20, static_cast<std::uint64_t>(i) * 1000 + static_cast<std::uint64_t>(k));
    std::iota(x, x + 20, 0.5 + i);
    for (int round = 0; round < 4; ++round) {
      for (int n = 0; n < 20; ++n) a[n] += static_cast<std::uint64_t>(round), x[n] *= 2;
      weft::this_goroutine::yield();
    }
    for (int n = 0; n < 20; ++n) {
      if (a[n] != static_cast<std::uint64_t>(i) * 1000 + static_cast<std::uint64_t>(k + n) + 6) ++wrong;
      if (x[n] != (0.5 + i + n) * 16) ++wrong;
    }
  });
  EXPECT_EQ(wrong, 0);
}
