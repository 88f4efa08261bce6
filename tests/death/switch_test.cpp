// switch_test.cpp: switches to where nothing is. Rows 33 and 38 of Go's gogo.
// weft-test: procs=1,4 emulated=0
#include <string>

#include "sched/lap.hpp"
#include "support/support.hpp"

using namespace weft::test;

namespace {
child_options bare() {
  return {.env = {"ASAN_OPTIONS=handle_segv=0:detect_leaks=0:allow_user_segv_handler=1", "TSAN_OPTIONS=report_signal_unsafe=0:handle_segv=0"}};
}
}  // namespace

WEFT_CHILD(switches_to_null) {
  return weft::run([] {
    void* here = nullptr;
    weft::commit_fn commit = nullptr;
    weft::g* from = nullptr;
    weft::arch::gogo(&here, nullptr, commit, from);
    return 1;
  });
}
// Later it would be somebody else's fault.
TEST(gogo, to_a_context_that_is_null_faults_at_once) {
  const auto r = child("switches_to_null", bare());
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "fatal error: SIGSEGV: segmentation violation during runtime execution\n[signal SIGSEGV code=1 addr=0x"));
  EXPECT_TRUE(contains(r.err, "\n\nruntime stack:\n")) << "and once: the report itself must not fall over a stack that is none";
  EXPECT_EQ(r.err.find("SIGSEGV: "), r.err.rfind("SIGSEGV: "));
}

WEFT_CHILD(resumes_twice) {
  return weft::run([] {
    weft::g* waits = nullptr;
    const auto c = weft::make_chan<int>();
    weft::go([&] {
      waits = weft::current_g();
      static_cast<void>(c.recv());
    });
    while (!waits || waits->why() != weft::wait_reason::chan_receive) weft::this_goroutine::yield();  // at procs 1 it is off its stack then
    static_cast<void>(weft::take_context(waits));
    static_cast<void>(weft::take_context(waits));
    return 5;
  });
}
// Two threads on one stack destroy it in a way that shows anywhere but here.
TEST(gogo, takes_a_context_only_once) {
#if WEFT_SLOW_CHECKS
  const auto r = child("resumes_twice", {.env = {"WEFT_PROCS=1"}});
  EXPECT_TRUE(ended_with(r, 2));
  EXPECT_TRUE(starts_with(r.err, "weft: values: 2 0x"));
  EXPECT_TRUE(contains(r.err, "\nfatal error: gogo: a context is resumed twice\n"));
#else
  EXPECT_TRUE(ended_with(child("resumes_twice", {.env = {"WEFT_PROCS=1"}}), 5)) << "not looked after without slow checks";
#endif
}
