// mem/stack.cpp: see stack.hpp.
#include "mem/stack.hpp"

#include <algorithm>
#include <bit>

#include "base/throw.hpp"
#include "lock/lock.hpp"
#include "os/memory.hpp"

namespace weft {

namespace {

constexpr std::size_t region_bytes = std::size_t{64} << 20;  // 256 stacks of the default size to a mapping
constexpr int first_class = 16, last_class = 37;
constexpr unsigned colours = 32;

struct free_stack {  // a free stack's own top holds the link
  free_stack* next;
  std::uint8_t colour;
};

struct size_class {
  free_stack* free = nullptr;
  char* fresh = nullptr;      // the rest of the region that is being cut up
  char* fresh_end = nullptr;
};

ranked_lock<rank::memory> pool_lock;
size_class classes[last_class + 1];   // guarded by pool_lock
os::guard_kind guards;                // guarded by pool_lock
bool guards_known = false;            // guarded by pool_lock
std::size_t mapping_guards_left = 0;  // guarded by pool_lock: how many more mprotect guards vm.max_map_count bears
unsigned next_colour = 0;             // guarded by pool_lock
atomic<std::uint64_t> mapped{0};
atomic<std::uintptr_t> lowest{~std::uintptr_t{0}}, highest{0};  // the range in which all regions lie

std::size_t guard_bytes(int cls) noexcept { return cls <= 17 ? 16 * 1024 : cls == 18 ? 32 * 1024 : 64 * 1024; }

void learn_guards() noexcept {
  guards_known = true;
  guards = os::probe_guards();
  if (guards == os::guard_kind::mapping) mapping_guards_left = os::max_map_count() / 4;  // each costs two: half of the limit
}

/// Before Linux 6.13 guards run out; what then protects is only -fstack-clash-protection's probing into a neighbour: say it.
bool place_guard(char* at, int cls) noexcept {
  if (guards == os::guard_kind::mapping) {
    if (mapping_guards_left == 0) return true;
    if (--mapping_guards_left == 0)
      error_text() << "weft: no more stack guards: half of vm.max_map_count is used; raise it (sysctl vm.max_map_count) or use Linux 6.13\n";
  }
  return os::guard(at, guard_bytes(cls), guards);
}

void note_range(std::uintptr_t from, std::uintptr_t to) noexcept {
  if (from < lowest.load(std::memory_order_relaxed)) lowest.store(from, std::memory_order_relaxed);
  if (to > highest.load(std::memory_order_relaxed)) highest.store(to, std::memory_order_relaxed);
}

}  // namespace

std::uint8_t stack_class(std::size_t bytes) noexcept {
  return static_cast<std::uint8_t>(std::clamp<int>(std::bit_width(bytes - 1), first_class, last_class));
}

bool stack_allocate(std::size_t bytes, stack_memory& out) noexcept {
  const int cls = stack_class(bytes);
  const std::size_t size = std::size_t{1} << cls;
  lock_guard hold(pool_lock);
  size_class& c = classes[cls];
  out.size_class = static_cast<std::uint8_t>(cls);
  if (free_stack* s = c.free) {
    c.free = s->next;
    out.high = reinterpret_cast<char*>(s + 1);
    out.low = out.high - size + guard_bytes(cls);
    out.colour = s->colour;
    return true;
  }
  if (!guards_known) learn_guards();
  if (c.fresh == c.fresh_end) {
    const std::size_t region = std::max(region_bytes, size);
    char* at = static_cast<char*>(os::reserve(region, std::max(size, std::size_t{2} << 20)));
    if (!at) return false;
    note_range(reinterpret_cast<std::uintptr_t>(at), reinterpret_cast<std::uintptr_t>(at) + region);
    c.fresh = at;
    c.fresh_end = at + region;
  }
  char* low = c.fresh;
  if (!place_guard(low, cls)) return false;
  c.fresh += size;
  out.low = low + guard_bytes(cls);
  out.high = low + size;
  out.colour = static_cast<std::uint8_t>(next_colour++ * 11 % colours);
  mapped.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void stack_free(const stack_memory& s) noexcept {
  auto* link = reinterpret_cast<free_stack*>(s.high) - 1;
  lock_guard hold(pool_lock);
  link->next = classes[s.size_class].free;
  link->colour = s.colour;
  classes[s.size_class].free = link;
}

void stack_release_pages(stack_memory* stacks, std::size_t count) noexcept {
  // Neighbours go in one call: the guard between two of them survives MADV_DONTNEED.
  std::sort(stacks, stacks + count, [](const stack_memory& a, const stack_memory& b) { return a.low < b.low; });
  for (std::size_t i = 0; i < count;) {
    std::size_t j = i + 1;
    while (j < count && stacks[j].low - stacks[j - 1].high == static_cast<std::ptrdiff_t>(guard_bytes(stacks[j].size_class)) &&
           guards != os::guard_kind::mapping)
      j++;
    os::release_pages(stacks[i].low, static_cast<std::size_t>(stacks[j - 1].high - stacks[i].low));
    i = j;
  }
}

std::size_t stack_guard_bytes(const stack_memory& s) noexcept { return guard_bytes(s.size_class); }

std::uint64_t stacks_mapped() noexcept { return mapped.load(std::memory_order_relaxed); }

bool is_stack_address(const void* address) noexcept {
  const auto a = reinterpret_cast<std::uintptr_t>(address);
  return a >= lowest.load(std::memory_order_relaxed) && a < highest.load(std::memory_order_relaxed);
}

}  // namespace weft
