// mem/stack.cpp: see stack.hpp.
#include "mem/stack.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/sanitizers.hpp"
#include "base/throw.hpp"
#include "lock/lock.hpp"
#include "os/memory.hpp"

namespace weft {

namespace {

constexpr std::size_t region_bytes = std::size_t{64} << 20;  // 256 stacks of the default size to a mapping
constexpr int first_class = 16, last_class = 36;
constexpr std::size_t most_stacks = std::size_t{1} << 23;  // of a class; its lists are reserved for so many

struct size_class {
  char** warm = nullptr;      // high ends of free stacks whose pages are there, the last used last
  char** cold = nullptr;      // of those whose pages were given back
  std::size_t warm_count = 0, cold_count = 0;
  char* fresh = nullptr;      // the rest of the region that is being cut up
  char* fresh_end = nullptr;
};

ranked_lock<rank::memory> pool_lock;
size_class classes[last_class + 1];   // guarded by pool_lock
os::guard_kind guards;                // guarded by pool_lock
bool guards_known = false;            // guarded by pool_lock
std::size_t mapping_guards_left = 0;  // guarded by pool_lock: how many more mprotect guards vm.max_map_count bears
atomic<std::size_t> warm_total{0};    // a hint for stacks_trim()
atomic<std::uint64_t> activity{0};
atomic<std::uint64_t> mapped{0};
atomic<std::int64_t> taken{0};  // less those given back
atomic<std::uintptr_t> lowest{~std::uintptr_t{0}}, highest{0};  // the range in which all regions lie

std::size_t guard_bytes(int cls) noexcept { return cls <= 18 ? 16 * 1024 : 64 * 1024; }

void learn_guards() noexcept {
  guards_known = true;
  guards = os::probe_guards();
  if (guards == os::guard_kind::mapping) mapping_guards_left = os::max_map_count() / 4;  // each costs two: half of the limit
}

// How many of n further guards may be made: before Linux 6.13 they run out, which is said once. What then protects is the canary.
std::uint32_t guards_allowed(std::uint32_t n) noexcept {
  if (guards != os::guard_kind::mapping) return n;
  lock_guard hold(pool_lock);
  const auto allowed = static_cast<std::uint32_t>(std::min<std::size_t>(n, mapping_guards_left));
  mapping_guards_left -= allowed;
  static bool said = false;
  if (allowed < n && !std::exchange(said, true)) {
    error_text() << "weft: no more stack guards: half of vm.max_map_count is used; raise it (sysctl vm.max_map_count) or use Linux 6.13. "
                    "Further stacks have a canary, so an overflow is noticed only when its goroutine waits or ends\n";
  }
  return allowed;
}

void note_range(std::uintptr_t from, std::uintptr_t to) noexcept {
  if (from < lowest.load(std::memory_order_relaxed)) lowest.store(from, std::memory_order_relaxed);
  if (to > highest.load(std::memory_order_relaxed)) highest.store(to, std::memory_order_relaxed);
}

bool make_lists(size_class& c) noexcept {
  if (c.warm) return true;
  c.cold = static_cast<char**>(os::reserve(most_stacks * sizeof(char*), os::page_size()));
  if (c.cold) c.warm = static_cast<char**>(os::reserve(most_stacks * sizeof(char*), os::page_size()));
  return c.warm != nullptr;
}

// The next stack that nobody has had, or null.
char* cut_fresh(size_class& c, int cls) noexcept {
  const std::size_t size = std::size_t{1} << cls;
  if (!guards_known) learn_guards();
  if (mapped.load(std::memory_order_relaxed) >= most_stacks) return nullptr;
  if (c.fresh == c.fresh_end) {
    const std::size_t region = std::max(region_bytes, size);
    char* at = static_cast<char*>(os::reserve(region, std::max(size, std::size_t{2} << 20)));
    if (!at) return nullptr;
    note_range(reinterpret_cast<std::uintptr_t>(at), reinterpret_cast<std::uintptr_t>(at) + region);
    c.fresh = at;
    c.fresh_end = at + region;
  }
  c.fresh += size;
  mapped.fetch_add(1, std::memory_order_relaxed);
  return c.fresh;
}

void add_warm_locked(size_class& c, char* const* highs, std::uint32_t n) noexcept {
  std::copy(highs, highs + n, c.warm + c.warm_count);
  c.warm_count += n;
  warm_total.fetch_add(n, std::memory_order_relaxed);
}

// Fresh stacks get their guards. Not under the lock: it takes system calls. How many of them may be used; for the rest there is no memory
// for page tables, or there are too many mappings, and they are lost.
std::uint32_t make_usable(std::uint8_t cls, char** highs, std::uint32_t n) noexcept {
  for (std::uint32_t i = 0; i < n;) {
    void* lows[os::ranges_at_once];
    std::uint32_t k = 0;
    for (; k < os::ranges_at_once && i + k < n; k++) {
      lows[k] = highs[i + k] - (std::size_t{1} << cls);
      sanitizers::add_stack(lows[k], highs[i + k]);
    }
    const std::uint32_t allowed = guards_allowed(k);
    const auto guarded = static_cast<std::uint32_t>(os::guard_each(lows, allowed, guard_bytes(cls), guards));
    if (guarded < allowed) return i + guarded;
    for (std::uint32_t j = guarded; j < k; j++) highs[i + j]++;
    i += k;
  }
  return n;
}

// Makes their first pages real, several at once: a page's first touch is an exception, which takes several times its share of such a call
// (in a guest whose page tables are shadowed: 22 us a stack when each has its own call for the guard and is then touched, 9 us so).
void commit_tops(std::uint8_t cls, char* const* highs, std::uint32_t n) noexcept {
  while (n > 0) {
    void* pages[os::ranges_at_once];
    std::uint32_t k = 0;
    for (; k < os::ranges_at_once && k < n; k++) pages[k] = stack_at(highs[k], cls).high - os::page_size();
    os::commit_each(pages, k, os::page_size());
    highs += k;
    n -= k;
  }
}

constexpr std::size_t canary_words = 32;
constexpr std::uint64_t canary = 0x7765'6674'6361'6e61;

}  // namespace

stack_memory stack_at(char* tagged, std::uint8_t cls) noexcept {
  const bool guarded = (reinterpret_cast<std::uintptr_t>(tagged) & 1) == 0;
  char* const high = tagged - (guarded ? 0 : 1);
  return {high - (std::size_t{1} << cls) + guard_bytes(cls), high, cls, guarded};
}

WEFT_UNSANITIZED void place_canary(const stack_memory& s) noexcept {
  auto* const end = reinterpret_cast<std::uint64_t*>(s.low);
  for (auto* at = end - canary_words; at < end; at++) *at = canary;
}

WEFT_UNSANITIZED bool canary_lives(const stack_memory& s, const void* sp) noexcept {
  const auto* const end = reinterpret_cast<const std::uint64_t*>(s.low);
  if (sp && sp < end) return false;  // null: it has ended, and saved none
  for (const auto* at = end - canary_words; at < end; at++)
    if (*at != canary) return false;
  return true;
}

void stacks_use_mappings(std::size_t most) noexcept {
  lock_guard hold(pool_lock);
  guards_known = true;
  guards = os::guard_kind::mapping;
  mapping_guards_left = most;
}

std::uint32_t stacks_take(std::uint8_t cls, char** highs, std::uint32_t n) noexcept {
  constexpr std::int64_t many = 256;
  std::uint32_t got = 0, warm, old;
  {
    lock_guard hold(pool_lock);
    bump(activity);
    size_class& c = classes[cls];
    if (!make_lists(c)) return 0;
    while (got < n && c.warm_count > 0) {
      highs[got++] = c.warm[--c.warm_count];
      warm_total.fetch_sub(1, std::memory_order_relaxed);
    }
    warm = got;
    while (got < n && c.cold_count > 0) highs[got++] = c.cold[--c.cold_count];
    for (old = got; got < n; got++)
      if (!(highs[got] = cut_fresh(c, cls))) break;
  }
  got = old + make_usable(cls, highs + old, got - old);
  // Who takes one stack, or has few, may not need their pages.
  if (got - warm > 1 && taken.load(std::memory_order_relaxed) >= many) commit_tops(cls, highs + warm, got - warm);
  std::reverse(highs, highs + got);
  taken.fetch_add(got, std::memory_order_relaxed);
  return got;
}

std::uint32_t stacks_prepare(std::uint8_t cls, std::uint32_t most) noexcept {
  constexpr std::uint32_t enough = 256;
  constexpr std::int64_t many = 16;
  static std::int64_t seen = 0;
  const std::int64_t now = taken.load(std::memory_order_relaxed);
  const std::int64_t more = now - std::exchange(seen, now);
  if (more < many || warm_total.load(std::memory_order_relaxed) >= enough) return 0;
  char* highs[enough];
  std::uint32_t n = 0;
  {
    lock_guard hold(pool_lock);
    size_class& c = classes[cls];
    if (c.cold_count > 0 || !make_lists(c)) return 0;
    for (most = std::min(most, enough); n < most; n++)
      if (!(highs[n] = cut_fresh(c, cls))) break;
  }
  n = make_usable(cls, highs, n);
  commit_tops(cls, highs, n);
  lock_guard hold(pool_lock);
  add_warm_locked(classes[cls], highs, n);
  return n;
}

void stacks_give(std::uint8_t cls, char* const* highs, std::uint32_t n) noexcept {
  taken.fetch_sub(n, std::memory_order_relaxed);
  lock_guard hold(pool_lock);
  add_warm_locked(classes[cls], highs, n);
  bump(activity);
}

bool stacks_trim(std::uint32_t keep) noexcept {
  constexpr std::size_t at_once = 1024;
  if (warm_total.load(std::memory_order_relaxed) <= keep) return false;
  for (int cls = first_class; cls <= last_class; cls++) {
    char* highs[at_once];
    std::size_t n;
    bool more;
    {
      lock_guard hold(pool_lock);
      size_class& c = classes[cls];
      if (c.warm_count <= keep) continue;
      n = std::min(at_once, c.warm_count - keep);
      std::copy(c.warm, c.warm + n, highs);  // the coldest
      std::copy(c.warm + n, c.warm + c.warm_count, c.warm);
      c.warm_count -= n;
      warm_total.fetch_sub(n, std::memory_order_relaxed);
      more = c.warm_count > keep;
    }
    // Neighbours go in one call: the guard between two of them survives MADV_DONTNEED.
    const std::size_t size = std::size_t{1} << cls;
    std::sort(highs, highs + n);
    for (std::size_t i = 0, j; i < n; i = j) {
      for (j = i + 1; j < n && highs[j] == highs[j - 1] + size && guards != os::guard_kind::mapping;) j++;
      const stack_memory first = stack_at(highs[i], static_cast<std::uint8_t>(cls));
      os::release_pages(first.low, static_cast<std::size_t>(stack_at(highs[j - 1], static_cast<std::uint8_t>(cls)).high - first.low));
    }
    lock_guard hold(pool_lock);
    size_class& c = classes[cls];
    std::copy(highs, highs + n, c.cold + c.cold_count);
    c.cold_count += n;
    return more;
  }
  return false;
}

std::size_t stack_guard_bytes(const stack_memory& s) noexcept { return guard_bytes(s.size_class); }

std::size_t stacks_warm() noexcept { return warm_total.load(std::memory_order_relaxed); }
std::uint64_t stacks_activity() noexcept { return activity.load(std::memory_order_relaxed); }
std::uint64_t stacks_mapped() noexcept { return mapped.load(std::memory_order_relaxed); }

bool is_stack_address(const void* address) noexcept {
  const auto a = reinterpret_cast<std::uintptr_t>(address);
  return a >= lowest.load(std::memory_order_relaxed) && a < highest.load(std::memory_order_relaxed);
}

}  // namespace weft
