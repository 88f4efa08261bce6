// os/symbols.hpp: which function, file and line an address belongs to.
// By libbacktrace, which comes with g++, reads DWARF and takes its memory from mmap: it may be used where malloc may not. Built without
// it (WEFT_SYMBOLS=OFF), or for objects without debug information, the dynamic symbol table says what it knows.
#pragma once

#include <cstdint>

namespace weft::os {

struct symbol {
  const char* function = nullptr;  // mangled, if it is C++'s; null: not known
  const char* file = nullptr;      // of the source; else of the program or library, with line 0
  int line = 0;
  std::uintptr_t offset = 0;  // from the function's first instruction; line 0 and no function: from where the file was loaded
  bool inlined = false;       // into the next one
};

/// Calls f for the function of the instruction at pc; first for those inlined there, innermost first. The texts stay. Any thread, signal
/// handlers too.
void symbolize(std::uintptr_t pc, void (*f)(const symbol& s, void* arg), void* arg) noexcept;

}  // namespace weft::os
