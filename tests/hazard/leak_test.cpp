// leak_test.cpp: what LeakSanitizer says of goroutines that are parked at the end: nothing of what they own, and of the rest what is true.
// weft-test: procs=1,4 chaos=0 emulated=0
#include <memory>
#include <string>

#include "support/support.hpp"

using namespace weft::test;

namespace {
weft::chan<std::string> letters;

child_result run_scenario(const char* name) { return child(name, {.env = {"ASAN_OPTIONS=detect_leaks=1:exitcode=66"}}); }

int leave_owners_behind() {
  return weft::run([] {
    letters = weft::make_chan<std::string>();
    for (int i = 0; i < 1'000; ++i) {
      weft::go([own = std::make_unique<std::string>(100, 'x')] {
        const auto more = std::make_unique<int>(7);
        static_cast<void>(letters.recv());
      });
    }
    static_cast<void>(eventually([] { return weft::stats().parks >= 1'000; }));
    return 0;
  });
}
struct sends_late {
  ~sends_late() {
    if (letters) letters.send(std::string(100, 'z'));
  }
} const at_the_very_end;
}  // namespace

// Who is sent something when run() has ended has it on its stack, and nowhere else.
WEFT_CHILD(owners_are_left_behind) {
  const int status = leave_owners_behind();
  letters.send(std::string(100, 'y'));
  return status;
}
namespace {
[[gnu::noinline]] void lose_some() {
  for (int i = 0; i < 10; ++i) asm volatile("" : : "r"(new int(i)) : "memory");  // the last may still lie in some register
}
}  // namespace
WEFT_CHILD(some_are_lost) {
  const int status = leave_owners_behind();
  lose_some();
  return status;
}

TEST(leaks, of_goroutines_that_are_parked_are_none) {
  if (!under_asan) GTEST_SKIP() << "AddressSanitizer's build only";
  const auto r = run_scenario("owners_are_left_behind");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
}
TEST(leaks, beside_them_are_found) {
  if (!under_asan) GTEST_SKIP() << "AddressSanitizer's build only";
  const auto r = run_scenario("some_are_lost");
  EXPECT_TRUE(contains(r.err, "LeakSanitizer: detected memory leaks"));
  EXPECT_TRUE(ended_with(r, 66));
}
