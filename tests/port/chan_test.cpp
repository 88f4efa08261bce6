// chan_test.cpp: Go's test/chan/{sieve1,fifo,perm,goroutines,nonblock}, test/peano and runtime/chan_test.go. See README.md.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

// test/chan/sieve1
WEFT_TEST(chan_port, sieve1) {
  constexpr std::array primes = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97};
  auto stop = std::make_shared<std::atomic<bool>>(false);
  auto in = weft::make_chan<int>();
  weft::go([stop](weft::sender<int> out) {
    for (int i = 2; !*stop; ++i) out.send(i);
    out.close();
  }, in);
  for (const int expected : primes) {
    const int prime = in.recv().value();
    ASSERT_EQ(prime, expected);
    auto out = weft::make_chan<int>();
    weft::go([prime](weft::receiver<int> from, weft::sender<int> to) {
      for (const int i : from)
        if (i % prime != 0) to.send(i);
      to.close();
    }, in, out);
    in = out;
  }
  *stop = true;
  while (in.recv()) {
  }
}

// test/chan/fifo, its part with a buffer
WEFT_TEST(chan_port, fifo_AsynchFifo) {
  constexpr int n = 10;
  auto c = weft::make_chan<int>(n);
  for (int i = 0; i < n; ++i) c.send(i);
  for (int i = 0; i < n; ++i) EXPECT_EQ(c.recv(), i);
}

// test/chan/fifo, its chain without one: each link may only receive once the link before it has.
WEFT_TEST(chan_port, fifo_SynchFifo) {
  constexpr int n = 10;
  auto c = weft::make_chan<int>();
  auto in = weft::make_chan<int>();
  const auto start = in;
  for (int i = 0; i < n; ++i) {
    auto out = weft::make_chan<int>();
    weft::go([=] {
      static_cast<void>(in.recv());
      EXPECT_EQ(c.recv(), i);
      out.send(1);
    });
    in = out;
  }
  start.send(0);
  for (int i = 0; i < n; ++i) c.send(i);
  static_cast<void>(in.recv());
}

// test/chan/perm: what must not compile, asked of the compiler without an error.
namespace perm {
template <class C>
concept receives_into = requires(C c) { c.recv(); };
template <class C>
concept tries_to_receive = requires(C c) { c.try_recv(); };
template <class C>
concept takes = requires(C c) { c.send(0); };
template <class C>
concept tries_to_take = requires(C c) { c.try_send(0); };
template <class C>
concept closes = requires(C c) { c.close(); };
template <class C>
concept ranges = requires(C c) {
  c.begin();
  c.end();
};
using both = weft::chan<int>;
using only_send = weft::sender<int>;
using only_receive = weft::receiver<int>;
static_assert(receives_into<both> && tries_to_receive<both> && takes<both> && tries_to_take<both> && closes<both> && ranges<both>);
static_assert(!receives_into<only_send> && !tries_to_receive<only_send> && !ranges<only_send> && takes<only_send> && closes<only_send>);
static_assert(!takes<only_receive> && !tries_to_take<only_receive> && !closes<only_receive> && receives_into<only_receive>);
static_assert(std::is_assignable_v<only_send&, both> && std::is_assignable_v<only_receive&, both>);
static_assert(!std::is_assignable_v<both&, only_send> && !std::is_assignable_v<both&, only_receive>);
static_assert(!std::is_assignable_v<only_send&, only_receive> && !std::is_assignable_v<only_receive&, only_send>);
}  // namespace perm

