// arch/arm64/forge.hpp: a goroutine's first context, and floating-point control words, on AArch64.
#pragma once

#include <cstdint>

namespace weft {

namespace arch {

extern "C" void weft_gostart();  // gostart.S

/// Forges the context of a goroutine that has not run: entered at weft_gostart with an empty frame under `top`.
inline void* forge(void* top) noexcept {
  auto* sp = reinterpret_cast<std::uintptr_t*>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15});
  *--sp = 0;
  *--sp = 0;  // x19
  *--sp = 0;  // x29
  *--sp = reinterpret_cast<std::uintptr_t>(&weft_gostart);
  return sp;
}

/// The floating-point control register, for goroutines that ask to take theirs along.
struct fp_environment {
  std::uint64_t fpcr;
};
inline fp_environment save_fp() noexcept {
  fp_environment e;
  asm volatile("mrs %0, fpcr" : "=r"(e.fpcr));
  return e;
}
inline void load_fp(const fp_environment& e) noexcept { asm volatile("msr fpcr, %0" : : "r"(e.fpcr)); }

}  // namespace arch
}  // namespace weft
