// arch/amd64/unwind.S: weft_unwind_from(const unwind_start* at, _Unwind_Trace_Fn f, void* arg): _Unwind_Backtrace, begun in
// another context than the caller's. Its own frame says that its caller is whoever `at` describes: to the unwinder, which
// goes by what a frame says of itself, that context has called us.

    .text
    .globl  weft_unwind_from
    .hidden weft_unwind_from
    .type   weft_unwind_from, @function
    .balign 16
weft_unwind_from:
    .cfi_startproc
    endbr64
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_offset rbx, -16
    movq    %rdi, %rbx
    movq    %rsi, %rdi
    movq    %rdx, %rsi
    .cfi_remember_state
    .cfi_escape 0x0f, 3, 0x73, 8, 0x06  // the caller's stack pointer: *(rbx + 8)
    .cfi_escape 0x10, 16, 2, 0x73, 0    // rip is saved at rbx,
    .cfi_escape 0x10, 6, 2, 0x73, 16    // rbp at rbx + 16,
    .cfi_escape 0x10, 3, 2, 0x73, 24    // rbx at rbx + 24
    call    _Unwind_Backtrace@PLT
    .cfi_restore_state
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    ret
    .cfi_endproc
    .size   weft_unwind_from, . - weft_unwind_from

#include "arch/amd64/notes.inc"
