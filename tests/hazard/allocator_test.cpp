// allocator_test.cpp: hazard 1b. An allocator keeps caches per thread. If weft, or the compiler, took one thread's cache for
// another's, blocks would be given out twice, and what lies in them would change: blocks that outlive many switches show it.
// The same program runs on the C library's allocator and, in processes of their own, on jemalloc and mimalloc.
// weft-test: procs=1,4
#include <algorithm>
#include <atomic>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

namespace {

// Filled with bytes that no other block has at the same place.
class block {
 public:
  block(std::uint64_t mark, std::size_t size) : mark_(mark), size_(size), bytes_(new unsigned char[size]) {
    for (std::size_t i = 0; i < size; ++i) bytes_[i] = at(i);
  }
  [[nodiscard]] bool intact() const {
    for (std::size_t i = 0; i < size_; ++i)
      if (bytes_[i] != at(i)) return false;
    return true;
  }

 private:
  [[nodiscard]] unsigned char at(std::size_t i) const { return static_cast<unsigned char>((mark_ * 0x9e3779b97f4a7c15u) >> (i % 8 * 8)); }
  std::uint64_t mark_;
  std::size_t size_;
  std::unique_ptr<unsigned char[]> bytes_;
};

int blocks_that_changed() {
  std::atomic<int> changed{0};
  std::atomic<std::uint64_t> marks{1};
  auto passed_on = weft::make_chan<block*>(16);  // freed by who did not allocate
  weft::wait_group done;
  for (int i = 0; i < 16; ++i) {
    done.go([&, i] {
      rng r(static_cast<std::uint64_t>(i));
      std::vector<block> kept;
      for (int k = 0; k < scale(400, 40); ++k) {
        const auto size = static_cast<std::size_t>(r.one_in(16) ? 1 + r.below(60'000) : 1 + r.below(400));
        kept.emplace_back(marks++, size);
        if (kept.size() > 12) {
          std::swap(kept[static_cast<std::size_t>(r.below(12))], kept.back());
          if (!kept.back().intact()) ++changed;
          kept.pop_back();
        }
        switch (r.below(4)) {
          case 0: weft::this_goroutine::yield(); break;
          case 1: weft::this_goroutine::sleep_for(1us); break;
          case 2: {
            auto mine = std::make_unique<block>(marks++, size);
            if (passed_on.try_send(mine.get())) static_cast<void>(mine.release());
            break;
          }
          default:
            if (const auto b = passed_on.try_recv()) {
              const std::unique_ptr<block> theirs(*b);
              if (!theirs->intact()) ++changed;
            }
        }
      }
      for (const block& b : kept)
        if (!b.intact()) ++changed;
    });
  }
  done.wait();
  passed_on.close();
  while (const auto b = passed_on.recv()) {
    const std::unique_ptr<block> last(*b);
    if (!last->intact()) ++changed;
  }
  return changed;
}

constexpr int not_there = 77;

void on_allocator(const char* library, const char* symbol) {
  if (under_sanitizer) GTEST_SKIP() << "a sanitizer has its own allocator";
  for (const char* mode : {"WEFT_DEBUG=", "WEFT_DEBUG=chaos=5"}) {
    const auto r = child("verify_blocks", {.env = {std::string("LD_PRELOAD=") + library, mode}, .args = {symbol}});
    if (r.status == not_there) GTEST_SKIP() << "no " << library << " here";
    EXPECT_TRUE(ended_with(r, 0)) << mode;
  }
}

}  // namespace

WEFT_CHILD(verify_blocks) {
  if (!::dlsym(RTLD_DEFAULT, args.at(0).c_str())) return not_there;
  return weft::run([] { return blocks_that_changed() == 0 ? 0 : 1; });
}

WEFT_TEST(blocks, keep_their_bytes_while_goroutines_move_on_the_c_librarys_allocator) { EXPECT_EQ(blocks_that_changed(), 0); }
TEST(blocks, keep_their_bytes_while_goroutines_move_on_jemalloc) { on_allocator("libjemalloc.so.2", "mallocx"); }
TEST(blocks, keep_their_bytes_while_goroutines_move_on_mimalloc) { on_allocator("libmimalloc.so.2", "mi_malloc"); }
