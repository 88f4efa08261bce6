// os/memory.hpp: address space from the kernel. Failures come back as null or false with errno set.
#pragma once

#include <cstddef>

namespace weft::os {

/// Fresh zeroed address space, a multiple of the page size, aligned to `align` (a power of two); committed by touching.
void* reserve(std::size_t size, std::size_t align) noexcept;
void unmap(void* at, std::size_t size) noexcept;
/// Makes the pages of a range real, as touching them would. False: they become so when they are touched.
bool commit(void* at, std::size_t size) noexcept;
/// The same for n ranges, in one system call where the kernel has one for that (Linux 6.15). At most `ranges_at_once`: few, for the caller
/// may be on a goroutine's stack.
inline constexpr std::size_t ranges_at_once = 16;
void commit_each(void* const* at, std::size_t n, std::size_t size) noexcept;
/// Gives the pages of a range back; they read as zero afterwards. Guards in it stay.
bool release_pages(void* at, std::size_t size) noexcept;

enum class guard_kind { pages, mapping, none };
/// Finds out once, by a real fault, whether the kernel has guard pages that split no mapping (Linux 6.13).
guard_kind probe_guards() noexcept;
/// Makes [at, at + size) fault. With guard_kind::pages it costs no mapping; else two of vm.max_map_count.
bool guard(void* at, std::size_t size, guard_kind kind) noexcept;
/// The same for up to `ranges_at_once` ranges, with guard_kind::pages in one system call where the kernel has one. How many it did, from the
/// first.
[[nodiscard]] std::size_t guard_each(void* const* at, std::size_t n, std::size_t size, guard_kind kind) noexcept;
/// vm.max_map_count, or its default when it cannot be read.
std::size_t max_map_count() noexcept;

std::size_t page_size() noexcept;

}  // namespace weft::os
