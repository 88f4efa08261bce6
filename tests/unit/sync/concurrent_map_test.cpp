// concurrent_map_test.cpp: a hash map whose operations are each one step for all others.
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;
using map = weft::concurrent_map<int, int>;

namespace {
struct same_hash {
  std::size_t operator()(int) const { return 7; }
};

/// A number that a map must not change where it lies: it is replaced, with its entry.
struct replaced {
  int n;
  replaced(int n) : n(n) {}
  replaced(const replaced& from) : n(from.n) {}
  replaced& operator=(const replaced& from) = default;
  operator int() const { return n; }
};
using map_that_replaces = weft::concurrent_map<int, replaced>;
std::optional<int> number(const std::optional<replaced>& r) { return r ? std::optional<int>(*r) : std::nullopt; }
std::optional<int> number(std::optional<int> n) { return n; }

template <class Map>
void behaves_like_a_plain_map() {
  for (int sequence = 0; sequence < scale(1'000, 50); ++sequence) {
    rng random(static_cast<std::uint64_t>(sequence));
    Map m;
    std::unordered_map<int, int> plain;
    for (int i = 0; i < 200; ++i) {
      const int k = random.below(20), v = random.below(4), w = random.below(4);
      const auto at = plain.find(k);
      const auto before = at == plain.end() ? std::nullopt : std::optional<int>(at->second);
      switch (random.below(random.one_in(20) ? 10 : 9)) {
        case 0: ASSERT_EQ(number(m.load(k)), before); break;
        case 1: m.store(k, v), plain[k] = v; break;
        case 2:
          ASSERT_EQ((std::pair<int, bool>(m.load_or_store(k, v))), std::pair(before.value_or(v), before.has_value()));
          plain.emplace(k, v);
          break;
        case 3:
          ASSERT_EQ(number(m.load_and_delete(k)), before);
          plain.erase(k);
          break;
        case 4: ASSERT_EQ(m.erase(k), before.has_value()); plain.erase(k); break;
        case 5:
          ASSERT_EQ(number(m.swap(k, v)), before);
          plain[k] = v;
          break;
        case 6:
          ASSERT_EQ(m.compare_and_swap(k, w, v), before == w);
          if (before == w) plain[k] = v;
          break;
        case 7:
          ASSERT_EQ(m.compare_and_delete(k, w), before == w);
          if (before == w) plain.erase(k);
          break;
        case 8: {
          int seen = -1;
          ASSERT_EQ(m.visit(k, [&](int x) { seen = x; }), before.has_value());
          ASSERT_EQ(seen, before.value_or(-1));
          ASSERT_EQ(m.contains(k), before.has_value());
          break;
        }
        default: m.clear(), plain.clear();
      }
      ASSERT_EQ(m.size(), plain.size());
    }
    std::unordered_map<int, int> content;
    m.range([&](int k, int v) { EXPECT_TRUE(content.emplace(k, v).second); });
    ASSERT_EQ(content, plain);
  }
}
}  // namespace

// MAP-01, MAP-03, MAP-04: against a map under no lock at all, in one goroutine.
WEFT_TEST(concurrent_map, behaves_like_a_plain_map) {
  behaves_like_a_plain_map<map>();
  behaves_like_a_plain_map<map_that_replaces>();
}

// MAP-02
WEFT_TEST(concurrent_map, one_of_many_load_or_stores_wins) {
  for (int round = 0; round < scale(20, 3); ++round) {
    map m;
    std::atomic<int> stored{0};
    std::array<int, 100> got{};
    weft::wait_group done;
    for (int i = 0; i < 100; ++i) {
      done.go([&, i] {
        const auto [value, loaded] = m.load_or_store(1, i);
        stored += !loaded;
        got[static_cast<std::size_t>(i)] = value;
      });
    }
    done.wait();
    EXPECT_EQ(stored, 1);
    for (const int g : got) EXPECT_EQ(g, got[0]);
  }
}

// MAP-03
WEFT_TEST(concurrent_map, compares_only_with_what_is_there) {
  map m;
  EXPECT_FALSE(m.compare_and_swap(1, 0, 5));
  EXPECT_FALSE(m.compare_and_delete(1, 0));
  EXPECT_FALSE(m.contains(1));
}

// MAP-03: values that change where they lie, and keys that come and go meanwhile: nothing that was added is lost, and what a deletion says it
// has taken is what was there.
WEFT_TEST(concurrent_map, adds_up_while_keys_come_and_go) {
  with_procs set(4);
  map m;
  constexpr int goroutines = 8;
  const int each = scale(20'000, 1'000);
  std::atomic<long> taken{0};
  weft::wait_group done;
  for (int g = 0; g < goroutines; ++g) {
    done.go([&, g] {
      rng random(static_cast<std::uint64_t>(g));
      for (int i = 0; i < each; ++i) {
        const int k = random.below(4);
        for (;;) {
          const auto [n, there] = m.load_or_store(k, 1);
          if (!there || m.compare_and_swap(k, n, n + 1)) break;
        }
        if (random.one_in(4)) taken += m.load_and_delete(k).value_or(0);
        if (random.one_in(16)) taken += m.swap(k, 0).value_or(0);
        if (random.one_in(64)) weft::this_goroutine::yield();
      }
    });
  }
  done.wait();
  m.range([&](int, int n) { taken += n; });
  EXPECT_EQ(taken, static_cast<long>(goroutines) * each);
}

// Floats compare by value and change by bits: 0 and -0 are equal, a NaN is equal to nothing.
WEFT_TEST(concurrent_map, floats_compare_as_floats) {
  weft::concurrent_map<int, double> m;
  m.store(1, 0.0);
  EXPECT_TRUE(m.compare_and_swap(1, -0.0, std::nan("")));
  EXPECT_FALSE(m.compare_and_delete(1, std::nan("")));
  m.store(1, -0.0);
  EXPECT_TRUE(m.compare_and_delete(1, 0.0));
}

// MAP-05, MAP-07
WEFT_TEST(concurrent_map, range_shows_each_key_once_while_writers_write) {
  map m;
  constexpr int keys = 1 << 9;
  for (int k = 1; k <= keys; ++k) m.store(k, k);
  std::atomic<bool> stop{false};
  weft::wait_group writers;
  for (int w = 0; w < 4; ++w) {
    writers.go([&, w] {
      rng random(static_cast<std::uint64_t>(w));
      for (int i = 1; !stop; ++i) {
        const int k = 1 + random.below(keys);
        m.store(k, k * (1 + i % 1'000));
        const int guest = keys + 1 + random.below(64);  // comes and goes
        if (random.one_in(2)) m.store(guest, guest);
        else m.erase(guest);
        if (i % 32 == 0) weft::this_goroutine::yield();
      }
    });
  }
  for (int r = 0; r < scale(10, 2); ++r) {
    std::set<int> seen;
    int residents = 0;
    m.range([&](int k, int v) {
      EXPECT_EQ(v % k, 0);
      EXPECT_TRUE(seen.insert(k).second);
      residents += k <= keys;
      if (k % 64 == 0) weft::this_goroutine::yield();
      return true;
    });
    EXPECT_EQ(residents, keys);
  }
  stop = true;
  writers.wait();
  int shown = 0;
  m.range([&](int, int) { return ++shown < 3; });
  EXPECT_EQ(shown, 3);
}

// MAP-06, MAP-11
WEFT_TEST(concurrent_map, range_may_call_anything_of_its_map) {
  map m;
  for (int i = 0; i < 3; ++i) m.store(i, i);
  m.range([&](int, int) {
    m.range([&](int k, int) {
      m.range([&](int j, int) { static_cast<void>(m.load(j)), weft::this_goroutine::yield(); });
      EXPECT_TRUE(m.load_and_delete(k).has_value());
    });
    m.store(77, 1), m.erase(77), m.clear();
    return true;
  });
  EXPECT_EQ(m.size(), 0u);
  EXPECT_FALSE(m.load(0) || m.load(1) || m.load(2));
}

namespace {
// A key whose hash and comparison park, and touch the very map.
struct odd_key {
  int value;
  static inline std::atomic<int> parks{0};
  bool operator==(const odd_key& o) const {
    weft::this_goroutine::yield();
    ++parks;
    return value == o.value;
  }
};
struct odd_hash {
  std::size_t operator()(const odd_key& k) const {
    weft::this_goroutine::yield();
    return static_cast<std::size_t>(k.value % 4);
  }
};
}  // namespace
// MAP-11
WEFT_TEST(concurrent_map, user_code_may_park) {
  weft::concurrent_map<odd_key, int, odd_hash> m;
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&, i] {
      for (int k = 0; k < scale(40, 10); ++k) {
        for (;;) {
          const int n = m.load_or_store({k}, 0).first;
          if (m.compare_and_swap({k}, n, n + 1)) break;
        }
        if (k % 4 == 0) m.store({1'000 + i}, k), m.erase({1'000 + i});
      }
    });
  }
  done.wait();
  for (int k = 0; k < scale(40, 10); ++k) EXPECT_EQ(m.load({k}), 8);
  EXPECT_GT(odd_key::parks, 0);
}

