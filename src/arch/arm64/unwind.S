// arch/arm64/unwind.S: weft_unwind_from(const unwind_start* at, _Unwind_Trace_Fn f, void* arg): _Unwind_Backtrace, begun in
// another context than the caller's. Its own frame says that its caller is whoever `at` describes: to the unwinder, which
// goes by what a frame says of itself, that context has called us.

    .text
    .globl  weft_unwind_from
    .hidden weft_unwind_from
    .type   weft_unwind_from, %function
    .balign 16
weft_unwind_from:
    .cfi_startproc
    hint    #34                         // bti c
    stp     x29, x30, [sp, #-32]!
    str     x19, [sp, #16]
    .cfi_def_cfa_offset 32
    .cfi_offset x29, -32
    .cfi_offset x30, -24
    .cfi_offset x19, -16
    mov     x19, x0
    mov     x0, x1
    mov     x1, x2
    .cfi_remember_state
    .cfi_escape 0x0f, 3, 0x83, 8, 0x06  // the caller's stack pointer: *(x19 + 8)
    .cfi_escape 0x10, 30, 2, 0x83, 0    // its address is saved at x19,
    .cfi_escape 0x10, 29, 2, 0x83, 16   // x29 at x19 + 16,
    .cfi_escape 0x10, 19, 2, 0x83, 24   // x19 at x19 + 24
    bl      _Unwind_Backtrace
    .cfi_restore_state
    ldr     x19, [sp, #16]
    ldp     x29, x30, [sp], #32
    .cfi_def_cfa_offset 0
    .cfi_restore x19
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size   weft_unwind_from, . - weft_unwind_from

#include "arch/arm64/notes.inc"
