// mem/stack.hpp: the stacks of goroutines (design D2): reserved address space of which the kernel commits what is touched.
// Stacks of one size lie side by side in large regions, each with a guard at its low end. A goroutine gets its stack when
// it first runs and leaves it when it ends, so the stack that was used last is used next, while it is warm. Free stacks
// beyond a number are given back to the kernel, page by page, when the program is idle; the address space stays.
// The lists name a stack by its high end, with bit 0 set when it has no guard: before Linux 6.13 there are not enough for all.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weft {

struct stack_memory {
  char* low = nullptr;          // the first usable byte, above the guard; null: no stack
  char* high = nullptr;         // one past the last
  std::uint8_t size_class = 0;  // log2 of the reservation, guard included
  bool guarded = true;          // else there is a canary below `low`

  /// Its name in the lists.
  [[nodiscard]] char* tagged() const noexcept { return high + (guarded ? 0 : 1); }
  /// Where the first frame goes: moved down by up to 31 cache lines, or the tops of all stacks would fight for the same sets
  /// of the first cache (measured: 9.2 against 3.8 ns a switch with 16 to 64 goroutines).
  [[nodiscard]] char* top() const noexcept { return high - (reinterpret_cast<std::uintptr_t>(high) >> size_class) * 11 % 32 * 64; }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(high - low); }
};

inline constexpr std::size_t default_stack_bytes = 256 * 1024;
inline constexpr std::size_t min_stack_bytes = 64 * 1024;
inline constexpr std::size_t max_stack_bytes = std::size_t{1} << 36;

/// The size class that `bytes` falls into.
constexpr std::uint8_t stack_class(std::size_t bytes) noexcept {
  return static_cast<std::uint8_t>(std::bit_width(std::clamp(bytes, min_stack_bytes, max_stack_bytes) - 1));
}
/// A stack of a class, given its name.
stack_memory stack_at(char* tagged, std::uint8_t size_class) noexcept;
/// Names of up to n stacks, the warmest last; fewer only when there is no address space or too many mappings for more.
[[nodiscard]] std::uint32_t stacks_take(std::uint8_t size_class, char** highs, std::uint32_t n) noexcept;
/// Gives stacks back, their pages kept for now.
void stacks_give(std::uint8_t size_class, char* const* highs, std::uint32_t n) noexcept;
/// Gives back the pages of free stacks beyond the `keep` warmest of each class: a bounded number. Whether there are more.
bool stacks_trim(std::uint32_t keep) noexcept;
/// For a thread that has time, one only: makes up to `most` stacks ready, with their first pages, if more and more have been taken since
/// the last call and few are left: so that who starts goroutines need not wait for the kernel. How many it made.
std::uint32_t stacks_prepare(std::uint8_t size_class, std::uint32_t most) noexcept;
/// From here on guards are made by mprotect(), this many: as before Linux 6.13. Before the first stack is taken.
void stacks_use_mappings(std::size_t most) noexcept;
/// On a stack without a guard: writes its canary; and whether it is still there and `sp` above it. An overflow that has gone by is
/// noticed by the next look, if it wrote there.
void place_canary(const stack_memory& s) noexcept;
bool canary_lives(const stack_memory& s, const void* sp) noexcept;
/// How many free stacks have their pages, and a number that changes when stacks are taken or given: who sees it stand still
/// for a while may trim.
std::size_t stacks_warm() noexcept;
std::uint64_t stacks_activity() noexcept;
/// The size of the guard under it.
std::size_t stack_guard_bytes(const stack_memory& s) noexcept;
/// How many there are, in use or cached.
std::uint64_t stacks_mapped() noexcept;
/// Whether `address` lies in some goroutine's stack or its guard.
bool is_stack_address(const void* address) noexcept;

}  // namespace weft
