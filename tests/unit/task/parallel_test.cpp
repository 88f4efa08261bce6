// parallel_test.cpp: loops over all processors.
#include <algorithm>
#include <atomic>
#include <forward_list>
#include <limits>
#include <memory>
#include <numeric>
#include <ranges>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

WEFT_TEST(parallel, for_calls_each_index_once) {
  for (const int n : {0, 1, 2, 63, 64, 65, 1'000, 20'000}) {
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(n));
    weft::parallel_for(0, n, [&](int i) { calls[static_cast<std::size_t>(i)]++; });
    EXPECT_TRUE(std::ranges::all_of(calls, [](auto& c) { return c == 1; })) << n;
  }
}

WEFT_TEST(parallel, for_of_whole_chunks_covers_the_range) {
  std::atomic<long> sum{0}, calls{0};
  weft::parallel_for(10L, 10'010L, [&](long from, long to) {
    EXPECT_LT(from, to);
    ++calls;
    for (long i = from; i < to; ++i) sum += i;
  });
  EXPECT_EQ(sum, (10L + 10'009L) * 10'000 / 2);
  EXPECT_LT(calls, weft::procs() == 1 ? 1'000 : 10'000);
}

WEFT_TEST(parallel, for_takes_any_integers_and_empty_ranges) {
  std::atomic<int> calls{0};
  weft::parallel_for(5, 5, [&](int) { ++calls; });
  weft::parallel_for(5, -5, [&](int) { ++calls; });
  EXPECT_EQ(calls, 0);
  std::atomic<std::uint64_t> sum{0};
  weft::parallel_for(std::numeric_limits<std::uint64_t>::max() - 10, std::numeric_limits<std::uint64_t>::max(), [&](std::uint64_t i) { sum += i - (UINT64_MAX - 10); });
  EXPECT_EQ(sum, 45u);
  weft::parallel_for(std::numeric_limits<signed char>::min(), std::numeric_limits<signed char>::max(), [&](signed char) { ++calls; });
  EXPECT_EQ(calls, 255);
  std::atomic<long> mixed{0};
  weft::parallel_for(-2, 3L, [&](long i) { mixed += i; });
  EXPECT_EQ(mixed, 0);
}

