// arch/amd64/safepoint.S: weft_safe_point_displaces, weft_safe_point_yields: g++'s safe points (sched/safepoint.cpp). With -mfentry they
// are called before a function's first instruction: whatever may hold an argument must be as it was, the vector registers
// too. Only r11 is free.

#define WANTED 20                           // thread_state::wanted, lock/thread_state.hpp
#define HEADER 512                          // of what xsave stores, behind the registers that fxsave knows
#define ARGUMENT_STATE 0xe7                 // x87, SSE, AVX, AVX-512

    .macro SAFE_POINT name, slow
    .globl  \name
    .type   \name, @function
    .balign 16
\name:
    .cfi_startproc
    endbr64
    movq    weft_thread_state@gottpoff(%rip), %r11
    cmpl    $0, %fs:WANTED(%r11)
    jne     1f
    ret
1:  leaq    \slow(%rip), %r11
    jmp     weft_at_safe_point
    .cfi_endproc
    .size   \name, . - \name
    .endm

    .text
    SAFE_POINT weft_safe_point_displaces, weft_displace_here
    SAFE_POINT weft_safe_point_yields, weft_yield_here

// Calls r11 and keeps all else.
    .type   weft_at_safe_point, @function
    .balign 16
weft_at_safe_point:
    .cfi_startproc
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    movq    %rsp, %rbp
    .cfi_def_cfa_register rbp
    pushq   %rax
    pushq   %rcx
    pushq   %rdx
    pushq   %rsi
    pushq   %rdi
    pushq   %r8
    pushq   %r9
    pushq   %r10
    movl    state_bytes(%rip), %r8d
    testl   %r8d, %r8d
    jnz     1f
    call    measure                         // r8d; once, or a few times at the same time
    movl    %r8d, state_bytes(%rip)
1:  subq    %r8, %rsp
    andq    $-64, %rsp
    cmpl    $HEADER, %r8d
    je      2f
    movq    $0, HEADER(%rsp)                // what xsave leaves of the header, xrstor wants to be 0
    movq    $0, HEADER+8(%rsp)
    movq    $0, HEADER+16(%rsp)
    movq    $0, HEADER+24(%rsp)
    movq    $0, HEADER+32(%rsp)
    movq    $0, HEADER+40(%rsp)
    movq    $0, HEADER+48(%rsp)
    movq    $0, HEADER+56(%rsp)
    movl    $ARGUMENT_STATE, %eax
    xorl    %edx, %edx
    xsave64 (%rsp)
    call    *%r11
    movl    $ARGUMENT_STATE, %eax
    xorl    %edx, %edx
    xrstor64 (%rsp)
    jmp     3f
2:  fxsave64 (%rsp)
    call    *%r11
    fxrstor64 (%rsp)
3:  movq    -8(%rbp), %rax
    movq    -16(%rbp), %rcx
    movq    -24(%rbp), %rdx
    movq    -32(%rbp), %rsi
    movq    -40(%rbp), %rdi
    movq    -48(%rbp), %r8
    movq    -56(%rbp), %r9
    movq    -64(%rbp), %r10
    movq    %rbp, %rsp
    popq    %rbp
    .cfi_def_cfa rsp, 8
    ret
    .cfi_endproc
    .size   weft_at_safe_point, . - weft_at_safe_point

// r8d: how much the state of ARGUMENT_STATE takes on this processor; HEADER where the system does not offer xsave. Keeps r11.
    .type   measure, @function
    .balign 16
measure:
    .cfi_startproc
    pushq   %rbx
    .cfi_def_cfa_offset 16
    .cfi_offset rbx, -16
    movl    $HEADER, %r8d
    movl    $1, %eax
    cpuid
    btl     $27, %ecx                       // OSXSAVE
    jnc     2f
    movl    $HEADER+64, %r8d
    movl    $2, %r9d                        // the parts behind the header, of those that are enabled
1:  xorl    %ecx, %ecx
    xgetbv
    andl    $ARGUMENT_STATE, %eax
    btl     %r9d, %eax
    jnc     3f
    movl    $13, %eax
    movl    %r9d, %ecx
    cpuid                                   // eax: its size, ebx: its offset
    addl    %ebx, %eax
    cmpl    %r8d, %eax
    cmoval  %eax, %r8d
3:  incl    %r9d
    cmpl    $8, %r9d
    jb      1b
2:  popq    %rbx
    .cfi_def_cfa_offset 8
    .cfi_restore rbx
    ret
    .cfi_endproc
    .size   measure, . - measure

    .local  state_bytes
    .comm   state_bytes, 4, 4

#include "arch/amd64/notes.inc"
