// chan_value_test.cpp: values of any type travel, and none is lost, doubled or left behind.
#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

namespace {

struct page {
  std::array<std::uint64_t, 512> words{};
  page() = default;
  explicit page(int seed) {
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint64_t>(seed) * 31 + i;
  }
  bool operator==(const page&) const = default;
};
struct exactly_64 {
  std::array<std::uint64_t, 8> words{};
  bool operator==(const exactly_64&) const = default;
};
struct nothing {
  bool operator==(const nothing&) const = default;
};
struct no_default {
  int v;
  explicit no_default(int x) : v(x) {}
  bool operator==(const no_default&) const = default;
};
struct alignas(64) wide {
  std::array<double, 8> v{};
  bool operator==(const wide&) const = default;
};

template <class T, class Make>
void travels(Make make) {
  for (const int capacity : {0, 1, 7}) {
    auto c = weft::make_chan<T>(capacity);
    weft::go([=] {
      for (int i = 0; i < 200; ++i) c.send(make(i));
      c.close();
    });
    int i = 0;
    for (const T& v : c) {
      EXPECT_TRUE(v == make(i)) << "capacity " << capacity << ", value " << i;
      ++i;
    }
    EXPECT_EQ(i, 200);
  }
}

}  // namespace

// CHAN-22
WEFT_TEST(chan_value, of_any_size_arrives_as_it_was_sent) {
  travels<char>([](int i) { return static_cast<char>(i); });
  travels<bool>([](int i) { return i % 3 == 0; });
  travels<double>([](int i) { return i / 7.0; });
  travels<exactly_64>([](int i) {
    exactly_64 v;
    v.words.fill(static_cast<std::uint64_t>(i));
    return v;
  });
  travels<page>([](int i) { return page(i); });
  travels<nothing>([](int) { return nothing{}; });
  travels<std::string>([](int i) { return std::string(static_cast<std::size_t>(i) * 5, 'x') + std::to_string(i); });
  travels<std::vector<int>>([](int i) { return std::vector<int>(static_cast<std::size_t>(i), i); });
  travels<no_default>([](int i) { return no_default(i); });
  travels<wide>([](int i) {
    wide v;
    v.v[3] = i;
    return v;
  });
}

