// sched/call_c.cpp: see <weft/call_c.hpp>. While a goroutine runs, the thread's own stack lies idle under the scheduler's saved
// context: foreign code gets that. Meanwhile no goroutine is current, so every wait comes by the way of plain threads, and
// is refused there: a lap would run over the foreign frames.
#include "sched/call_c.hpp"

#include <weft/call_c.hpp>

#include "base/throw.hpp"
#include "os/futex.hpp"
#include "sched/init.hpp"
#include "sched/lap.hpp"

namespace weft {

namespace {

extern "C" [[gnu::visibility("hidden")]] void weft_call_on(void* stack, void (*f)(void*), void* arg);

struct visit {
  m* mp;
  g* gp;
  void (*f)(void*);
  void* arg;
};

WEFT_UNSANITIZED void on_g0(void* arg) {
  const visit& v = *static_cast<visit*>(arg);
#if WEFT_ASAN
  sanitizers::arrive(v.mp->g0_sanitizer, nullptr);
#endif
  v.f(v.arg);
#if WEFT_ASAN
  sanitizers::leave(v.mp->g0_sanitizer, v.gp->sanitizer, v.gp->stack.low, v.gp->stack.size());
#endif
}

// ThreadSanitizer must be told on both ways by one function.
WEFT_UNSANITIZED [[gnu::noinline]] void there_and_back(visit& v) {
#if WEFT_ASAN
  sanitizers::leave(v.gp->sanitizer, v.mp->g0_sanitizer, nullptr, 0);
#elif WEFT_TSAN
  __tsan_switch_to_fiber(v.mp->g0_sanitizer.fiber, 0);
#endif
  weft_call_on(v.mp->g0_sp, &on_g0, &v);
#if WEFT_ASAN
  sanitizers::arrive(v.gp->sanitizer, nullptr);
#elif WEFT_TSAN
  __tsan_switch_to_fiber(v.gp->sanitizer.fiber, 0);
#endif
}

}  // namespace

void refuse_in_call_c(wait_reason why) noexcept {
  if (__builtin_expect(this_m() == nullptr, 1)) return;
  const bool hook = this_m()->on_g0 == guest::hook;
  begin_report();
  error_text() << "weft: " << to_string(why) << " in " << (hook ? "a switch hook" : "call_c") << ": what runs on the scheduler's stack may not wait for goroutines\n";
  fatal(hook ? "schedule: in a switch hook" : "schedule: in call_c");
}

namespace detail {

void call_on_g0(void (*f)(void*), void* arg) {
  call_on_g0(f, arg, guest::call_c);
  honour_request();
}

void call_on_g0(void (*f)(void*), void* arg, guest whose) {
  m* mp = this_m();
  g* gp = mp ? mp->curg : nullptr;
  if (!gp) return f(arg);  // there already, or on a thread of its own
  visit v{mp, gp, f, arg};
  const visit_to_g0 there(mp, whose, gp);
  there_and_back(v);
}

bool in_goroutine() noexcept { return current_g() != nullptr; }

void wait_for_init() noexcept {
  // [mo:init] acquire, pairs with the release in run_init_tasks().
  while (init_is_done.load(std::memory_order_acquire) == 0) os::futex_wait(init_is_done, 0);
}

}  // namespace detail

}  // namespace weft
