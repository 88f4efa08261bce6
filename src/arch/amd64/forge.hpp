// arch/amd64/forge.hpp: a goroutine's first context, and floating-point control words, on x86-64.
#pragma once

#include <cstdint>

namespace weft {

namespace arch {

extern "C" void weft_gostart();  // gostart.S

/// Forges the context of a goroutine that has not run: entered at weft_gostart with an empty frame under `top`.
inline void* forge(void* top) noexcept {
  auto* sp = reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15});
  *--sp = 0;  // where a return address would be: unwinders that follow frame pointers stop here
  *--sp = 0;
  *--sp = 0;  // rbp
  *--sp = 0;  // rbx
  *--sp = reinterpret_cast<std::uintptr_t>(&weft_gostart);
  return sp;
}

/// The floating-point control words, for goroutines that ask to take theirs along.
struct fp_environment {
  std::uint32_t mxcsr;
  std::uint16_t x87;
};
inline fp_environment save_fp() noexcept {
  fp_environment e;
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(e.mxcsr), "=m"(e.x87));
  return e;
}
inline void load_fp(const fp_environment& e) noexcept { asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(e.mxcsr), "m"(e.x87)); }

}  // namespace arch
}  // namespace weft
