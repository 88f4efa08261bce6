// task/identity.hpp: a task that runs on its joiner's stack is a goroutine of its own all the same: it has an id, it sees
// none of the exceptions that its joiner is handling and none of its locals, and it may exit() while its joiner does.
#pragma once

#include <cstdint>

#include "sched/local.hpp"
#include "sched/sched.hpp"

namespace weft::detail {

/// While it lives, the goroutine answers for the task. The id is made when it is first asked for.
class borrowed_identity {
 public:
  explicit borrowed_identity(g* gp) noexcept : gp_(gp), outer_(gp->identity), locals_(gp->locals), unwinds_(gp->flags & g_unwinding), exceptions_(*this_m()->eh) {
    gp->identity = &id_;
    gp->locals = nullptr;
    if (__builtin_expect(unwinds_ != 0, 0)) gp->flags &= static_cast<std::uint16_t>(~g_unwinding);
    *this_m()->eh = {};
  }
  ~borrowed_identity() {
    if (__builtin_expect(gp_->locals != nullptr, 0)) destroy_locals();
    gp_->locals = locals_;
    gp_->identity = outer_;
    if (__builtin_expect(unwinds_ != 0, 0)) gp_->flags |= unwinds_;
    *this_m()->eh = exceptions_;
  }
  borrowed_identity(const borrowed_identity&) = delete;

 private:
  g* gp_;  // its stack is the one we are on, whatever thread that is now
  std::uint64_t* outer_;
  local_node* locals_;
  std::uint64_t id_ = 0;
  std::uint16_t unwinds_;  // it joins in a destructor
  eh_globals exceptions_;
};

}  // namespace weft::detail
