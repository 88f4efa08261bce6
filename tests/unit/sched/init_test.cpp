// init_test.cpp: init tasks run once, before main, dependencies first, and may wait.
#include <cstdio>
#include <stdexcept>
#include <string>

#include <unistd.h>

#include "support/init_library.hpp"
#include "support/support.hpp"

using namespace weft::test;

// The order of these is part of the test: `last` is first in the file.
WEFT_INIT(last, with_five, in_a_namespace, waits) { note_init("last"); }

WEFT_INIT(alone) { note_init("alone"); }

namespace some_namespace {
WEFT_INIT(in_a_namespace, in_a_library) { note_init("in_a_namespace"); }
}  // namespace some_namespace

WEFT_INIT(with_five, alone, one, two, in_a_library, in_a_namespace) { note_init("with_five"); }
WEFT_INIT(one) { note_init("one"); }
WEFT_INIT(two, one) { note_init("two"); }

static weft::chan<int> numbers;
static int first_tid = 0;
static std::uint64_t init_id = 0;
WEFT_INIT(waits) {
  note_init("waits");
  first_tid = ::gettid();
  init_id = weft::this_goroutine::id();
  numbers = weft::make_chan<int>();
  weft::go([] { numbers.send(5), numbers.send(6); });
  weft::this_goroutine::sleep_for(1ms);
  EXPECT_EQ(numbers.recv(), 5);
}

WEFT_CHILD(two_runs_after_init) {
  if (init_order) return 1;  // too early: a static constructor may not wait
  const int first = weft::run([] { return static_cast<int>(*numbers.recv()); });
  const std::string once = *init_order;
  weft::run([] {});
  std::printf("%s", init_order->c_str());
  return once == *init_order ? first : 2;
}
// Rows 45 to 47 of Go's runtime.main: whoever is needed is there before.
TEST(init, tasks_run_once_each_dependencies_first) {
  const auto r = child("two_runs_after_init");
  EXPECT_TRUE(ended_with(r, 6));
  EXPECT_EQ(r.out, "alone one two in_a_library in_a_namespace with_five waits last ");
}

WEFT_TEST(init, tasks_run_on_mains_goroutine) {
  EXPECT_EQ(init_id, 1u);
  EXPECT_EQ(*numbers.recv(), 6);
}

WEFT_CHILD(traced_init) { return weft::run([] {}); }
TEST(init, tasks_are_traced_on_request) {
  const auto r = child("traced_init", {.env = {"WEFT_DEBUG=inittrace=1"}});
  EXPECT_TRUE(ended_with(r, 0));
  // init NAME @0.008 ms, 1.250 ms clock
  std::string names;
  std::size_t at = 0;
  for (std::size_t end; (end = r.err.find('\n', at)) != std::string::npos; at = end + 1) {
    char name[64] = {};
    double began = -1, took = -1;
    const std::string line = r.err.substr(at, end - at);
    ASSERT_EQ(std::sscanf(line.c_str(), "init %63s @%lf ms, %lf ms clock", name, &began, &took), 3) << line;
    EXPECT_GE(began, 0);
    EXPECT_GE(took, std::string(name) == "waits" ? 1 : 0);
    names += std::string(name) + " ";
  }
  EXPECT_EQ(names, "alone one two in_a_library in_a_namespace with_five waits last ");
}
