// task/identity.hpp: a task that runs on its joiner's stack is a goroutine of its own all the same: it has an id, it sees
// none of the exceptions that its joiner is handling and none of its locals, and it may exit() while its joiner does.
#pragma once

#include <cstdint>
#include <utility>

#include "sched/local.hpp"
#include "sched/sched.hpp"

namespace weft::detail {

/// While it lives, the goroutine answers for the task. The id is made when it is first asked for.
class borrowed_identity {
 public:
  [[gnu::always_inline]] explicit borrowed_identity(g* gp) noexcept : gp_(gp), outer_(gp->identity) {
    gp->identity = &id_;
    const eh_globals& eh = *this_m()->eh;
    hidden_ = (gp->flags & g_unwinding) != 0 || gp->locals || eh.caught || eh.uncaught != 0;
    if (__builtin_expect(hidden_, 0)) hide();
  }
  [[gnu::always_inline]] ~borrowed_identity() {
    if (__builtin_expect(gp_->locals != nullptr, 0)) destroy_locals();
    gp_->identity = outer_;
    if (__builtin_expect(hidden_, 0)) show();
  }
  borrowed_identity(const borrowed_identity&) = delete;

 private:
  [[gnu::cold, gnu::noinline]] void hide() noexcept {
    locals_ = std::exchange(gp_->locals, nullptr);
    unwinds_ = gp_->flags & g_unwinding;
    gp_->flags &= static_cast<std::uint16_t>(~g_unwinding);
    exceptions_ = std::exchange(*this_m()->eh, {});
  }
  [[gnu::cold, gnu::noinline]] void show() noexcept {
    gp_->locals = locals_;
    gp_->flags |= unwinds_;
    *this_m()->eh = exceptions_;
  }

  g* gp_;  // its stack is the one we are on, whatever thread that is now
  std::uint64_t* outer_;
  std::uint64_t id_ = 0;
  bool hidden_;            // whether the joiner has something that the task must not see: what follows, else not set
  std::uint16_t unwinds_;  // it joins in a destructor
  local_node* locals_;
  eh_globals exceptions_;
};

}  // namespace weft::detail
