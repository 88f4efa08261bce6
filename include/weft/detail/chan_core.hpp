// detail/chan_core.hpp: the untyped channel under chan<T>, as src/sync/chan.cpp implements it.
// It moves elements of `size` bytes by copying their bytes under its lock; chan.hpp sees to it that nothing else is needed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <weft/detail/config.hpp>
#include <weft/detail/wait_limit.hpp>

namespace weft::detail {

struct chan_core;

enum class chan_status : std::uint8_t { done, closed, would_block, timed_out, cancelled };

/// What to do with an element that is left over: called outside the lock. Null: nothing.
using drop_fn = void (*)(void* element) noexcept;

WEFT_API chan_core* chan_make(std::size_t element_size, std::int64_t capacity, drop_fn drop);  // throws bad_chan_size, bad_alloc
WEFT_API void chan_add_ref(chan_core* c) noexcept;
WEFT_API void chan_release(chan_core* c) noexcept;

// A null channel waits for ever. A limit whose deadline is 0: do not wait.
inline constexpr std::int64_t no_deadline = INT64_MAX;
WEFT_API chan_status chan_send(chan_core* c, const void* element);
WEFT_API chan_status chan_recv(chan_core* c, void* element);
WEFT_API chan_status chan_send_until(chan_core* c, const void* element, const wait_limit& limit);
WEFT_API chan_status chan_recv_until(chan_core* c, void* element, const wait_limit& limit);
WEFT_API void chan_close(chan_core* c);  // throws close_of_closed_channel, close_of_nil_channel
WEFT_API std::size_t chan_size(const chan_core* c) noexcept;
WEFT_API std::size_t chan_capacity(const chan_core* c) noexcept;
[[noreturn]] WEFT_API void throw_closed_channel();

// A timer's channel, of steady_clock::time_point: from `when` on (ns on the monotonic clock) there is one value, and the next
// after each `period`; 0: no other.
inline constexpr std::int64_t never_due = INT64_MAX;
WEFT_API chan_core* chan_make_clock(std::int64_t when, std::int64_t period);  // throws bad_alloc
/// Whether it was set, and its value not taken.
WEFT_API bool chan_clock_set(chan_core* c, std::int64_t when, std::int64_t period) noexcept;

/// A counted reference to a channel.
class chan_ref {
 public:
  constexpr chan_ref() noexcept = default;
  explicit chan_ref(chan_core* c) noexcept : core_(c) {}
  chan_ref(const chan_ref& o) noexcept : core_(o.core_) {
    if (core_) chan_add_ref(core_);
  }
  chan_ref(chan_ref&& o) noexcept : core_(o.core_) { o.core_ = nullptr; }
  chan_ref& operator=(chan_ref o) noexcept {
    chan_core* mine = core_;
    core_ = o.core_;
    o.core_ = mine;
    return *this;
  }
  ~chan_ref() {
    if (core_) chan_release(core_);
  }
  [[nodiscard]] chan_core* get() const noexcept { return core_; }
  friend bool operator==(const chan_ref&, const chan_ref&) noexcept = default;

 private:
  chan_core* core_ = nullptr;
};

}  // namespace weft::detail