// CHAN-22. An empty struct needs no storage, but the count of them is the message.
WEFT_TEST(chan_value, without_storage_is_counted) {
  auto c = weft::make_chan<nothing>(1'000);
  for (int i = 0; i < 1'000; ++i) c.send({});
  EXPECT_EQ(c.size(), 1'000u);
  EXPECT_FALSE(c.try_send({}));
  c.close();
  int n = 0;
  for ([[maybe_unused]] const auto& v : c) ++n;
  EXPECT_EQ(n, 1'000);
}

// CHAN-22
WEFT_TEST(chan_value, that_can_only_be_moved_arrives) {
  travels<std::unique_ptr<int>>([](int) { return std::unique_ptr<int>(); });
  auto c = weft::make_chan<std::unique_ptr<int>>();
  weft::go([=] { c.send(std::make_unique<int>(5)); });
  auto p = c.recv();
  ASSERT_TRUE(p && *p);
  EXPECT_EQ(**p, 5);
}

// CHAN-22. Each way for a value to end: received, left in a dropped channel, left in a closed one, never sent.
WEFT_TEST(chan_value, is_destroyed_exactly_once_whatever_becomes_of_it) {
  const auto before = counted::alive.load();
  {
    auto c = weft::make_chan<counted>(8);
    for (int i = 0; i < 8; ++i) c.send(counted(i));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(c.recv()->value, i);
    EXPECT_EQ(counted::alive - before, 5);
  }
  EXPECT_EQ(counted::alive, before) << "dropped with values in it";
  {
    auto c = weft::make_chan<counted>(8);
    for (int i = 0; i < 8; ++i) c.send(i);
    c.close();
    EXPECT_EQ(c.recv()->value, 0);
  }
  EXPECT_EQ(counted::alive, before) << "closed with values in it";
  {
    auto c = weft::make_chan<counted>();
    weft::wait_group done;
    std::atomic<int> there{0};
    for (int i = 0; i < 50; ++i) {
      done.go([&, i] {
        counted mine(i);
        ++there;
        EXPECT_THROW(c.send(std::move(mine)), weft::closed_channel);
        EXPECT_EQ(mine.value, i);
      });
      done.go([&, i] {
        const counted mine(i);
        ++there;
        EXPECT_THROW(c.send(mine), weft::closed_channel);
        EXPECT_EQ(mine.value, i);
      });
    }
    EXPECT_TRUE(eventually([&] { return there == 100; }));
    c.close();
    done.wait();
  }
  EXPECT_EQ(counted::alive, before) << "blocked senders ended by close";
  {
    auto c = weft::make_chan<counted>(1);
    counted a(1), b(2);
    EXPECT_TRUE(c.try_send(std::move(a)));
    EXPECT_FALSE(c.try_send(std::move(b)));
    EXPECT_FALSE(c.send_for(std::move(b), 1ms));
    EXPECT_FALSE(c.send_for(b, 1ms));
    EXPECT_EQ(b.value, 2);
    EXPECT_EQ(c.try_recv().value().value, 1);
  }
  EXPECT_EQ(counted::alive, before) << "not sent";
  {
    auto c = weft::make_chan<counted>(2);
    weft::go([=] {
      for (int i = 0; i < 100; ++i) c.send(counted(i));
      c.close();
    });
    int i = 0;
    for (counted& v : c) EXPECT_EQ(v.value, i++);
  }
  EXPECT_TRUE(eventually([&] { return counted::alive == before; })) << "received";
}

// CHAN-22, CHAN-24: also when goroutines hold the last handles.
WEFT_TEST(chan_value, is_destroyed_with_a_channel_that_goroutines_drop) {
  const auto before = counted::alive.load();
  for (int round = 0; round < scale(500, 50); ++round) {
    auto c = weft::make_chan<counted>(4);
    for (int i = 0; i < 3; ++i) weft::go([c, i] { static_cast<void>(c.try_send(counted(i))); });
    weft::go([c] { static_cast<void>(c.try_recv()); });
  }
  EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; }));
  EXPECT_EQ(counted::alive, before);
}

// CHAN-23. A copy that throws leaves the channel as it was and the value with the sender.
WEFT_TEST(chan_value, whose_copy_throws_leaves_the_channel_usable) {
  struct throwing {
    int v;
    bool refuse = false;
    explicit throwing(int x) : v(x) {}
    throwing(const throwing& o) : v(o.v), refuse(o.refuse) {
      if (refuse) throw std::runtime_error("no copy");
    }
  };
  auto c = weft::make_chan<throwing>(2);
  throwing bad(1), good(2);
  bad.refuse = true;
  EXPECT_THROW(c.send(bad), std::runtime_error);
  EXPECT_THROW(static_cast<void>(c.try_send(bad)), std::runtime_error);
  EXPECT_EQ(bad.v, 1);
  EXPECT_EQ(c.size(), 0u);
  c.send(good);
  EXPECT_EQ(c.recv()->v, 2);
}

// CHAN-23. The same for a move: it throws in the sender, or in the receiver, and never under the channel's lock.
WEFT_TEST(chan_value, whose_move_throws_leaves_the_channel_usable) {
  struct throwing {
    int v;
    int* refusals;
    throwing(int x, int* r) : v(x), refusals(r) {}
    throwing(throwing&& o) noexcept(false) : v(o.v), refusals(o.refusals) {
      if (*refusals > 0 && --*refusals == 0) throw std::runtime_error("no move");
    }
  };
  int refusals = 0;
  auto c = weft::make_chan<throwing>(1);
  throwing value(3, &refusals);
  refusals = 1;
  EXPECT_THROW(c.send(std::move(value)), std::runtime_error);
  EXPECT_EQ(value.v, 3);
  EXPECT_EQ(c.size(), 0u);
  refusals = 0;
  c.send(std::move(value));
  EXPECT_EQ(c.size(), 1u);
  EXPECT_EQ(c.recv()->v, 3);
  c.send(throwing(4, &refusals));
  refusals = 1;
  EXPECT_THROW(static_cast<void>(c.recv()), std::runtime_error);
  refusals = 0;
  c.send(throwing(5, &refusals));
  EXPECT_EQ(c.recv()->v, 5);
  EXPECT_EQ(c.size(), 0u);
}

// Design D6. A move that parks, or that uses the very channel, would hang if it ran under the channel's lock.
WEFT_TEST(chan_value, may_use_weft_while_it_is_moved) {
  static auto log = weft::chan<int>();
  log = weft::make_chan<int>(1'000);
  struct busy {
    int v = 0;
    busy() = default;
    explicit busy(int x) : v(x) {}
    busy(busy&& o) : v(o.v) {
      weft::this_goroutine::yield();
      static_cast<void>(log.try_send(v));
      weft::this_goroutine::sleep_for(1us);
    }
    ~busy() { weft::this_goroutine::yield(); }
  };
  for (const int capacity : {0, 2}) {
    auto c = weft::make_chan<busy>(capacity);
    weft::wait_group done;
    for (int k = 0; k < 3; ++k) {
      done.go([=] {
        for (int i = 0; i < 20; ++i) c.send(busy(i));
      });
    }
    int sum = 0;
    for (int i = 0; i < 60; ++i) sum += c.recv()->v;
    done.wait();
    EXPECT_EQ(sum, 3 * 190);
  }
  EXPECT_GT(log.size(), 0u);
  log = {};
}

// A channel of channels is how a request carries the way for its answer.
WEFT_TEST(chan_value, may_be_a_channel) {
  struct request {
    int question;
    weft::sender<int> answer;
  };
  auto requests = weft::make_chan<request>();
  weft::go([=] {
    for (const request& r : requests) r.answer.send(r.question * 2);
  });
  weft::wait_group done;
  for (int i = 0; i < 50; ++i) {
    done.go([=] {
      auto mine = weft::make_chan<int>();
      requests.send({i, mine});
      EXPECT_EQ(mine.recv(), 2 * i);
    });
  }
  done.wait();
  requests.close();
}

namespace {
/// Moves into a box, and not back.
struct one_way {
  int value = 0;
  bool refuses = false;
  std::unique_ptr<int> owned = std::make_unique<int>(0);
  one_way() = default;
  explicit one_way(int v, bool r = false) : value(v), refuses(r) {}
  one_way(one_way&& o) noexcept : value(o.value), refuses(o.refuses), owned(std::move(o.owned)) {}
  one_way& operator=(one_way&& o) {
    if (o.refuses) throw std::runtime_error("no way back");
    value = o.value, owned = std::move(o.owned);
    return *this;
  }
};
}  // namespace
// What was sent is the receiver's, though another case's value cannot be given back.
WEFT_TEST(select, lets_go_of_what_it_sent_though_giving_back_another_value_throws) {
  for (int i = 0; i < 20; ++i) {
    auto never = weft::make_chan<one_way>();
    auto c = weft::make_chan<one_way>(1);
    one_way a(1, true), b(2);
    EXPECT_THROW(weft::select(weft::on_send(never, std::move(a)), weft::on_send(c, std::move(b))), std::runtime_error);
    auto got = c.recv();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->value, 2);
    EXPECT_TRUE(got->owned);
    EXPECT_FALSE(b.owned);
  }
}
