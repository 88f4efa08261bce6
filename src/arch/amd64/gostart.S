// arch/amd64/gostart.S: the first frame of every goroutine, and its last. Entered by a jump, through the context that
// arch::forge made, with commit in rdx and the goroutine that was left in rcx. The function that it calls returns to
// weft_goexit, the forged return address of Go's goexit. Unwinders end here: there is no return address.

    .text
    .globl  weft_gostart
    .hidden weft_gostart
    .type   weft_gostart, @function
    .balign 16
weft_gostart:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    popq    %rbx
    popq    %rbp                        // 0: the end for those who follow frame pointers
    movq    %rdx, %rdi
    movq    %rcx, %rsi
    call    weft_goroutine_main         // (commit, from): lands, runs the closure; returns the goroutine
    .globl  weft_goexit
    .hidden weft_goexit
weft_goexit:
    movq    %rax, %rbx
    movq    %rax, %rdi
    call    weft_goexit1                // (g): rax = the stack pointer to go on with, rdx = the commit that frees g
    movq    %rbx, %rcx
    movq    %rax, %rsp
    popq    %rax
    jmpq    *%rax                       // a jump: calls and returns of this stack are balanced
    .cfi_endproc
    .size   weft_gostart, . - weft_gostart

#include "arch/amd64/notes.inc"