WEFT_TEST(parallel, for_takes_iterators_and_ranges) {
  std::vector<int> v(5'000, 1);
  weft::parallel_for(v.begin(), v.end(), [](auto i) { *i += 1; });
  weft::parallel_for(v, [](int& x) { x *= 2; });
  EXPECT_TRUE(std::ranges::all_of(v, [](int x) { return x == 4; }));
  std::atomic<long> sum{0};
  weft::parallel_for(std::views::iota(0, 1'000), [&](int i) { sum += i; });
  EXPECT_EQ(sum, 499'500);
}

WEFT_TEST(parallel, for_each_takes_any_range) {
  std::forward_list<int> list;
  for (int i = 0; i < 300; ++i) list.push_front(i);
  std::atomic<long> sum{0};
  weft::parallel_for_each(list, [&](int& x) { sum += std::exchange(x, 0); });
  EXPECT_EQ(sum, 300L * 299 / 2);
  EXPECT_TRUE(std::ranges::all_of(list, [](int x) { return x == 0; }));
  std::istringstream words("1 2 3 4 5");
  sum = 0;
  weft::parallel_for_each(std::ranges::istream_view<int>(words), [&](int x) { sum += x; });
  EXPECT_EQ(sum, 15);
  std::vector<std::unique_ptr<int>> owners(100);
  weft::parallel_for_each(owners, [](auto& p) { p = std::make_unique<int>(1); });
  EXPECT_TRUE(std::ranges::all_of(owners, [](auto& p) { return *p == 1; }));
}

// Not commutative, so that an order that is not kept shows.
WEFT_TEST(parallel, reduce_keeps_the_order) {
  const int n = under_sanitizer ? 300 : 3'000;
  std::string want = ">";
  for (int i = 0; i < n; ++i) want += std::to_string(i) + ",";
  const auto got = weft::parallel_reduce(0, n, std::string(">"), [](int i) {
    if (i % 50 == 0) weft::this_goroutine::yield();
    return std::to_string(i) + ",";
  });
  EXPECT_EQ(got, want);
}

WEFT_TEST(parallel, reduce_counts_init_once_and_takes_chunks) {
  EXPECT_EQ(weft::parallel_reduce(0, 0, 7, [](int) { return 1; }), 7);
  EXPECT_EQ(weft::parallel_reduce(0, 10'000, 7L, [](int) { return 1L; }), 10'007);
  EXPECT_EQ(weft::parallel_reduce(0, 10'000, 7L, [](int from, int to) { return static_cast<long>(to - from); }), 10'007);
  std::vector<int> v(3'000);
  std::iota(v.begin(), v.end(), 0);
  EXPECT_EQ(weft::parallel_reduce(v, 0L), 2'999L * 3'000 / 2);
  EXPECT_EQ(weft::parallel_reduce(v, -1, [](int a, int b) { return std::max(a, b); }), 2'999);
  struct no_default {
    explicit no_default(long x) : value(x) {}
    long value;
  };
  EXPECT_EQ(weft::parallel_reduce(0, 1'000, no_default(0), [](int i) { return no_default(i); }, [](no_default a, no_default b) { return no_default(a.value + b.value); }).value, 499'500);
}

WEFT_TEST(parallel, invoke_calls_all) {
  int a = 0, b = 0, c = 0;
  weft::parallel_invoke([&] { a = 1; }, [&] { b = 2; }, [&] { c = 3; });
  weft::parallel_invoke([&] { a++; });
  EXPECT_EQ(a * 100 + b * 10 + c, 223);
}

WEFT_TEST(parallel, exception_is_rethrown_when_all_has_ended) {
  const int rounds = scale(50, 10);
  int cut_short =
      0;  // not each need be: the step that throws may have yielded, or its thread been held up, until all others were done
  for (int round = 0; round < rounds; ++round) {
    std::atomic<int> inside{0}, calls{0};
    try {
      weft::parallel_for(0, 10'000, [&](int i) {
        struct here {
          std::atomic<int>& n;
          explicit here(std::atomic<int>& x) : n(x) { ++n; }
          ~here() { --n; }
        } const h(inside);
        ++calls;
        if (i == 10 + 37 * round) throw i;
        if (i % 100 == 0) weft::this_goroutine::yield();
      });
      ADD_FAILURE() << "no exception";
    } catch (int i) {
      EXPECT_EQ(i, 10 + 37 * round);
    }
    EXPECT_EQ(inside, 0);
    cut_short += calls < 10'000;
    EXPECT_THROW(static_cast<void>(weft::parallel_reduce(0, 1'000, 0, [&](int i) { return i == 500 ? throw std::runtime_error("r") : i; })), std::runtime_error);
    EXPECT_THROW(weft::parallel_invoke([] { throw 1; }, [] { throw 2; }, [] {}), int);
    std::forward_list<int> list(100, 1);
    EXPECT_THROW(weft::parallel_for_each(list, [](int) { throw 1; }), int);
  }
  EXPECT_GT(cut_short, rounds / 2) << "the rest is left undone";
}

// Each step waits until another one runs at the same time: it hangs unless the loop is cut in time.
WEFT_TEST(parallel, for_uses_every_processor) {
  const int n = std::min(weft::procs(), 4);
  if (n == 1) return;
  std::atomic<int> arrived{0};
  weft::parallel_for(0, 4 * n, [&](int) {
    ++arrived;
    EXPECT_TRUE(eventually([&] { return arrived >= 2; }, 30s));
  });
  EXPECT_EQ(arrived, 4 * n);
}

WEFT_TEST(parallel, loops_nest) {
  std::atomic<long> sum{0};
  const int n = under_sanitizer ? 20 : 60;
  weft::parallel_for(0, n, [&](int i) { weft::parallel_for(0, n, [&](int k) { sum += weft::parallel_reduce(0, 10, 0, [&](int x) { return x + i * k; }); }); });
  const long s = static_cast<long>(n) * (n - 1) / 2;
  EXPECT_EQ(sum, 45L * n * n + 10 * s * s);
}

WEFT_TEST(parallel, steps_may_park) {
  auto c = weft::make_chan<int>();
  weft::task_group g;
  long sum = 0;
  g.go([&] {
    for (const int v : c) sum += v;
  });
  weft::parallel_for(0, 500, [&](int i) { c.send(i); });
  c.close();
  g.wait();
  EXPECT_EQ(sum, 500L * 499 / 2);
}

WEFT_TEST(parallel, grain_is_not_cut_apart) {
  std::atomic<int> below{0};
  std::atomic<long> sum{0};
  weft::parallel_for(
      0, 10'000,
      [&](int from, int to) {
        if (to - from < 100) ++below;
        sum += to - from;
        weft::this_goroutine::yield();
      },
      {.grain = 200});
  EXPECT_EQ(sum, 10'000);
  EXPECT_LE(below, 100);  // only ends of parts
}

WEFT_TEST(parallel, loop_ends_when_its_context_is_done) {
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  std::atomic<int> calls{0};
  try {
    weft::parallel_for(
        0, 1'000'000,
        [&, &stop = cancel](int) {
          if (++calls == 10) stop();
        },
        {.ctx = ctx});
    ADD_FAILURE() << "it went through";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), weft::errc::canceled);
  }
  EXPECT_LT(calls, 1'000'000);
  EXPECT_THROW(static_cast<void>(weft::parallel_reduce(0, 100, 0, [](int i) { return i; }, std::plus<>(), {.ctx = ctx})), std::system_error);
  std::forward_list<int> list(10, 1);
  EXPECT_THROW(weft::parallel_for_each(list, [](int) {}, {.ctx = ctx}), std::system_error);
}

// Design D7: the thread takes part itself.
WEFT_TEST(parallel, plain_threads_take_part) {
  plain_thread t([] {
    std::atomic<long> sum{0};
    std::atomic<bool> here{false};
    const auto mine = std::this_thread::get_id();
    weft::parallel_for(0, 5'000, [&](int i) {
      sum += i;
      if (std::this_thread::get_id() == mine) here = true;
    });
    EXPECT_EQ(sum, 5'000L * 4'999 / 2);
    EXPECT_TRUE(here);
    EXPECT_EQ(weft::parallel_reduce(0, 5'000, 0L, [](int i) { return static_cast<long>(i); }), 5'000L * 4'999 / 2);
  });
  t.join();
}
