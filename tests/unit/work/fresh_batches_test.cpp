// fresh_batches_test.cpp: goroutines that have never run, the newest batch first, beside a plain list of lists.
// weft-test: procs=1 chaos=0
#include "work/fresh_batches.hpp"

#include <deque>
#include <memory>
#include <vector>

#include "support/support.hpp"

using weft::fresh_batches;

namespace {

using ids = std::vector<std::uint64_t>;

/// Goroutines that never run; their ids count from 1.
class crowd {
 public:
  weft::g_list next(std::uint32_t n) {
    weft::g_list list;
    while (n-- > 0) {
      gs_.push_back(std::make_unique<weft::g>());
      gs_.back()->id = gs_.size();
      list.push_back(gs_.back().get());
    }
    return list;
  }

 private:
  std::vector<std::unique_ptr<weft::g>> gs_;
};

ids of(const weft::g_list& list) {
  ids out;
  for (const weft::runnable* r = list.first; r; r = r->link) out.push_back(static_cast<const weft::g*>(r)->id);
  EXPECT_EQ(out.size(), list.size);
  EXPECT_EQ(list.empty() ? nullptr : list.last->link, nullptr);
  return out;
}

/// The same, as one would write it who need not be quick.
struct plain {
  std::deque<std::deque<std::uint64_t>> batches;

  void put(std::uint64_t first, std::uint32_t n) {
    std::deque<std::deque<std::uint64_t>> cut;
    for (std::uint32_t i = 0; i < n; ++i) {
      if (i % 33 == 0) cut.emplace_back();
      cut.back().push_back(first + i);
    }
    batches.insert(batches.begin(), cut.begin(), cut.end());
  }
  ids take(std::uint32_t n, bool newest) {
    ids out;
    while (n-- > 0 && !batches.empty()) {
      auto& from = newest ? batches.front() : batches.back();
      out.push_back(from.front());
      from.pop_front();
      if (from.empty()) newest ? batches.pop_front() : batches.pop_back();
    }
    return out;
  }
  std::size_t size() const {
    std::size_t n = 0;
    for (const auto& b : batches) n += b.size();
    return n;
  }
};

}  // namespace

TEST(fresh_batches, gives_the_newest_first_and_each_batch_in_order) {
  crowd gs;
  fresh_batches fresh;
  weft::g_list out;
  fresh.put(gs.next(3));
  fresh.put(gs.next(2));
  fresh.take_newest(4, out);
  EXPECT_EQ(of(out), (ids{4, 5, 1, 2}));
  EXPECT_EQ(fresh.size(), 1u);
}

TEST(fresh_batches, gives_the_oldest_when_asked_for_these) {
  crowd gs;
  fresh_batches fresh;
  weft::g_list out;
  fresh.put(gs.next(3));
  fresh.put(gs.next(2));
  fresh.take_oldest(2, out);
  fresh.take_newest(9, out);
  EXPECT_EQ(of(out), (ids{1, 2, 4, 5, 3}));
  EXPECT_EQ(fresh.size(), 0u);
}

TEST(fresh_batches, taken_over_are_newer_than_the_others) {
  crowd gs;
  fresh_batches mine, theirs, none;
  weft::g_list out;
  theirs.put(gs.next(2));
  mine.put(gs.next(2));
  mine.take_over(theirs);
  mine.take_over(none);
  EXPECT_EQ(theirs.size(), 0u);
  theirs.take_over(mine);
  theirs.take_oldest(1, out);
  theirs.take_newest(9, out);
  EXPECT_EQ(of(out), (ids{3, 1, 2, 4}));
}

TEST(fresh_batches, are_as_a_list_of_lists_would_be) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    weft::test::rng random(seed);
    crowd gs;
    fresh_batches fresh[2];
    plain same[2];
    std::uint64_t made = 0;
    for (int step = 0; step < 300; ++step) {
      const int which = random.below(2);
      const auto n = static_cast<std::uint32_t>(1 + random.below(100));
      weft::g_list out;
      switch (random.below(8)) {
        case 0:
          fresh[which].take_over(fresh[1 - which]);
          same[which].batches.insert(same[which].batches.begin(), same[1 - which].batches.begin(), same[1 - which].batches.end());
          same[1 - which].batches.clear();
          break;
        case 1: case 2: case 3:
          fresh[which].put(gs.next(n));
          same[which].put(made + 1, n);
          made += n;
          break;
        case 4: case 5:
          fresh[which].take_newest(n, out);
          ASSERT_EQ(of(out), same[which].take(n, true)) << "seed " << seed << ", step " << step;
          break;
        default:
          fresh[which].take_oldest(n, out);
          ASSERT_EQ(of(out), same[which].take(n, false)) << "seed " << seed << ", step " << step;
      }
      ASSERT_EQ(fresh[which].size(), same[which].size()) << "seed " << seed << ", step " << step;
    }
  }
}
