// pipeline_test.cpp: values that go through stages.
#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
namespace pipeline = weft::pipeline;

WEFT_TEST(pipeline, values_go_through_all_stages_in_order) {
  const auto got = pipeline::from(std::views::iota(0, 1'000)) | pipeline::transform([](int i) { return i * 2; }) |
                   pipeline::filter([](int i) { return i % 3 == 0; }) | pipeline::transform([](int i) { return std::to_string(i); }) | pipeline::collect();
  ASSERT_EQ(got.size(), 334u);
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], std::to_string(6 * i));
}

WEFT_TEST(pipeline, workers_run_at_the_same_time_and_order_is_kept_when_asked_for) {
  for (const bool ordered : {false, true}) {
    std::atomic<int> inside{0}, most{0};
    auto got = pipeline::from(std::views::iota(0, 200)) | pipeline::transform(
                                                              [&](int i) {
                                                                const int n = ++inside;
                                                                for (int m = most; n > m && !most.compare_exchange_weak(m, n);) {}
                                                                if (i % 3 == 0) weft::this_goroutine::sleep_for(100us);
                                                                --inside;
                                                                return i;
                                                              },
                                                              {.workers = 4, .ordered = ordered}) |
               pipeline::collect();
    EXPECT_GT(most, 1);
    EXPECT_LE(most, 4);
    if (!ordered) std::ranges::sort(got);
    std::vector<int> want(200);
    std::iota(want.begin(), want.end(), 0);
    EXPECT_EQ(got, want);
  }
}

// However long the source is, few of its values are under way.
WEFT_TEST(pipeline, slow_end_holds_up_the_source) {
  std::atomic<int> made{0};
  int taken = 0, most_ahead = 0;
  pipeline::generate([&]() -> std::optional<int> { return made < 2'000 ? std::optional(++made) : std::nullopt; }, {.buffer = 4}) |
      pipeline::transform([](int i) { return i; }, {.workers = 3, .ordered = true, .buffer = 4}) | pipeline::for_each([&](int i) {
        EXPECT_EQ(i, ++taken);
        most_ahead = std::max(most_ahead, made - taken);
        if (i % 50 == 0) weft::this_goroutine::sleep_for(50us);
      });
  EXPECT_EQ(taken, 2'000);
  EXPECT_LE(most_ahead, 4 + 4 + 3 + 5);  // the buffers, the workers, and one in each hand
}

// The workers of the last stage go on for a while when f throws in the one that is the caller: their channel must still be there.
WEFT_TEST(pipeline, exception_of_the_callers_own_worker_leaves_the_others_their_channel) {
  const std::vector<std::string> words(2'000, std::string(100, 'x'));
  for (int round = 0; round < scale(300, 50); ++round) {
    const auto caller = weft::this_goroutine::id();
    std::atomic<int> others{0};
    std::atomic<bool> callers_turn{false};  // before it the others take one value each, and no more
    EXPECT_THROW(pipeline::from(words, {.buffer = 2'000}) | pipeline::for_each(
                                                                [&](const std::string&) {
                                                                  if (weft::this_goroutine::id() != caller) {
                                                                    while (!callers_turn) weft::this_goroutine::yield();
                                                                    return static_cast<void>(++others);
                                                                  }
                                                                  callers_turn = true;
                                                                  for (int i = 0; i < 1'000 && others < 100; ++i) weft::this_goroutine::yield();
                                                                  throw std::runtime_error("mine");
                                                                },
                                                                {.workers = 4}),
                 std::runtime_error);
  }
}

WEFT_TEST(pipeline, exception_of_any_stage_ends_all_and_is_rethrown) {
  const auto endless = std::views::iota(0L);
  const auto throw_at = [](long at) { return [at](long i) { return i == at ? throw std::runtime_error("stage") : i; }; };
  for (const bool ordered : {false, true}) {
    EXPECT_THROW(pipeline::from(endless) | pipeline::transform(throw_at(100), {.workers = 3, .ordered = ordered}) | pipeline::for_each([](long) {}), std::runtime_error);
    EXPECT_THROW(pipeline::from(endless) | pipeline::transform([](long i) { return i; }, {.workers = 3, .ordered = ordered}) | pipeline::for_each(throw_at(100)), std::runtime_error);
  }
  EXPECT_THROW(pipeline::from(endless) | pipeline::filter([](long i) { return i == 50 ? throw 1 : true; }) | pipeline::for_each([](long) {}, {.workers = 3}), int);
  EXPECT_THROW(pipeline::generate([i = 0]() mutable -> std::optional<int> { return ++i == 30 ? throw 2 : i; }) | pipeline::for_each([](int) {}), int);
  EXPECT_THROW(static_cast<void>(pipeline::from(std::views::iota(0, 10) | std::views::transform([](int i) { return i == 5 ? throw 3 : i; })) | pipeline::collect()), int);
}

WEFT_TEST(pipeline, moves_what_cannot_be_copied_and_leaves_nothing) {
  const auto before = counted::alive.load();
  {
    std::vector<std::unique_ptr<int>> owners;
    for (int i = 0; i < 50; ++i) owners.push_back(std::make_unique<int>(i));
    int sum = 0;
    pipeline::from(owners | std::views::transform([](auto& p) { return std::move(p); })) |
        pipeline::transform(
            [](std::unique_ptr<int> p) {
              ++*p;
              return p;
            },
            {.workers = 2, .ordered = true}) |
        pipeline::for_each([&](std::unique_ptr<int> p) { sum += *p; });
    EXPECT_EQ(sum, 50 * 51 / 2);
    std::list<counted> values;
    for (int i = 0; i < 50; ++i) values.emplace_back(i);
    EXPECT_THROW(pipeline::from(values) | pipeline::transform([](counted c) { return c; }, {.workers = 2}) | pipeline::for_each([](const counted& c) {
                   if (c.value == 10) throw 1;
                 }),
                 int);
  }
  EXPECT_EQ(counted::alive, before);
}

WEFT_TEST(pipeline, empty_source_and_large_values) {
  EXPECT_TRUE((pipeline::from(std::vector<int>{}) | pipeline::transform([](int i) { return i; }, {.workers = 3, .ordered = true}) | pipeline::collect()).empty());
  const auto got = pipeline::from(std::vector<std::string>(100, std::string(1'000, 'x'))) | pipeline::transform([](std::string s) { return s + s; }, {.workers = 2}) | pipeline::collect();
  EXPECT_TRUE(std::ranges::all_of(got, [](auto& s) { return s.size() == 2'000; }));
  EXPECT_EQ(got.size(), 100u);
}

WEFT_TEST(pipeline, ends_when_its_context_is_done) {
  auto [ctx, cancel] = weft::with_cancel(weft::background());
  int taken = 0;
  try {
    pipeline::from(std::views::iota(0L)) | pipeline::transform([](long i) { return i; }, {.workers = 3}) | pipeline::for_each(ctx, [&, &stop = cancel](long) {
      if (++taken == 20) stop();
    });
    ADD_FAILURE() << "it ended";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), weft::errc::canceled);
  }
  EXPECT_EQ(taken, 20);
}

// Design D7
WEFT_TEST(pipeline, works_on_plain_threads) {
  plain_thread t([] {
    std::atomic<int> sum{0};
    pipeline::from(std::views::iota(0, 100)) | pipeline::transform([](int i) { return i; }, {.workers = 2}) | pipeline::for_each([&](int i) { sum += i; }, {.workers = 2});
    EXPECT_EQ(sum, 4'950);
  });
  t.join();
}
