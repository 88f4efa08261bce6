// detail/select_core.hpp: the untyped select under <weft/select.hpp>, as src/sync/select.cpp implements it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/detail/chan_core.hpp>
#include <weft/detail/co_core.hpp>
#include <weft/detail/config.hpp>

namespace weft::detail {

enum class select_op : std::uint8_t { recv, send };

struct select_case {
  chan_core* channel = nullptr;  // null: never ready
  void* element = nullptr;       // where the value goes or is
  select_op op = select_op::recv;
};

/// How long a select waits when no case is ready.
struct select_limit {
  enum class kind : std::uint8_t { none, poll, within, until };
  kind what = kind::none;
  std::int64_t ns = 0;  // within: from now, poll when 0; until: on the monotonic clock, and from then on ready as any case is
};

struct select_result {
  int index;           // of the case; -1: none
  chan_status status;  // done; closed: nothing came, or nothing was sent; without a case would_block (polled) or timed_out
};

/// The most cases that a select can have, as in Go.
inline constexpr std::size_t select_max = 65'536;

/// What select_cases() needs room for: lists, sorted locks, entries of wait lists. Left uninitialised: it is touched as needed.
inline constexpr std::size_t select_scratch_per_case = 64;
template <std::size_t N>
struct select_scratch {
  alignas(8) unsigned char bytes[(N + 1) * select_scratch_per_case];
};

/// Runs one case. `scratch`: n + 1 times select_scratch_per_case, aligned to 8.
/// Parks: as the limit says.    Threads: any.    Allocates: no.    Throws: nothing, also for a send on a closed channel.
WEFT_API select_result select_cases(const select_case* cases, std::size_t n, void* scratch, select_limit limit);

/// One for a coroutine; lies in its frame. Scratch as above.
struct co_selection {
  co_selection(const select_case* c, std::size_t count, void* room) noexcept : cases(c), n(count), scratch(room) {}
  const select_case* cases;
  std::size_t n;
  void* scratch;
  select_limit limit;
  select_result result{-1, chan_status::would_block};
  timer_room deadline;
  bool waits = false, timed = false;
};
/// Whether a case could be run at once.
[[nodiscard]] WEFT_API bool co_select_now(co_selection& s) noexcept;

}  // namespace weft::detail
