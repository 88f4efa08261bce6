// arch/arm64/gostart.S: the first frame of every goroutine, and its last. Entered by a jump, through the context that
// arch::forge made, with commit in x2 and the goroutine that was left in x3. The function that it calls returns to
// weft_goexit, the forged return address of Go's goexit. Unwinders end here: there is no return address.

    .text
    .globl  weft_gostart
    .hidden weft_gostart
    .type   weft_gostart, %function
    .balign 16
weft_gostart:
    .cfi_startproc
    .cfi_undefined x30
    hint    #36                         // bti j
    mov     x30, xzr
    mov     x0, x2
    mov     x1, x3
    bl      weft_goroutine_main         // (commit, from): lands, runs the closure; returns the goroutine
    .globl  weft_goexit
    .hidden weft_goexit
weft_goexit:
    mov     x19, x0
    bl      weft_goexit1                // (g): x0 = the stack pointer to go on with, x1 = the commit that frees g
    mov     x2, x1
    mov     x3, x19
    mov     sp, x0
    ldr     x19, [sp, #16]
    ldp     x16, x29, [sp], #32
    br      x16                         // a jump: calls and returns of this stack are balanced
    .cfi_endproc
    .size   weft_gostart, . - weft_gostart

#include "arch/arm64/notes.inc"