// test/chan/goroutines: a value through ten thousand of them in a row.
WEFT_TEST(chan_port, goroutines) {
  const int n = scale_alive(10'000);
  auto leftmost = weft::make_chan<int>();
  auto right = leftmost, left = leftmost;
  for (int i = 0; i < n; ++i) {
    right = weft::make_chan<int>();
    weft::go([left, right] { left.send(right.recv().value()); });
    left = right;
  }
  weft::go([right] { right.send(1); });
  EXPECT_EQ(leftmost.recv(), 1);
}

// test/chan/nonblock: for several types, with and without a buffer.
namespace {
template <class T>
void nonblock(T value) {
  for (const int buffer : {0, 1}) {
    auto c = weft::make_chan<T>(buffer);
    auto sync = weft::make_chan<bool>(1);
    EXPECT_FALSE(c.try_recv());
    weft::go([=] {
      EXPECT_TRUE(c.recv() == value);
      sync.send(true);
    });
    EXPECT_TRUE(eventually([&] { return c.try_send(value); }));
    static_cast<void>(sync.recv());
    weft::go([=] {
      c.send(value);
      sync.send(true);
    });
    EXPECT_TRUE(eventually([&] {
      const auto r = c.try_recv();
      EXPECT_TRUE(!r || *r == value);
      return r.has_value();
    }));
    static_cast<void>(sync.recv());
    if (buffer == 1) {
      EXPECT_TRUE(c.try_send(value));
      EXPECT_FALSE(c.try_send(value));
    } else {
      EXPECT_FALSE(c.try_send(value));
    }
  }
}
}  // namespace
WEFT_TEST(chan_port, nonblock) {
  nonblock<int>(123);
  nonblock<bool>(true);
  nonblock<std::string>("hello");
  nonblock<std::array<char, 3>>({'a', 'b', 'c'});
}

// runtime: TestChan
WEFT_TEST(chan_port, TestChan) {
  const int most = scale(200, 20);
  for (int capacity = 0; capacity < most; ++capacity) {
    {  // an empty one blocks its receivers
      auto c = weft::make_chan<int>(capacity);
      auto received = std::make_shared<std::atomic<int>>(0);
      for (int k = 0; k < 2; ++k) weft::go([=] { static_cast<void>(c.recv()), ++*received; });
      weft::this_goroutine::sleep_for(50us);
      EXPECT_EQ(*received, 0);
      c.send(0);
      c.send(0);
      ASSERT_TRUE(eventually([&] { return *received == 2; }));
    }
    {  // a full one blocks its senders
      auto c = weft::make_chan<int>(capacity);
      for (int i = 0; i < capacity; ++i) c.send(i);
      auto sent = std::make_shared<std::atomic<bool>>(false);
      weft::go([=] { c.send(0), *sent = true; });
      weft::this_goroutine::sleep_for(50us);
      EXPECT_FALSE(*sent);
      EXPECT_FALSE(c.try_send(0));
      static_cast<void>(c.recv());
      ASSERT_TRUE(eventually([&] { return sent->load(); }));
      while (c.try_recv()) {
      }
    }
    {  // a closed one gives what it has and then nothing
      auto c = weft::make_chan<int>(capacity);
      for (int i = 0; i < capacity; ++i) c.send(i);
      c.close();
      for (int i = 0; i < capacity; ++i) ASSERT_EQ(c.recv(), i);
      EXPECT_EQ(c.recv(), std::nullopt);
    }
    {  // closing ends a waiting receive
      auto c = weft::make_chan<int>(capacity);
      auto ended = weft::make_chan<bool>();
      weft::go([=] { ended.send(!c.recv().has_value()); });
      c.close();
      EXPECT_EQ(ended.recv(), true);
    }
    {  // a hundred in order
      auto c = weft::make_chan<int>(capacity);
      weft::go([=] {
        for (int i = 0; i < 100; ++i) c.send(i);
      });
      for (int i = 0; i < 100; ++i) ASSERT_EQ(c.recv(), i);
    }
  }
}

// runtime: TestNonblockRecvRace
WEFT_TEST(chan_port, TestNonblockRecvRace) {
  const int n = scale(10'000, 200);
  for (int i = 0; i < n; ++i) {
    auto c = weft::make_chan<int>(1);
    c.send(1);
    auto closed = std::make_shared<weft::wait_group>();
    closed->go([c, closed] { c.close(); });
    ASSERT_TRUE(c.try_recv().has_value());
    closed->wait();
  }
}

// runtime: TestMultiConsumer
WEFT_TEST(chan_port, TestMultiConsumer) {
  constexpr int workers = 23;
  const int items = scale(271'828, 2'000);
  constexpr std::array primes = {2, 3, 7, 11, 13, 17, 19, 23, 27, 31};
  auto queue = weft::make_chan<int>(workers * 3), results = weft::make_chan<int>(workers * 3);
  weft::wait_group done;
  for (int i = 0; i < workers; ++i) {
    done.go([=] {
      for (const int v : queue) {
        if (v % primes.size() == 0) weft::this_goroutine::yield();  // some take longer
        results.send(v);
      }
    });
  }
  std::int64_t expected = 0;
  weft::go([&] {
    for (int i = 0; i < items; ++i) {
      const int v = primes[static_cast<std::size_t>(i) % primes.size()];
      expected += v;
      queue.send(v);
    }
    queue.close();
    done.wait();
    results.close();
  });
  std::int64_t count = 0, sum = 0;
  for (const int v : results) ++count, sum += v;
  EXPECT_EQ(count, items);
  EXPECT_EQ(sum, expected);
}

// test/peano: numbers as lists, sums and products by recursion, deep on a goroutine's stack.
namespace {
struct number {
  std::unique_ptr<number> less;
  ~number() {  // not by recursion
    while (less) less = std::move(less->less);
  }
};
using numeral = std::unique_ptr<number>;
numeral successor(numeral n) {
  auto s = std::make_unique<number>();
  s->less = std::move(n);
  return s;
}
numeral copy(const number* n) { return n ? successor(copy(n->less.get())) : nullptr; }
numeral add(const number* a, const number* b) { return b ? successor(add(a, b->less.get())) : copy(a); }
numeral mul(const number* a, const number* b) {
  if (!a || !b) return nullptr;
  const numeral rest = mul(a, b->less.get());
  return add(rest.get(), a);
}
numeral factorial(const number* n) {
  if (!n) return successor(nullptr);
  const numeral rest = factorial(n->less.get());
  return mul(n, rest.get());
}
int count(const number* n) {
  int k = 0;
  for (; n; n = n->less.get()) ++k;
  return k;
}
numeral make(int n) {
  numeral x;
  for (; n > 0; --n) x = successor(std::move(x));
  return x;
}
}  // namespace
WEFT_TEST(recursion_port, peano) {
  auto results = weft::make_chan<int>(8);
  const int largest = under_sanitizer ? 5 : 7;
  for (int i = 0; i <= largest; ++i) {
    weft::go(weft::go_options{.stack_size = std::size_t{64} << 20}, [=] { results.send(count(factorial(make(i).get()).get())); });
  }
  std::vector<int> got;
  for (int i = 0; i <= largest; ++i) got.push_back(results.recv().value());
  std::sort(got.begin(), got.end());
  int f = 1;
  for (int i = 0; i <= largest; ++i) {
    f *= std::max(1, i);
    EXPECT_EQ(got[static_cast<std::size_t>(i)], f);
  }
}
