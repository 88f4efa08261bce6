// local_test.cpp: variables of which each goroutine has its own.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

namespace {
weft::local<int> number;
weft::local<std::string> text([] { return std::string("start"); });
}  // namespace

WEFT_TEST(local, each_goroutine_has_its_own_value) {
  *number = 1;
  weft::wait_group done;
  for (int i = 0; i < scale(500, 50); ++i) {
    done.go([i] {
      EXPECT_EQ(*number, 0);
      EXPECT_EQ(*text, "start");
      *number = i;
      *text += std::to_string(i);
      for (int k = 0; k < 3; ++k) weft::this_goroutine::yield();
      EXPECT_EQ(*number, i);
      EXPECT_EQ(*text, "start" + std::to_string(i));
    });
  }
  done.wait();
  EXPECT_EQ(*number, 1);
  number.reset();
}

WEFT_TEST(local, value_is_made_when_it_is_first_asked_for_and_reset_ends_it) {
  std::atomic<int> made{0};
  weft::local<counted> l([&] { return counted(++made); });
  EXPECT_FALSE(l.has_value());
  l.reset();
  EXPECT_EQ(made, 0);
  EXPECT_EQ(l->value, 1);
  EXPECT_TRUE(l.has_value());
  const auto before = counted::alive.load();
  l.reset();
  EXPECT_EQ(counted::alive, before - 1);
  EXPECT_EQ(l->value, 2);
  l.reset();
}

// On its own stack, where a destructor may still park; and nothing is left when the goroutine counts as gone.
WEFT_TEST(local, values_are_destroyed_at_the_goroutines_end_newest_first) {
  std::string order;
  struct logged {
    std::string* order = nullptr;
    char name = 0;
    std::uint64_t id = weft::this_goroutine::id();
    ~logged() {
      if (!order) return;
      weft::this_goroutine::yield();
      EXPECT_EQ(weft::this_goroutine::id(), id);
      *order += name;
    }
  };
  weft::local<logged> a, b, c;
  auto ended = weft::make_chan<void>();
  weft::go([&, ended] {
    struct captured {
      std::string* order;
      ~captured() { *order += '.'; }
    } const before{&order};
    for (auto [l, name] : {std::pair{&b, 'b'}, std::pair{&a, 'a'}, std::pair{&c, 'c'}}) (*l)->order = &order, (*l)->name = name;
    static_cast<void>(a->name);
  });
  EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; }));
  EXPECT_EQ(order, ".cab");
}

WEFT_TEST(local, destructor_may_use_other_locals) {
  std::atomic<int> destroyed{0};
  static weft::local<counted> under;
  struct user {
    std::atomic<int>* n = nullptr;
    ~user() {
      if (n) *n += under->value + 1;  // gone already, so it is made anew
    }
  };
  weft::local<user> l;
  const auto before = counted::alive.load();
  weft::go([&] {
    l->n = &destroyed;
    under->value = 5;
  });
  EXPECT_TRUE(eventually([&] { return destroyed == 1; }));
  EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; }));
  EXPECT_EQ(counted::alive, before);
}

// Where a task runs cannot be told from inside.
WEFT_TEST(local, task_that_runs_on_its_joiners_stack_has_values_of_its_own) {
  const auto before = counted::alive.load();
  weft::local<counted> l;
  l->value = 1;
  auto t = weft::async([&] {
    EXPECT_FALSE(l.has_value());
    l->value = 2;
  });
  t.join();
  EXPECT_EQ(l->value, 1);
  EXPECT_TRUE(eventually([&] { return counted::alive == before + 1; })) << "the task's went with it";
  weft::task_group g;
  for (int i = 0; i < 5; ++i) g.go([&] { EXPECT_EQ(l->value++, 0); });
  g.wait();
  EXPECT_EQ(l->value, 1);
  l.reset();
}

WEFT_TEST(local, maker_that_throws_leaves_no_value) {
  int calls = 0;
  weft::local<int> l([&]() -> int { return ++calls == 1 ? throw std::runtime_error("no") : calls; });
  EXPECT_THROW(*l, std::runtime_error);
  EXPECT_FALSE(l.has_value());
  EXPECT_EQ(*l, 2);
  l.reset();
}

WEFT_TEST(local, value_outlives_a_local_that_is_destroyed_first) {
  const auto before = counted::alive.load();
  auto go_on = weft::make_chan<void>();
  auto l = std::make_unique<weft::local<counted>>();
  std::atomic<bool> made{false};
  weft::go([&, go_on] {
    (*l)->value = 1;
    made = true;
    go_on.recv();
  });
  EXPECT_TRUE(eventually([&] { return made.load(); }));
  l = std::make_unique<weft::local<counted>>();
  EXPECT_FALSE(l->has_value());
  EXPECT_EQ(counted::alive, before + 1);
  go_on.close();
  EXPECT_TRUE(eventually([&] { return counted::alive == before; }));
}

// Design D7
WEFT_TEST(local, plain_threads_have_their_own) {
  const auto before = counted::alive.load();
  weft::local<counted> l;
  l->value = 7;
  plain_thread t([&] {
    EXPECT_EQ(l->value, 0);
    l->value = 8;
    weft::this_goroutine::yield();
    EXPECT_EQ(l->value, 8);
  });
  t.join();
  EXPECT_EQ(l->value, 7);
  EXPECT_EQ(counted::alive, before + 1);
  l.reset();
}
