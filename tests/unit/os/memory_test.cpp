// memory_test.cpp: pages that are made real, or made to fault, several at once.
// weft-test: procs=1 emulated=0
#include <array>
#include <cerrno>
#include <cstddef>

#include <sys/mman.h>
#include <unistd.h>

#include "os/memory.hpp"
#include "support/support.hpp"

namespace os = weft::os;

namespace {

// Every other page of a reservation, as stacks are that have something between them.
struct pages {
  static constexpr std::size_t count = os::ranges_at_once;
  std::size_t page = os::page_size();
  char* base = static_cast<char*>(os::reserve(2 * count * page, page));
  std::array<void*, count> chosen{};
  pages() {
    for (std::size_t i = 0; i < count; i++) chosen[i] = base + 2 * i * page;
  }
  ~pages() { os::unmap(base, 2 * count * page); }
};

bool resident(const void* at) {
  unsigned char is = 0;
  EXPECT_EQ(::mincore(const_cast<void*>(at), os::page_size(), &is), 0);
  return (is & 1) != 0;
}

// The kernel reports a bad address for a buffer that it may not read: no signal.
bool faults(const void* at) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const bool bad = ::write(ends[1], at, 1) < 0 && errno == EFAULT;
  ::close(ends[0]);
  ::close(ends[1]);
  return bad;
}

}  // namespace

TEST(memory, of_several_pages_is_made_real_and_of_no_others) {
  const pages p;
  if (!os::commit(p.chosen[0], p.page)) GTEST_SKIP() << "no MADV_POPULATE_WRITE: Linux before 5.14";
  os::commit_each(p.chosen.data(), pages::count, p.page);
  for (void* at : p.chosen) {
    EXPECT_TRUE(resident(at));
    EXPECT_FALSE(resident(static_cast<char*>(at) + p.page));
  }
}

TEST(memory, of_several_pages_is_guarded_and_of_no_others) {
  const os::guard_kind kind = os::probe_guards();
  const pages p;
  EXPECT_EQ(os::guard_each(p.chosen.data(), pages::count, p.page, kind), pages::count);
  for (void* at : p.chosen) {
    EXPECT_TRUE(faults(at));
    EXPECT_FALSE(faults(static_cast<char*>(at) + p.page));
  }
}

// What cannot be guarded is not counted, and nothing after it: the caller must not use those stacks.
TEST(memory, that_is_not_there_is_not_called_guarded) {
  const os::guard_kind kind = os::probe_guards();
  pages p;
  os::unmap(p.chosen[5], p.page);
  EXPECT_EQ(os::guard_each(p.chosen.data(), pages::count, p.page, kind), 5u);
  EXPECT_TRUE(faults(p.chosen[4]));
  EXPECT_FALSE(faults(p.chosen[6]));
}
