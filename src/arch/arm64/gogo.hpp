// arch/arm64/gogo.hpp: the switch for AArch64. See arch/gogo.hpp.
#pragma once

#include <cstdint>

namespace weft {

struct g;
/// Runs on the stack that is arrived at, for the goroutine that was left: a leaf, under 512 bytes of stack, no user code.
/// False calls the park off: the goroutine goes on.
using commit_fn = bool (*)(g* from) noexcept;

namespace arch {

// x29 cannot be named as clobbered, x18 belongs to the platform; all others are the compiler's to save where it needs them.
[[gnu::always_inline]] inline void gogo(void** save, void* load, commit_fn& commit, g*& from) noexcept {
  register void** save_r asm("x0") = save;
  register void* load_r asm("x1") = load;
  register commit_fn commit_r asm("x2") = commit;
  register g* from_r asm("x3") = from;
  asm volatile(
      "adr x9, 1f\n\t"
      "stp x9, x29, [sp, #-16]!\n\t"
      "mov x9, sp\n\t"
      "str x9, [x0]\n\t"
      "mov sp, x1\n\t"
      "ldp x16, x29, [sp], #16\n\t"
      "br x16\n"
      "1:\n\t"
      "hint #36"  // bti j
      : "+r"(save_r), "+r"(load_r), "+r"(commit_r), "+r"(from_r)
      :
      : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24",
        "x25", "x26", "x27", "x28", "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
        "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  commit = commit_r;
  from = from_r;
}

extern "C" void weft_gostart();  // gostart.S

/// Forges the context of a goroutine that has not run: entered at weft_gostart with an empty frame under `top`.
inline void* forge(void* top) noexcept {
  auto* sp = reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15});
  *--sp = 0;
  *--sp = 0;
  *--sp = 0;  // the frame pointer
  *--sp = reinterpret_cast<std::uintptr_t>(&weft_gostart);
  return sp;
}

/// The floating-point control register, for goroutines that ask to take theirs along.
struct fp_environment {
  std::uint64_t fpcr;
};
inline fp_environment save_fp() noexcept {
  fp_environment e;
  asm volatile("mrs %0, fpcr" : "=r"(e.fpcr));
  return e;
}
inline void load_fp(const fp_environment& e) noexcept { asm volatile("msr fpcr, %0" : : "r"(e.fpcr)); }

}  // namespace arch
}  // namespace weft
