// select_value_test.cpp: what a select and a selector hold: values, channels, a great many cases; and what memory they take for it.
// weft-test: timeout=120
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/test/bubble.hpp>

#include "support/support.hpp"
#include "unit/sync/started.hpp"

using namespace weft::test;
using weft::on_default;
using weft::on_recv;
using weft::on_send;
using weft::on_timeout;
namespace self = weft::this_goroutine;

namespace {

// By all; stays 0 under the sanitizers that have an operator new of their own.
std::atomic<std::int64_t> allocations{0};

}  // namespace

#if !defined(WEFT_TEST_TSAN) && !defined(WEFT_TEST_ASAN)
// Not inlined, or g++ compares a new expression with free().
[[gnu::noinline]] void* operator new(std::size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif

// CHAN-22, CHAN-05: a value is moved from only when it was sent.
WEFT_TEST(select, moves_a_value_only_when_it_sends_it) {
  const auto alive = counted::alive.load();
  {
    auto a = weft::make_chan<std::unique_ptr<int>>(1), b = weft::make_chan<std::unique_ptr<int>>(1);
    auto values = weft::make_chan<counted>(1);
    for (int i = 0; i < 100; ++i) {
      auto one = std::make_unique<int>(1), two = std::make_unique<int>(2);
      const int k = weft::select(on_send(a, std::move(one)), on_send(b, std::move(two)));
      EXPECT_EQ(one == nullptr, k == 0);
      EXPECT_EQ(two == nullptr, k == 1);
      EXPECT_EQ(weft::select(on_recv(a, [](std::optional<std::unique_ptr<int>> v) { EXPECT_EQ(**v, 1); }), on_recv(b, [](auto v) { EXPECT_EQ(**v, 2); })), k);
      counted mine(i);
      if (i % 2 == 0) values.send(7);
      EXPECT_EQ(weft::select(on_send(values, std::move(mine)), on_default()), i % 2 == 0 ? 1 : 0);
      EXPECT_EQ(mine.value, i % 2 == 0 ? i : -1);
      EXPECT_EQ(weft::select(on_recv(values, [&](std::optional<counted> v) { EXPECT_EQ(v->value, i % 2 == 0 ? 7 : i); })), 0);
      const counted copied(3);
      EXPECT_EQ(weft::select(on_send(values, copied)), 0);
      EXPECT_EQ(copied.value, 3);
      EXPECT_EQ(weft::select(on_recv(values)), 0) << "dropped";
    }
  }
  EXPECT_EQ(counted::alive, alive);
}
// A throw while the cases are made: what an earlier case has already taken in is given back.
WEFT_TEST(select, gives_values_back_when_a_later_one_throws) {
  struct refuses {
    refuses() = default;
    refuses(const refuses&) { throw std::runtime_error("no copy"); }
  };
  auto a = weft::make_chan<std::string>(1);
  auto b = weft::make_chan<refuses>(1);
  std::string text(100, 'x');
  const refuses bad;
  EXPECT_THROW(weft::select(on_send(a, std::move(text)), on_send(b, bad)), std::runtime_error);
  EXPECT_EQ(text, std::string(100, 'x'));
  EXPECT_EQ(a.size() + b.size(), 0u);
  EXPECT_THROW(weft::select(on_send(a, "from a literal", [] { throw std::runtime_error("a handler's own"); })), std::runtime_error);
  EXPECT_EQ(a.recv(), "from a literal");
}

WEFT_TEST(select, takes_one_way_handles_temporaries_and_events) {
  auto c = weft::make_chan<int>(1);
  const weft::sender<int> to = c;
  const weft::receiver<int> from = c;
  EXPECT_EQ(weft::select(on_send(to, 1)), 0);
  EXPECT_EQ(weft::select(on_recv(from, [](std::optional<int> v) { EXPECT_EQ(v, 1); })), 0);
  EXPECT_EQ(weft::select(on_send(weft::sender<int>(c), 'a')), 0);  // converted
  EXPECT_EQ(weft::select(on_recv(weft::receiver<int>(c), [](std::optional<int> v) { EXPECT_EQ(v, 'a'); }), on_recv(weft::make_chan<std::string>())), 0);

  auto event = weft::make_chan<void>(1);
  int ran = 0;
  EXPECT_EQ(weft::select(on_send(event, [&] { ++ran; })), 0);
  EXPECT_EQ(weft::select(on_send(event), on_default()), 1);
  EXPECT_EQ(weft::select(on_recv(event, [&](bool open) { ran += open; })), 0);
  event.close();
  EXPECT_EQ(weft::select(on_recv(weft::receiver<void>(event), [&](bool open) { ran += open ? 100 : 1; })), 0);
  EXPECT_EQ(weft::select(on_recv(event, [&] { ++ran; })), 0);
  EXPECT_EQ(ran, 4);
  EXPECT_THROW(weft::select(on_send(weft::sender<void>(event))), weft::closed_channel);
  static_assert(!std::is_invocable_v<decltype([](auto h) -> decltype(on_send(h, 1)) { return on_send(h, 1); }), weft::receiver<int>>);
}

// The last handle goes while a select waits: whoever waits last destroys the channel.
WEFT_TEST(select, outlives_the_handles_of_its_channels) {
  const auto alive = counted::alive.load();
  for (int i = 0; i < 50; ++i) {
    bubble([i] {  // in which one can tell that a goroutine waits
      auto holder = std::make_unique<std::array<weft::chan<counted>, 2>>();
      for (auto& c : *holder) c = weft::make_chan<counted>();
      auto stays = weft::make_chan<int>();
      int k = -1;
      weft::go([&c = *holder, stays, i, &k] {
        k = i % 2 == 0 ? weft::select(on_recv(c[0]), on_recv(c[1]), on_recv(c[0]), on_recv(stays))
                       : weft::select(on_recv(c[0]), on_send(c[1], counted(1)), on_timeout(3ms));
      });
      weft::test::wait();
      holder.reset();
      if (i % 2 == 0) stays.send(1);
      else self::sleep_for(1s);
      weft::test::wait();
      EXPECT_EQ(k, i % 2 == 0 ? 3 : 2);
    });
  }
  EXPECT_EQ(counted::alive, alive);
}

// With a timer among the cases it looks at all of them again, whose handles may have gone meanwhile.
WEFT_TEST(select, keeps_its_channels_when_their_handles_go) {
  int chosen = -1;
  bubble([&] {
    auto c = std::make_unique<weft::chan<int>>(weft::make_chan<int>());
    auto t = std::make_unique<weft::timer>(1s);
    weft::go([&, from = c.get(), after = t.get()] { chosen = weft::select(weft::on_recv(*from), weft::on_recv(after->c)); });
    weft::test::wait();
    c.reset(), t.reset();
    std::vector<weft::chan<int>> others;  // in the memory that was theirs
    for (int i = 0; i < 100; ++i) others.push_back(weft::make_chan<int>());
    weft::this_goroutine::sleep_for(1min);
  });
  EXPECT_EQ(chosen, 1);
}

WEFT_TEST(select, allocates_nothing_up_to_16_cases) {
  std::array<weft::chan<int>, 16> c;
  for (auto& x : c) x = weft::make_chan<int>();
  auto go_on = weft::make_chan<int>(1);
  auto sender = started([=] {
    for (int i = 0; i < 1'000; ++i) {
      static_cast<void>(go_on.recv());
      c[static_cast<std::size_t>(i % 8)].send(i);
    }
  });
  weft::selector s;
  std::optional<int> got;
  for (auto& x : c) s.recv(x, got);
  go_on.send(0);
  EXPECT_EQ(s.wait(), 0);
  const auto before = allocations.load();
  for (int i = 1; i < 1'000; ++i) {
    go_on.send(0);
    if (i % 2 == 0) {
      s.clear();
      for (auto& x : c) s.recv(x, got);
      EXPECT_EQ(s.wait(), i % 8);
    } else {
      EXPECT_EQ(weft::select(on_recv(c[0]), on_recv(c[1]), on_recv(c[2]), on_recv(c[3]), on_recv(c[4]), on_recv(c[5]), on_recv(c[6]), on_recv(c[7]), on_send(c[8], 1),
                             on_recv(c[9]), on_recv(c[10]), on_recv(c[11]), on_recv(c[12]), on_recv(c[13]), on_recv(c[14]), on_send(c[15], 1)),
                i % 8);
    }
  }
  EXPECT_LT(allocations - before, 100) << "of a thousand selects";  // a new thread of the scheduler may come to be meanwhile
  EXPECT_TRUE(ends(sender));
}

// ---- selector ----

WEFT_TEST(selector, keeps_its_receives_and_sends_each_value_once) {
  auto in = weft::make_chan<std::string>(2), out = weft::make_chan<std::string>(2);
  auto numbers = weft::make_chan<int>(2);
  weft::selector s;
  std::optional<std::string> got;
  const int receive = s.recv(in, got), send = s.send(out, "a"), number = s.send(numbers, 5);
  int sent = s.wait() + s.wait();
  EXPECT_EQ(sent, send + number);
  EXPECT_EQ(s.try_wait(), -1);
  EXPECT_EQ(out.recv(), "a");
  EXPECT_EQ(numbers.recv(), 5);
  in.send("b");
  in.send("c");
  EXPECT_EQ(s.wait(), receive);
  EXPECT_EQ(got, "b");
  EXPECT_EQ(s.wait(), receive);
  EXPECT_EQ(got, "c");
  in.close();
  EXPECT_EQ(s.wait(), receive);
  EXPECT_EQ(got, std::nullopt);
  s.remove(receive);
  EXPECT_EQ(s.try_wait(), -1);
  EXPECT_EQ(s.size(), 3);
  s.clear();
  bool open = false;
  auto event = weft::make_chan<void>(1);
  EXPECT_EQ(s.recv(event, open), 0);
  EXPECT_EQ(s.send(event), 1);
  EXPECT_EQ(s.wait(), 1);
  EXPECT_EQ(s.wait(), 0);
  EXPECT_TRUE(open);
  event.close();
  EXPECT_EQ(s.wait(), 0);
  EXPECT_FALSE(open);
}

WEFT_TEST(selector, owns_the_values_that_it_has_not_sent) {
  const auto alive = counted::alive.load();
  struct big {
    std::array<std::int64_t, 8> v;
  };
  struct alignas(32) aligned {
    int v;
  };
  {
    auto never = weft::make_chan<counted>(), room = weft::make_chan<counted>(8);
    auto bigs = weft::make_chan<big>(1);
    auto aligneds = weft::make_chan<aligned>(1);
    weft::selector s;
    for (int i = 0; i < 40; ++i) s.send(never, counted(i));  // grows past what lies in it
    for (int i = 0; i < 3; ++i) s.send(room, counted(i));
    s.send(bigs, big{{1, 2, 3, 4, 5, 6, 7, 8}});
    s.send(aligneds, aligned{3});
    for (int i = 0; i < 5; ++i) EXPECT_GE(s.wait(), 40);
    EXPECT_EQ(s.try_wait(), -1);
    EXPECT_EQ(bigs.recv()->v[7], 8);
    EXPECT_EQ(aligneds.recv()->v, 3);
    s.remove(3);
    std::optional<counted> got;
    s.recv(room, got);
    EXPECT_EQ(s.wait(), 45);
    EXPECT_LT(got->value, 3);
    room.close();
  }
  EXPECT_EQ(counted::alive, alive);
}

// SELECT-12
WEFT_TEST(selector, of_a_thousand_channels_takes_each_once) {
  constexpr int n = 1'000;
  std::vector<weft::chan<int>> c;
  std::optional<int> got;
  weft::selector s;
  for (int i = 0; i < n; ++i) {
    c.push_back(weft::make_chan<int>(1));
    EXPECT_EQ(s.recv(c.back(), got), i);
  }
  EXPECT_EQ(s.try_wait(), -1);
  std::vector<bool> taken(n);
  for (int i = 0; i < n; ++i) c[static_cast<std::size_t>(i)].send(i);
  for (int i = 0; i < n; ++i) {
    const int k = s.wait();
    EXPECT_EQ(got, k);
    EXPECT_FALSE(taken[static_cast<std::size_t>(k)]);
    taken[static_cast<std::size_t>(k)] = true;
  }
  EXPECT_EQ(s.wait_for(1ms), -1);
  // The same while it waits, and with sends.
  auto senders = started([&] {
    for (int i = 0; i < n; ++i) c[static_cast<std::size_t>(i * 7 % n)].send(i * 7 % n);
  });
  std::int64_t sum = 0;
  for (int i = 0; i < n; ++i) {
    EXPECT_EQ(s.wait(), *got);
    sum += *got;
  }
  EXPECT_EQ(sum, n * (n - 1) / 2);
  EXPECT_TRUE(ends(senders));
  s.clear();
  for (int i = 0; i < n; ++i) EXPECT_EQ(s.send(c[static_cast<std::size_t>(i)], i), i);
  for (int i = 0; i < n; ++i) static_cast<void>(s.wait());
  EXPECT_EQ(s.try_wait(), -1) << "each is sent once";
  for (int i = 0; i < n; ++i) EXPECT_EQ(c[static_cast<std::size_t>(i)].recv(), i);
}
// SELECT-12
WEFT_TEST(selector, has_room_for_65536_cases_and_throws_for_one_more) {
  std::vector<weft::chan<int>> c;
  for (int i = 0; i < 10'000; ++i) c.push_back(weft::make_chan<int>());
  weft::selector s;
  std::optional<int> got;
  for (int i = 0; i < 65'536; ++i) s.recv(c[static_cast<std::size_t>(i) * 7 % c.size()], got);
  EXPECT_EQ(s.try_wait(), -1);
  try {
    s.recv(c[0]);
    ADD_FAILURE() << "no exception";
  } catch (const weft::panic& e) {
    EXPECT_STREQ(e.what(), "select: too many cases (max 65536)");
  }
  EXPECT_EQ(s.size(), 65'536);
  auto sender = started([&] {
    give_way();
    for (int i = 0; i < 3; ++i) c[static_cast<std::size_t>(i) * 3'333].send(i);
  });
  for (int i = 0; i < 3; ++i) {
    const int k = s.wait();
    EXPECT_EQ(got, i);
    EXPECT_EQ(static_cast<std::size_t>(k) * 7 % c.size(), static_cast<std::size_t>(i) * 3'333);
  }
  EXPECT_TRUE(ends(sender));
}
