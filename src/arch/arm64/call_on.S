// arch/arm64/call_on.S: void weft_call_on(void* stack, void (*f)(void*), void* arg): calls f(arg) on another stack, downwards from
// `stack`. The frame pointer keeps the way back, for us and for unwinders.

    .text
    .globl  weft_call_on
    .hidden weft_call_on
    .type   weft_call_on, %function
    .balign 16
weft_call_on:
    .cfi_startproc
    hint    #34                         // bti c
    stp     x29, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_offset x29, -16
    .cfi_offset x30, -8
    mov     x29, sp
    .cfi_def_cfa_register x29
    and     x9, x0, #-16
    mov     sp, x9
    mov     x0, x2
    blr     x1
    mov     sp, x29
    .cfi_def_cfa_register sp
    ldp     x29, x30, [sp], #16
    .cfi_def_cfa_offset 0
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size   weft_call_on, . - weft_call_on

#include "arch/arm64/notes.inc"
