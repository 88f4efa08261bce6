// arch/gogo.hpp: the only way from one stack to another.
// A context that is off its processor is one pointer: its stack pointer, under which lie the address to go on at and the
// frame pointer. Everything else that a function may hope to keep is saved by the compiler, which is told that the switch
// clobbers it; so a switch costs what its place has live, and no more (bench/micro, design D1: 1.1 ns against 3.0 for a
// routine that saves all, 8.5 for one that ends in ret). Inline and left by a jump: calls and returns stay balanced.
//
// gogo(save, load, commit, from): saves this context to *save and goes on in `load`. There, `commit` and `from` arrive: the
// one landing (sched/landing.hpp) then does for `from` what could not be done while its stack was in use.
#pragma once

#if defined(__x86_64__)
#include "arch/amd64/gogo.hpp"
#elif defined(__aarch64__)
#include "arch/arm64/gogo.hpp"
#else
#error "weft: x86-64 and AArch64 only"
#endif
