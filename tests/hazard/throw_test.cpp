// throw_test.cpp: hazard 17. An unwinder that walks the list of loaded objects takes a lock for it, and exceptions on several
// threads wait for each other. Since glibc 2.35 (_dl_find_object) and g++ 12's library it need not.
// weft-test: procs=1,4 libs=dl chaos=0
#include <atomic>
#include <dlfcn.h>
#include <link.h>
#include <stdexcept>
#include <string>
#include <time.h>
#include <vector>

#include "support/support.hpp"

using namespace weft::test;

namespace {
std::atomic<int> walks{0};
}

#if !defined(WEFT_TEST_ASAN) && !defined(WEFT_TEST_TSAN)  // a sanitizer calls it before anything of the program's can run
// Instead of the C library's, for every object of this program.
extern "C" int dl_iterate_phdr(int (*f)(dl_phdr_info*, std::size_t, void*), void* arg) {
  using function = int(int (*)(dl_phdr_info*, std::size_t, void*), void*);
  static auto* theirs = reinterpret_cast<function*>(::dlsym(RTLD_NEXT, "dl_iterate_phdr"));
  ++walks;
  return theirs(f, arg);
}
#endif

namespace {

[[gnu::noinline]] void throw_from(int depth, int value) {
  if (depth == 0) throw value;
  throw_from(depth - 1, value);
  asm volatile("");
}

int throw_and_catch(int n) {
  int caught = 0;
  for (int i = 0; i < n; ++i) {
    try {
      throw_from(5, i);
    } catch (const int v) {
      caught += v == i;
    }
  }
  return caught;
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

}  // namespace

WEFT_TEST(exceptions, are_thrown_without_a_walk_over_all_objects) {
  if (under_sanitizer) GTEST_SKIP() << "the sanitizer walks for its own purposes";
  if (!::dlsym(RTLD_DEFAULT, "_dl_find_object")) GTEST_SKIP() << "a C library before glibc 2.35";
  ASSERT_EQ(::dlsym(RTLD_DEFAULT, "dl_iterate_phdr"), reinterpret_cast<void*>(&dl_iterate_phdr));  // or others do not find ours
  throw_and_catch(1);
  const int before = walks;
  std::atomic<int> caught{0};
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) done.go([&] { caught += throw_and_catch(100); });
  done.wait();
  EXPECT_EQ(caught, 800);
  EXPECT_EQ(walks, before);
}

// Processor time, not the clock on the wall: others use this machine too. Waiting for a lock of the kernel's costs some of it.
WEFT_TEST(exceptions, on_all_procs_at_once_cost_about_what_they_cost_on_one) {
  if (under_sanitizer) GTEST_SKIP() << "what it costs is the sanitizer's";
  const int n = scale(2'000), wide = weft::procs();
  throw_and_catch(n);
  double alone = 1e9, together = 1e9;
  for (int round = 0; round < 5; ++round) {
    const double t0 = cpu_seconds();
    throw_and_catch(n * wide);
    const double t1 = cpu_seconds();
    weft::wait_group done;
    for (int i = 0; i < wide; ++i) done.go([&] { throw_and_catch(n); });
    done.wait();
    alone = std::min(alone, t1 - t0);
    together = std::min(together, cpu_seconds() - t1);
  }
  EXPECT_LT(together, 4 * alone + 0.01);
}
