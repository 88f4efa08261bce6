// arch/amd64/call_on.S: void weft_call_on(void* stack, void (*f)(void*), void* arg): calls f(arg) on another stack, downwards from
// `stack`. The frame pointer keeps the way back, for us and for unwinders.

    .text
    .globl  weft_call_on
    .hidden weft_call_on
    .type   weft_call_on, @function
    .balign 16
weft_call_on:
    .cfi_startproc
    endbr64
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    movq    %rsp, %rbp
    .cfi_def_cfa_register rbp
    movq    %rdi, %rsp
    andq    $-16, %rsp
    movq    %rdx, %rdi
    call    *%rsi
    movq    %rbp, %rsp
    popq    %rbp
    .cfi_def_cfa rsp, 8
    ret
    .cfi_endproc
    .size   weft_call_on, . - weft_call_on

#include "arch/amd64/notes.inc"
