// arch/unwind.hpp: frames of a context that does not run. The unwinder of exceptions (libgcc's, which every program in C++
// has, and which needs neither locks nor memory) can begin only where it is called; weft_unwind_from is such a place, with a frame that
// names any context as its caller. So a parked goroutine needs no other library, and costs no register at its switch.
#pragma once

#include <cstdint>
#include <cstring>

#include <unwind.h>

namespace weft::arch {

/// The registers that a switch keeps (detail/gogo.hpp), as unwind.S reads them.
struct unwind_start {
  std::uintptr_t pc;  // a return address: the frame is that of the instruction before
  std::uintptr_t sp;
  std::uintptr_t frame;  // rbp; x29
  std::uintptr_t base;   // rbx; x19
};

extern "C" _Unwind_Reason_Code weft_unwind_from(const unwind_start* at, _Unwind_Trace_Fn f, void* arg);

/// Where a parked context would go on, with its registers as they were before the switch began to save them.
inline unwind_start parked_at(const void* saved_sp) noexcept {
  const auto* w = static_cast<const std::uintptr_t*>(saved_sp);
  const auto sp = reinterpret_cast<std::uintptr_t>(saved_sp);
#if defined(__x86_64__)
  // endbr64, pop rbx, pop rbp; in code with a red zone lea 128(%rsp), %rsp comes after.
  static constexpr unsigned char over_red_zone[] = {0x5b, 0x5d, 0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0};
  const bool red_zone = std::memcmp(reinterpret_cast<const unsigned char*>(w[0]) + 4, over_red_zone, sizeof over_red_zone) == 0;
  return {w[0], sp + 24 + (red_zone ? 128 : 0), w[2], w[1]};
#else
  return {w[0], sp + 32, w[1], w[2]};
#endif
}

}  // namespace weft::arch
