// task/identity.hpp: a task that runs on its joiner's stack is a goroutine of its own all the same.
#pragma once

#include <cstdint>

#include "goroutine/g.hpp"

namespace weft::detail {

/// While it lives, the goroutine answers for the task: this_goroutine::id() gives the task's, made when it is first asked for.
class borrowed_identity {
 public:
  explicit borrowed_identity(g* gp) noexcept : gp_(gp), outer_(gp->identity) { gp->identity = &id_; }
  ~borrowed_identity() { gp_->identity = outer_; }
  borrowed_identity(const borrowed_identity&) = delete;

 private:
  g* gp_;  // its stack is the one we are on, whatever thread that is now
  std::uint64_t* outer_;
  std::uint64_t id_ = 0;
};

}  // namespace weft::detail
