// lock/thread_state.hpp: what the runtime keeps for each thread, and how to reach it.
// A compiler may remember the address of a thread_local over a switch of stacks, after which the goroutine may be on another
// thread (hazards: the same trap as errno's). So the address is computed by a volatile asm, anew at each call: it is
// never merged with an earlier one, at any level of optimisation, link-time included.
#pragma once

#include <cstdint>

namespace weft {

struct m;
struct g;
struct thread_counts;

struct thread_state {
  m* mp;                // the M that this thread is, or null: a thread that weft did not make
  std::uint32_t locks;  // runtime locks held; a goroutine may not park with any ("schedule: holding locks")
  std::uint32_t ranks;  // which, with WEFT_SLOW_CHECKS
  std::uint32_t asked;  // sysmon asks the goroutine to give way at the end of what it does in weft; by __atomic_ builtins
  std::uint32_t wanted;  // somebody wants the P that is used here: for safe points (sched/safepoint.cpp) to look at; by __atomic_ builtins
  std::uint32_t suspensions;  // of coroutines, that no P has counted yet
  thread_counts* counts;  // sync/thread_counts.hpp; null until it is needed
};

inline constexpr int offset_of_wanted = 20;  // arch/amd64/safepoint.S
static_assert(__builtin_offsetof(thread_state, wanted) == offset_of_wanted);

extern "C" {
extern __thread thread_state weft_thread_state __attribute__((tls_model("initial-exec")));
}

[[gnu::always_inline]] inline thread_state* self() noexcept {
  thread_state* t;
#if defined(__x86_64__)
  asm volatile("movq %%fs:0, %0\n\taddq weft_thread_state@gottpoff(%%rip), %0" : "=r"(t) : : "cc");
#elif defined(__aarch64__)
  void* offset;
  asm volatile(
      "mrs %0, tpidr_el0\n\t"
      "adrp %1, :gottprel:weft_thread_state\n\t"
      "ldr %1, [%1, #:gottprel_lo12:weft_thread_state]\n\t"
      "add %0, %0, %1"
      : "=&r"(t), "=&r"(offset));
#else
#error "weft: x86-64 and AArch64 only"
#endif
  return t;
}

// The same for what is asked for most: on x86-64 without the address, which costs a load and an instruction.

/// self()->mp.
[[gnu::always_inline]] inline m* this_m() noexcept {
#if defined(__x86_64__)
  m* mp;
  asm volatile("movq weft_thread_state@gottpoff(%%rip), %0\n\tmovq %%fs:%c1(%0), %0" : "=&r"(mp) : "i"(__builtin_offsetof(thread_state, mp)));
  return mp;
#else
  return self()->mp;
#endif
}
[[gnu::always_inline]] inline void set_this_m(m* mp) noexcept {
  self()->mp = mp;
  asm volatile("" : : : "memory");  // for this_m(), which does not tell what it reads
}
/// self()->*Member += By, of the one at Offset.
template <auto Member, int Offset, int By>
[[gnu::always_inline]] inline void add_to_own() noexcept {
#if defined(__x86_64__)
  std::uintptr_t offset;
  asm volatile("movq weft_thread_state@gottpoff(%%rip), %0\n\taddl %1, %%fs:%c2(%0)"
               : "=&r"(offset) : "i"(By), "i"(Offset) : "cc", "memory");
#else
  self()->*Member += static_cast<std::uint32_t>(By);
#endif
}
template <int By>
[[gnu::always_inline]] inline void count_locks() noexcept {
  add_to_own<&thread_state::locks, __builtin_offsetof(thread_state, locks), By>();
}
[[gnu::always_inline]] inline void count_suspension() noexcept {
  add_to_own<&thread_state::suspensions, __builtin_offsetof(thread_state, suspensions), 1>();
}

}  // namespace weft
