// mem/stack.hpp: the stacks of goroutines (design D2): reserved address space of which the kernel commits what is touched.
// Stacks of one size lie side by side in large regions, each with a guard at its low end. A goroutine keeps its stack
// while it is cached; what is idle for long is given back to the kernel, page by page, the address space stays.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

struct stack_memory {
  char* low = nullptr;      // the first usable byte, above the guard
  char* high = nullptr;     // one past the last
  std::uint8_t size_class = 0;  // log2 of the reservation, guard included
  std::uint8_t colour = 0;  // cache lines that the top is moved down by, so that tops do not fight for one L1 set

  [[nodiscard]] char* top() const noexcept { return high - colour * 64; }
  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(high - low); }
};

inline constexpr std::size_t default_stack_bytes = 256 * 1024;
inline constexpr std::size_t min_stack_bytes = 64 * 1024;
inline constexpr std::size_t max_stack_bytes = std::size_t{1} << 36;

/// A stack of at least `bytes` (rounded up to a power of two). False when there is no address space or too many mappings.
[[nodiscard]] bool stack_allocate(std::size_t bytes, stack_memory& out) noexcept;
/// Gives a stack to its size's list, its pages kept.
void stack_free(const stack_memory& s) noexcept;
/// The size class that `bytes` falls into.
std::uint8_t stack_class(std::size_t bytes) noexcept;
/// Gives back the pages of these stacks, in few system calls where they are neighbours. Reorders the array.
void stack_release_pages(stack_memory* stacks, std::size_t count) noexcept;
/// The size of the guard under it.
std::size_t stack_guard_bytes(const stack_memory& s) noexcept;
/// How many there are, in use or cached.
std::uint64_t stacks_mapped() noexcept;
/// Whether `address` lies in some goroutine's stack or its guard.
bool is_stack_address(const void* address) noexcept;

}  // namespace weft
