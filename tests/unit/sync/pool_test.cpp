// pool_test.cpp: objects kept for the next who needs one.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
using ints = weft::pool<int>;

#if !defined(WEFT_TEST_TSAN) && !defined(WEFT_TEST_ASAN)  // which have their own
namespace {
std::atomic<bool> memory_is_out{false};
void* get_memory(std::size_t n) {
  void* p = memory_is_out ? nullptr : std::malloc(n ? n : 1);
  return p ? p : throw std::bad_alloc();
}
}  // namespace
void* operator new(std::size_t n) { return get_memory(n); }
void* operator new[](std::size_t n) { return get_memory(n); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
#endif

// POOL-01
WEFT_TEST(pool, makes_what_it_does_not_have) {
  ints empty;
  EXPECT_EQ(empty.get(), nullptr);
  int made = 0;
  ints p([&] { return std::make_unique<int>(++made); });
  EXPECT_EQ(*p.get(), 1);
  EXPECT_EQ(*p.get(), 2);
  p.put(std::make_unique<int>(42));
  EXPECT_EQ(*p.get(), 42);
  EXPECT_EQ(*p.get(), 3);
}

// POOL-02, POOL-08
WEFT_TEST(pool, gives_what_was_put_here_first_then_the_rest) {
  with_procs one(1);
  ints p;
  p.put(std::make_unique<int>(1));
  p.put(nullptr);
  p.put(std::make_unique<int>(2));
  EXPECT_EQ(*p.get(), 1);
  EXPECT_EQ(*p.get(), 2);
  EXPECT_EQ(p.get(), nullptr);
}

// POOL-03, POOL-09: plain writes to the item, for ThreadSanitizer.
WEFT_TEST(pool, gives_no_item_to_two) {
  struct item {
    std::atomic<bool> in_hand{true};
    std::int64_t uses = 0;
  };
  const int each = scale(1'000'000, 20'000) / 10;
  std::atomic<std::int64_t> made{0}, wrong{0}, uses{0};
  {
    weft::pool<item> p([&] { return ++made, std::make_unique<item>(); });
    weft::wait_group done;
    for (int i = 0; i < 10; ++i) {
      done.go([&] {
        rng random(1);
        for (int k = 0; k < each; ++k) {
          auto a = p.get(), b = p.get();
          for (auto* x : {&a, &b}) {
            if ((*x)->uses > 0 && (*x)->in_hand.exchange(true)) ++wrong;
            ++(*x)->uses, ++uses;
          }
          if (random.one_in(64)) weft::this_goroutine::yield();
          a->in_hand = b->in_hand = false;
          p.put(std::move(a));
          p.put(std::move(b));
        }
      });
    }
    done.wait();
    std::int64_t total = 0;
    std::vector<std::unique_ptr<item>> all;
    while (std::ssize(all) < made) {
      all.push_back(p.get());
      total += all.back()->uses;
    }
    EXPECT_EQ(total, uses);
  }
  EXPECT_EQ(wrong, 0);
}

// POOL-04, POOL-07
WEFT_TEST(pool, drops_what_nobody_takes_after_two_clean_ups) {
  const auto before = counted::alive.load();
  {
    weft::pool<counted> p;
    for (int i = 0; i < 100; ++i) p.put(std::make_unique<counted>(i));
    weft::pool_cleanup();
    EXPECT_EQ(counted::alive - before, 100);
    for (int i = 0; i < 10; ++i) EXPECT_NE(p.get(), nullptr) << "still found";
    EXPECT_EQ(counted::alive - before, 90);
    weft::pool_cleanup();
    EXPECT_EQ(p.get(), nullptr);
    EXPECT_EQ(counted::alive, before);
    for (int i = 0; i < 10; ++i) p.put(std::make_unique<counted>(i));
    weft::pool_cleanup();
    for (int i = 0; i < 10; ++i) p.put(std::make_unique<counted>(i));
  }
  EXPECT_EQ(counted::alive, before) << "it ends with what it holds";
}

// POOL-05. A plain thread has no processor: it counts as the first, so let goroutines on all of them fill it.
WEFT_TEST(pool, takes_from_the_other_processors) {
  with_procs four(4);
  std::atomic<int> made{0};
  ints p([&] { return ++made, std::make_unique<int>(-1); });
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      for (int k = 0; k < 100; ++k) p.put(std::make_unique<int>(k)), weft::this_goroutine::yield();
    });
  }
  done.wait();
  int got = 0;
  plain_thread t([&] {
    for (int i = 0; i < 800; ++i) got += *p.get() >= 0;
  });
  t.join();
  EXPECT_EQ(got, 800);
  EXPECT_EQ(made, 0);
}

// POOL-06
WEFT_TEST(pool, its_ring_gives_each_item_once) {
  weft::detail::pool_ring ring;
  const int n = scale(2'000'000, 20'000);
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n) + 1);
  std::atomic<bool> produced{false};
  const auto see = [&](void* item) { ++seen[reinterpret_cast<std::uintptr_t>(item)]; };
  weft::wait_group done;
  for (int c = 0; c < 9; ++c) {
    done.go([&] {
      for (;;) {
        const bool last = produced;
        if (void* item = ring.pop_tail()) see(item);
        else if (last) return;
        else weft::this_goroutine::yield();
      }
    });
  }
  for (std::uintptr_t i = 1; i <= static_cast<std::uintptr_t>(n); ++i) {
    ring.push_head(reinterpret_cast<void*>(i));
    if (i % 10 == 0) {
      if (void* item = ring.pop_head()) see(item);
    }
    if (i % 128 == 0) weft::this_goroutine::yield();
  }
  produced = true;
  done.wait();
  for (int i = 1; i <= n; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], 1) << i;
}

WEFT_TEST(pool, a_borrowed_item_comes_back_by_itself) {
  int made = 0;
  ints p([&] { return std::make_unique<int>(++made); });
  for (int i = 0; i < 5; ++i) {
    const auto h = p.borrow();
    EXPECT_GE(*h, 1);
  }
  EXPECT_LE(made, 5);
  const weft::pool<int>::handle nothing = ints().borrow();
  EXPECT_EQ(nothing, nullptr);
}

#if !defined(WEFT_TEST_TSAN) && !defined(WEFT_TEST_ASAN)
// The clean-up comes in the middle of somebody's put(), who has given his item away by then: it must not throw, and loses nothing.
WEFT_TEST(pool, clean_up_without_memory_leaves_everything_as_it_is) {
  {
    weft::pool<counted> p;
    for (int i = 0; i < 20; ++i) p.put(std::make_unique<counted>(i));
    memory_is_out = true;
    bool threw = false;
    try {
      weft::pool_cleanup();
      weft::pool_cleanup();
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    memory_is_out = false;
    EXPECT_FALSE(threw);
    EXPECT_EQ(counted::alive, 20);
    weft::pool_cleanup();
    EXPECT_EQ(counted::alive, 20);
    weft::pool_cleanup();
    EXPECT_EQ(counted::alive, 0);
    for (int i = 0; i < 20; ++i) p.put(std::make_unique<counted>(i));
  }
  EXPECT_EQ(counted::alive, 0);
}
#endif
