// arch/amd64/gogo.hpp: the switch for x86-64. See arch/gogo.hpp.
#pragma once

#include <cstdint>

namespace weft {

struct g;
/// Runs on the stack that is arrived at, for the goroutine that was left: a leaf, under 512 bytes of stack, no user code.
/// False calls the park off: the goroutine goes on.
using commit_fn = bool (*)(g* from) noexcept;

namespace arch {

// Compile with -mno-red-zone: the pushes would write over the red zone of a leaf function.
[[gnu::always_inline]] inline void gogo(void** save, void* load, commit_fn& commit, g*& from) noexcept {
  asm volatile(
      "pushq %%rbp\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "movq %%rsp, (%[save])\n\t"
      "movq %[load], %%rsp\n\t"
      "popq %%rax\n\t"
      "jmpq *%%rax\n\t"
      ".balign 8\n"
      "1:\n\t"
      "endbr64\n\t"
      "popq %%rbp"
      : [save] "+D"(save), [load] "+S"(load), [commit] "+d"(commit), [from] "+c"(from)
      :
      : "rax", "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc",
        "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31",
        "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#endif
        "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
}

extern "C" void weft_gostart();  // gostart.S

/// Forges the context of a goroutine that has not run: entered at weft_gostart with an empty frame under `top`.
inline void* forge(void* top) noexcept {
  auto* sp = reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15});
  *--sp = 0;  // where a return address would be: unwinders that follow frame pointers stop here
  *--sp = 0;
  *--sp = 0;  // the frame pointer
  *--sp = reinterpret_cast<std::uintptr_t>(&weft_gostart);
  return sp;
}

/// The floating-point control words, for goroutines that ask to take theirs along.
struct fp_environment {
  std::uint32_t mxcsr;
  std::uint16_t x87;
};
inline fp_environment save_fp() noexcept {
  fp_environment e;
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(e.mxcsr), "=m"(e.x87));
  return e;
}
inline void load_fp(const fp_environment& e) noexcept { asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(e.mxcsr), "m"(e.x87)); }

}  // namespace arch
}  // namespace weft