// MAP-08
WEFT_TEST(concurrent_map, clear_leaves_a_whole_map) {
  weft::concurrent_map<int, std::string> m;
  std::atomic<bool> stop{false};
  weft::wait_group done;
  for (int w = 0; w < 4; ++w) {
    done.go([&, w] {
      for (int i = 0; !stop; ++i) {
        const int k = w * 100 + i % 100;
        m.store(k, std::to_string(k) + std::string(40, 'x'));
        if (i % 16 == 0) weft::this_goroutine::yield();
      }
    });
  }
  for (int i = 0; i < scale(40, 20); ++i) {
    if (i % 4 == 0) m.range([](int k, const std::string& v) { EXPECT_EQ(v, std::to_string(k) + std::string(40, 'x')); });
    m.clear();
    weft::this_goroutine::yield();
  }
  stop = true;
  done.wait();
  m.clear();
  EXPECT_EQ(m.size(), 0u);
  m.range([](int, const std::string&) { ADD_FAILURE() << "a key in an empty map"; });
}

// MAP-09
WEFT_TEST(concurrent_map, grows_from_all_sides) {
  map m;
  const int each = scale(250'000, 5'000) / (procs_asked() == 2 ? 1 : 10);
  weft::wait_group done;
  for (int g = 0; g < 4; ++g) {
    done.go([&, g] {
      for (int i = 0; i < each; ++i) {
        m.store(i * 4 + g, i);
        if (i % 1'024 == 0) weft::this_goroutine::yield();
      }
    });
  }
  done.wait();
  EXPECT_EQ(m.size(), 4u * static_cast<unsigned>(each));
  for (int k = 0; k < 4 * each; ++k) ASSERT_EQ(m.load(k), k / 4);
}

// MAP-09: all keys in one chain.
WEFT_TEST(concurrent_map, is_right_with_one_hash_for_all) {
  weft::concurrent_map<int, int, same_hash> m;
  weft::wait_group done;
  constexpr int each = 60;
  for (int g = 0; g < 4; ++g) {
    done.go([&, g] {
      for (int i = 0; i < each; ++i) m.store(i * 4 + g, i);
      for (int i = 0; i < each; i += 2) EXPECT_EQ(m.load_and_delete(i * 4 + g), i);
    });
  }
  done.wait();
  for (int k = 0; k < 4 * each; ++k) EXPECT_EQ(m.load(k), k / 4 % 2 ? std::optional<int>(k / 4) : std::nullopt);
}

// MAP-10: `counted` notices a use after its end.
WEFT_TEST(concurrent_map, destroys_a_value_once_and_under_no_reader) {
  const auto before = counted::alive.load();
  {
    weft::concurrent_map<int, counted> m;
    std::atomic<bool> stop{false};
    weft::wait_group done;
    const auto read = [&] {
      for (int i = 0; !stop; ++i) {
        m.visit(i % 4, [&](const counted& c) {
          const counted copy(c);
          if (i % 8 == 0) weft::this_goroutine::yield();  // comes back on another thread, perhaps
          EXPECT_EQ(counted(c).value, copy.value);
        });
        if (i % 50 == 0) m.range([](int, const counted& c) { EXPECT_GE(counted(c).value, 0), weft::this_goroutine::yield(); });
        if (i % 8 == 0) weft::this_goroutine::yield();
      }
    };
    for (int r = 0; r < 3; ++r) done.go(read);
    plain_thread thread(read);
    for (int i = 0; i < scale(20'000, 1'000); ++i) {
      if (i % 3) m.store(i % 4, counted(i));
      else m.erase(i / 3 % 4);
      if (i % 64 == 0) weft::this_goroutine::yield();
      if (i % 1'000 == 0) m.clear();
    }
    stop = true;
    done.wait();
    thread.join();
    for (int i = 0; i < 4; ++i) m.store(i, counted(i));
    m.flush();
    EXPECT_EQ(counted::alive - before, 4) << "what was deleted is destroyed";
    m.clear();
    m.flush();
    EXPECT_EQ(counted::alive, before);
    m.store(1, counted(1));
  }
  EXPECT_EQ(counted::alive, before);
}

WEFT_TEST(concurrent_map, values_that_cannot_be_copied_are_read_in_place) {
  weft::concurrent_map<std::string, std::unique_ptr<int>> m;
  m.store("a", std::make_unique<int>(3));
  int seen = 0;
  EXPECT_TRUE(m.visit("a", [&](const std::unique_ptr<int>& p) { seen = *p; }));
  EXPECT_EQ(seen, 3);
  EXPECT_TRUE(m.erase("a"));
  EXPECT_FALSE(m.visit("a", [](const auto&) {}));
}

namespace {
// Kept as bits, though they look like more.
struct pair_of_ints {
  int x, y;
  bool operator==(const pair_of_ints&) const = default;
};
enum class colour : std::uint8_t { red, green };
struct not_assignable {
  const int n;
};
struct with_own_address {
  int n;
  with_own_address* operator&() const = delete;
};

struct incomplete;
struct owner_of_a_map {  // a map may be a member before its values are complete
  weft::concurrent_map<int, incomplete> m;
  owner_of_a_map();
  ~owner_of_a_map();
};
struct incomplete {
  int n = 0;
};
owner_of_a_map::owner_of_a_map() = default;
owner_of_a_map::~owner_of_a_map() = default;
}  // namespace

WEFT_TEST(concurrent_map, takes_values_of_all_kinds) {
  weft::concurrent_map<int, pair_of_ints> pairs;
  pairs.store(1, {2, 3});
  EXPECT_TRUE(pairs.compare_and_swap(1, {2, 3}, {4, 5}));
  EXPECT_EQ(pairs.load_and_delete(1), (pair_of_ints{4, 5}));

  weft::concurrent_map<int, colour> colours;
  EXPECT_EQ(colours.load_or_store(1, colour::green), std::pair(colour::green, false));
  EXPECT_EQ(colours.swap(1, colour::red), colour::green);

  weft::concurrent_map<int, not_assignable> constant;
  constant.store(1, {6});
  constant.store(1, {7});
  EXPECT_EQ(constant.load(1)->n, 7);

  weft::concurrent_map<int, with_own_address> shy;
  shy.store(1, {8});
  EXPECT_TRUE(shy.visit(1, [](const with_own_address& v) { EXPECT_EQ(v.n, 8); }));
  EXPECT_TRUE(shy.erase(1));

  owner_of_a_map owner;
  owner.m.store(1, {9});
  EXPECT_EQ(owner.m.load(1)->n, 9);
}

// MAP-10: changes that remove nothing destroy what others have removed, once no reader is in the way.
WEFT_TEST(concurrent_map, values_that_change_in_place_do_not_keep_what_was_removed) {
  struct key {
    int n;
    std::shared_ptr<int> alive;
    bool operator==(const key& k) const { return n == k.n; }
  };
  struct hash {
    std::size_t operator()(const key& k) const { return std::hash<int>()(k.n); }
  };
  constexpr int keys = 10'000;
  weft::concurrent_map<key, int, hash> m;
  const auto alive = std::make_shared<int>();
  for (int k = 0; k < keys; ++k) m.store({k, alive}, k);
  m.visit({0, nullptr}, [&](int) {
    for (int k = 1; k < keys; ++k) m.erase({k, nullptr});
    EXPECT_GT(alive.use_count(), keys / 2) << "somebody reads";
  });
  for (int i = 0; i < 10'000 && alive.use_count() > 1'000; ++i) m.store({0, nullptr}, i);
  EXPECT_LE(alive.use_count(), 1'000);
}

// Also of each of several maps that a thread changes in turn.
WEFT_TEST(concurrent_map, all_maps_of_a_thread_are_looked_after) {
  const auto before = counted::alive.load();
  weft::concurrent_map<int, counted> a, b;
  weft::concurrent_map<int, int> c;
  for (int i = 0; i < 20'000; ++i) a.store(i % 4, counted(i)), b.store(i % 4, counted(i)), c.store(1, i), c.store(2, i);
  EXPECT_LE(counted::alive - before, 2'000);
}

// A value that has been swapped out may be looked at by a visit(): flush() waits for that, though the map has nothing to destroy.
WEFT_TEST(concurrent_map, flush_waits_for_readers_of_values_that_change_in_place) {
  weft::concurrent_map<int, int*> m;
  int first = 1, second = 2;
  m.store(1, &first);
  std::atomic<bool> looks{false}, flushed{false};
  weft::wait_group reader;
  reader.go([&] {
    m.visit(1, [&](int* p) {
      looks = true;
      for (int i = 0; i < 50; ++i) weft::this_goroutine::sleep_for(std::chrono::milliseconds(1));
      EXPECT_FALSE(flushed);
      EXPECT_EQ(*p, 1);
    });
  });
  while (!looks) weft::this_goroutine::yield();
  EXPECT_EQ(m.swap(1, &second), &first);
  m.flush();
  flushed = true;
  first = 0;
  reader.wait();
}

// ---- linearizability: small histories of a few goroutines on two keys, each tried against all orders that its times allow ----
namespace {

struct event {
  int what, key, a, b;   // the call
  int got;               // the answer, as one number
  std::int64_t from, to;
};
using content = std::array<int, 2>;  // -1: not there

int apply(content& c, const event& e) {
  int& at = c[static_cast<std::size_t>(e.key)];
  const int before = at;
  switch (e.what) {
    case 0: return before;
    case 1: return at = e.a, 0;
    case 2: return before >= 0 ? before + 100 : (at = e.a, e.a);
    case 3: return at = -1, before;
    case 4: return at = e.a, before;
    case 5: return before == e.b && before >= 0 ? (at = e.a, 1) : 0;
    case 6: return before == e.b && before >= 0 ? (at = -1, 1) : 0;
    default: return c = {-1, -1}, 0;
  }
}

template <class Map>
int perform(Map& m, const event& e) {
  switch (e.what) {
    case 0: return m.load(e.key).value_or(-1);
    case 1: return m.store(e.key, e.a), 0;
    case 2: {
      const auto [v, loaded] = m.load_or_store(e.key, e.a);
      return loaded ? int(v) + 100 : int(v);
    }
    case 3: return m.load_and_delete(e.key).value_or(-1);
    case 4: return m.swap(e.key, e.a).value_or(-1);
    case 5: return m.compare_and_swap(e.key, e.b, e.a);
    case 6: return m.compare_and_delete(e.key, e.b);
    default: return m.clear(), 0;
  }
}

/// Whether the rest of the history can come after `state`: some event that no other has ended before fits next.
bool explains(const std::vector<event>& history, unsigned left, const content& state, std::set<std::pair<unsigned, content>>& failed) {
  if (left == 0) return true;
  if (failed.contains({left, state})) return false;
  std::int64_t earliest_end = INT64_MAX;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (left >> i & 1) earliest_end = std::min(earliest_end, history[i].to);
  }
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (!(left >> i & 1) || history[i].from > earliest_end) continue;
    content next = state;
    if (apply(next, history[i]) == history[i].got && explains(history, left & ~(1u << i), next, failed)) return true;
  }
  failed.insert({left, state});
  return false;
}

template <class Map>
void small_histories_are_linearizable() {
  with_procs set(4);
  for (int h = 0; h < scale(1'500, 100); ++h) {
    Map m;
    std::atomic<std::int64_t> clock{0};
    std::atomic<int> ready{0};
    constexpr int goroutines = 3, each = 6;
    std::array<std::array<event, each>, goroutines> events;
    weft::wait_group done;
    for (int g = 0; g < goroutines; ++g) {
      done.go([&, g] {
        rng random(static_cast<std::uint64_t>(h * 10 + g));
        ++ready;
        while (ready < goroutines) weft::this_goroutine::yield();
        for (event& e : events[static_cast<std::size_t>(g)]) {
          e = {random.below(random.one_in(8) ? 8 : 7), random.below(2), random.below(3), random.below(3), 0, 0, 0};
          e.from = ++clock;
          e.got = perform(m, e);
          e.to = ++clock;
          if (random.one_in(4)) weft::this_goroutine::yield();
        }
      });
    }
    done.wait();
    std::vector<event> history;
    for (const auto& mine : events) history.insert(history.end(), mine.begin(), mine.end());
    std::set<std::pair<unsigned, content>> failed;
    if (explains(history, (1u << history.size()) - 1, {-1, -1}, failed)) continue;
    for (const event& e : history) ADD_FAILURE() << "[" << e.from << ", " << e.to << "] what " << e.what << " key " << e.key << " a " << e.a << " b " << e.b << " got " << e.got;
    return;
  }
}

}  // namespace

TEST(linearizability, the_checker_finds_what_is_wrong) {
  std::set<std::pair<unsigned, content>> failed;
  const std::vector<event> stale{{1, 0, 5, 0, 0, 1, 2}, {0, 0, 0, 0, -1, 3, 4}};  // stored and then not there
  EXPECT_FALSE(explains(stale, 3, {-1, -1}, failed));
  failed.clear();
  const std::vector<event> at_once{{1, 0, 5, 0, 0, 1, 4}, {0, 0, 0, 0, -1, 2, 3}};
  EXPECT_TRUE(explains(at_once, 3, {-1, -1}, failed));
}

// MAP-01
WEFT_TEST(linearizability, of_small_histories) {
  small_histories_are_linearizable<map>();
  small_histories_are_linearizable<map_that_replaces>();
}
