// detail/context_wait.hpp: what the waiting operations need of a context, without all of <weft/context.hpp>.
#pragma once

#include <system_error>

#include <weft/detail/config.hpp>
#include <weft/detail/wait_limit.hpp>

namespace weft {

class context;

namespace detail {
/// What ends a wait with ctx; null: nothing does. Throws panic for an empty context.
WEFT_API done_core* done_of(const context& ctx);
/// Why ctx is done; no error while it is live.
WEFT_API std::error_code err_of(const context& ctx);

/// The limit of a wait with ctx.
inline wait_limit limit_of(const context& ctx) { return {.done = done_of(ctx)}; }
/// Whether a wait with this limit would be over before it begins. Operations with a context look at that first: one that is done
/// gets nothing any more.
inline bool is_over(const wait_limit& l) noexcept {
  return l.done && l.done->done.load(std::memory_order_acquire);  // [mo:done]
}
}  // namespace detail
}  // namespace weft
