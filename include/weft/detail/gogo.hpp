// detail/gogo.hpp: the only way from one stack to another.
// A context that is off its processor is one pointer: its stack pointer, under which lie the address to go on at, a
// base pointer and the frame pointer. Everything else that a function may hope to keep is saved by the compiler, which is told that the switch
// clobbers it; so a switch costs what its place has live, and no more. Inline, and left by a jump: calls and returns stay
// balanced, and each place that switches has an indirect jump of its own for the processor to predict (design D1).
//
// gogo(save, load, commit, from): saves this context to *save and goes on in `load`. There, `commit` and `from` arrive: the
// one landing then does for `from` what could not be done while its stack was in use. A context is saved and resumed by the
// library and by code that users compile: its form is part of the ABI.
#pragma once

#include <cstdint>

namespace weft {

struct g;  // src/goroutine/g.hpp

namespace detail {

/// Runs on the stack that is arrived at, for the goroutine that was left: a leaf, under 512 bytes of stack, no user code.
/// False calls the park off: the goroutine goes on.
using commit_fn = bool (*)(g* from) noexcept;

#if defined(__x86_64__)

// rbp and rbx are saved by hand: the one may be the frame pointer, the other a base pointer that a compiler believes in through
// any clobber (clang, with alloca and over-aligned locals).
// A leaf function may use 128 bytes under its stack pointer; weft's own code is compiled without (-mno-red-zone).
#if defined(WEFT_NO_RED_ZONE)
#define WEFT_SKIP_RED_ZONE
#define WEFT_RESUME_RED_ZONE
#else
#define WEFT_SKIP_RED_ZONE "leaq -128(%%rsp), %%rsp\n\t"
#define WEFT_RESUME_RED_ZONE "\n\tleaq 128(%%rsp), %%rsp"
#endif

[[gnu::always_inline]] inline void gogo(void** save, void* load, commit_fn& commit, g*& from) noexcept {
  asm volatile(
      WEFT_SKIP_RED_ZONE
      "pushq %%rbp\n\t"
      "pushq %%rbx\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "movq %%rsp, (%[save])\n\t"
      "movq %[load], %%rsp\n\t"
      "popq %%rax\n\t"
      "jmpq *%%rax\n\t"
      ".balign 8\n"
      "1:\n\t"
      "endbr64\n\t"
      "popq %%rbx\n\t"
      "popq %%rbp"
      WEFT_RESUME_RED_ZONE
      : [save] "+D"(save), [load] "+S"(load), [commit] "+d"(commit), [from] "+c"(from)
      :
      : "rax", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc",
        "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31",
        "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#endif
        "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
}

#undef WEFT_SKIP_RED_ZONE
#undef WEFT_RESUME_RED_ZONE

#elif defined(__aarch64__)

// x29 and x19 (a base pointer, sometimes) are saved by hand; all others are the compiler's to save where it needs them. (x18, which
// other platforms keep for themselves, is on Linux one of these.)
[[gnu::always_inline]] inline void gogo(void** save, void* load, commit_fn& commit, g*& from) noexcept {
  register void** save_r asm("x0") = save;
  register void* load_r asm("x1") = load;
  register commit_fn commit_r asm("x2") = commit;
  register g* from_r asm("x3") = from;
  asm volatile(
      "adr x9, 1f\n\t"
      "stp x9, x29, [sp, #-32]!\n\t"
      "str x19, [sp, #16]\n\t"
      "mov x9, sp\n\t"
      "str x9, [x0]\n\t"
      "mov sp, x1\n\t"
      "ldr x19, [sp, #16]\n\t"
      "ldp x16, x29, [sp], #32\n\t"
      "br x16\n"
      "1:\n\t"
      "hint #36"  // bti j
      : "+r"(save_r), "+r"(load_r), "+r"(commit_r), "+r"(from_r)
      :
      : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x20", "x21", "x22", "x23", "x24",
        "x25", "x26", "x27", "x28", "x30", "memory", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
        "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"
#if defined(__ARM_FEATURE_SVE)
        , "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15", "ffr"
#endif
  );
  commit = commit_r;
  from = from_r;
}

#else
#error "weft: x86-64 and AArch64 only"
#endif

}  // namespace detail
}  // namespace weft
