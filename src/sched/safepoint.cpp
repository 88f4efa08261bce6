// sched/safepoint.cpp: what the compiler has put into the code of a target of weft_safepoints() (cmake/weft_safepoints.cmake), design D3.
// A call stands on each way through a function with clang, on a loop's way back too, after vectorising; with g++ at each function's entry.
// Nearly always it looks at one word of its thread and returns. The word is raised when somebody wants this thread's P: sysmon after
// a slice, or who stops the world. Then there are two kinds of points:
//   displaces  gives the P up and runs on without one, as sysmon has it done by force where there is membarrier (retake.cpp). That is
//              right wherever sysmon may do so: outside the runtime. The code may hold a std::mutex, be in an allocator or a signal handler.
//   yields     lets others run. Only for code whose author says so: it must not hold a lock of its thread's, nor keep its address.
//
// A point may be reached from anywhere: by plain threads, before and after run(), in static initialisers and destructors: the word is 0
// there. Inside weft's own operations, whose inline parts are compiled with the target, in_rt is set; in a signal handler that has
// interrupted one, that or a lock is. Those let it pass and leave the word as it is, for the next point that may act.
#include "sched/park.hpp"
#include "sched/retake.hpp"

#include <weft/detail/config.hpp>

namespace weft {

namespace {

/// Whether the caller is in the user's own code, and there are other threads.
bool may_act(const thread_state* t, const m* mp) noexcept {
  return mp && t->locks == 0 && !mp->in_rt.load(std::memory_order_relaxed) && (mp->calls.load(std::memory_order_relaxed) & 1) == 0 &&
         !forked_child.load(std::memory_order_relaxed);
}

[[gnu::cold, gnu::noinline]] void displace() noexcept {
  thread_state* t = self();
  m* mp = t->mp;
  if (!may_act(t, mp)) return;
  const int error = *mp->err;
  __atomic_store_n(&t->wanted, 0u, __ATOMIC_RELAXED);
  give_up_wanted_p(mp);
  *mp->err = error;
}

[[gnu::cold, gnu::noinline]] void yield() noexcept {
  thread_state* t = self();
  m* mp = t->mp;
  if (!may_act(t, mp)) return;
  const g* gp = mp->curg;
  const auto* here = static_cast<const char*>(__builtin_frame_address(0));
  if (!gp || here < gp->stack.low || here >= gp->stack.high) return;  // in call_c(), or on a signal's stack
  __atomic_store_n(&t->wanted, 0u, __ATOMIC_RELAXED);
  // As in poll(). But who has stopped the world goes on.
  if (const p* pp = mp->pp; pp && (pp->status.load(std::memory_order_relaxed) != p::state::running ||
                                   (pp->attention.load(std::memory_order_relaxed) & (attention_preempt | attention_stop)) == 0)) {
    return;
  }
  const int error = *mp->err;
  give_way();  // begins no unwind: where the point stands, there may be no way out for an exception
  *this_m()->err = error;
}

[[gnu::always_inline]] inline bool is_wanted() noexcept { return __builtin_expect(__atomic_load_n(&self()->wanted, __ATOMIC_RELAXED) != 0, 0); }

}  // namespace

extern "C" {

// For the linker, which is told to want it: a file of an archive is taken for what is undefined, and with a sanitizer nothing else is.
WEFT_API extern const char weft_has_safe_points;
const char weft_has_safe_points = 1;

// clang, -fsanitize-coverage=trace-pc and =trace-pc-guard: ordinary calls. Strong, or those of the sanitizers' runtime would come first.
WEFT_API void __sanitizer_cov_trace_pc();
WEFT_API void __sanitizer_cov_trace_pc_guard(std::uint32_t* guard);
WEFT_API void __sanitizer_cov_trace_pc_guard_init(std::uint32_t* begin, std::uint32_t* end);
void __sanitizer_cov_trace_pc() {
  if (is_wanted()) displace();
}
void __sanitizer_cov_trace_pc_guard(std::uint32_t*) {
  if (is_wanted()) yield();
}
void __sanitizer_cov_trace_pc_guard_init(std::uint32_t*, std::uint32_t*) {}

#if defined(__x86_64__)
// g++: the halves that are seldom needed of weft_safe_point_displaces and weft_safe_point_yields (arch/amd64/safepoint.S).
[[gnu::visibility("hidden"), gnu::used]] void weft_displace_here() { displace(); }
[[gnu::visibility("hidden"), gnu::used]] void weft_yield_here() { yield(); }
#else
// g++, -finstrument-functions.
WEFT_API void __cyg_profile_func_enter(void* function, void* caller);
WEFT_API void __cyg_profile_func_exit(void* function, void* caller);
void __cyg_profile_func_enter(void*, void*) {
  if (is_wanted()) displace();
}
void __cyg_profile_func_exit(void*, void*) {}
#endif

}  // extern "C"

}  // namespace weft
