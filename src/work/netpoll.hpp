// work/netpoll.hpp: which goroutines wait on file descriptors, and who of them can go on. Edge-triggered: a descriptor is
// registered once, for both directions; an operation is tried first and waits only when the kernel said EAGAIN.
// Hands out goroutines and calls nobody. Source of the design: Go's netpoll.go.
//
// Each direction has a slot:  nothing -> (the kernel says ready) -> ready -> (taken by who waits next) -> nothing
//                             nothing -> preparing -> a G that is parked -> (ready, close or deadline) -> nothing or ready
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "goroutine/g.hpp"
#include "goroutine/timer.hpp"
#include "lock/lock.hpp"

namespace weft {

enum class direction : std::uint8_t { read = 0, write = 1 };

/// Type-stable memory: an event that is still under way when its descriptor is closed finds a poll_desc, if another one's; the
/// tag in the event tells.
struct alignas(64) poll_desc {
  static constexpr std::uintptr_t nothing = 0, is_ready = 1, preparing = 2;
  enum info_bits : std::uint32_t { closing = 1, read_expired = 2, write_expired = 4, read_cancelled = 8, write_cancelled = 16, hung_up = 32, urgent = 64 };  // the last two stay

  atomic<std::uintptr_t> slot[2] = {};
  atomic<std::uint32_t> info{0};
  atomic<std::uint32_t> tag{0};
  int fd = -1;
  ranked_lock<rank::poll_desc> lock;  // for deadlines and close
  heap_timer deadline[2];
  poll_desc* link = nullptr;
};

/// Starts to watch fd. Null with errno when the kernel refuses (EPERM: a regular file).
[[nodiscard]] poll_desc* poll_open(int fd) noexcept;
/// Stops; nobody may wait any more. The descriptor is still open.
void poll_close(poll_desc* pd) noexcept;
/// Marks it as closing; appends who waits to `woken`.
void poll_evict(poll_desc* pd, g_list& woken) noexcept;
/// What a waiter must not wait for: closing, its deadline passed, or cancelled.
[[nodiscard]] inline std::uint32_t poll_trouble(const poll_desc* pd, direction d) noexcept {
  // [mo:poll.info] seq_cst, pairs with the fetch_ors: see poll_unblock().
  return pd->info.load(std::memory_order_seq_cst) & (poll_desc::closing | (d == direction::read ? poll_desc::read_expired | poll_desc::read_cancelled : poll_desc::write_expired | poll_desc::write_cancelled));
}
/// The slot's step to `ready` (io) or `nothing` (deadline, close). The goroutine to wake, or null.
[[nodiscard]] runnable* poll_unblock(poll_desc* pd, direction d, bool io) noexcept;
/// Parks r in the slot that it prepared; false when it became ready. From true on it may be on its way elsewhere.
[[nodiscard]] bool poll_park(atomic<std::uintptr_t>& slot, runnable* r) noexcept;
/// As a commit: parks the goroutine in the slot that it prepared (its commit_arg), or refuses when it became ready.
bool poll_commit(g* gp) noexcept;

/// For a goroutine that poll_commit() parked: true if it was still in its slot, and is the caller's to wake.
[[nodiscard]] bool poll_claim(g* gp) noexcept;

inline constexpr std::uint32_t netpoll_most = 128;
/// Who can go on: `most` descriptors' worth at most, those first that have been ready longest. Waits up to `ns` for the first; 0: only
/// looks. Only one thread at a time should wait.
[[nodiscard]] g_list netpoll(std::int64_t ns, std::uint32_t most = netpoll_most) noexcept;
/// Makes the thread that waits in netpoll() return.
void netpoll_break() noexcept;
/// How many goroutines are parked on descriptors.
[[nodiscard]] int netpoll_waiters() noexcept;

}  // namespace weft
