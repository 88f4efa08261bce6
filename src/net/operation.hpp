// net/operation.hpp: one operation on a socket: its turn, and the context with which it ends early.
#pragma once

#include <optional>
#include <system_error>

#include <weft/context.hpp>
#include <weft/detail/context_wait.hpp>
#include <weft/error.hpp>

#include "context/node.hpp"
#include "net/socket.hpp"

namespace weft::net::detail {

/// While it lives, the end of the context fails what is done on the socket in this direction, with errc::canceled. The caller has
/// the direction for himself.
class cancellation final : weft::detail::cancel_hook {
 public:
  cancellation(socket& s, direction d, weft::detail::cancel_node* of) noexcept : socket_(s), direction_(d), of_(of) {
    if (of_ && !of_->add(this)) socket_.cancel(direction_);
  }
  ~cancellation() override {
    if (!of_) return;
    of_->remove(this);
    socket_.forget_cancel(direction_);
  }

 private:
  weft::detail::cancel_node* parent_ended(const std::error_code&, const std::exception_ptr&) noexcept override {
    socket_.cancel(direction_);
    return nullptr;
  }

  socket& socket_;
  direction direction_;
  weft::detail::cancel_node* of_;
};

/// A turn in one direction, with or without (null) a context. What fails for it has the context's error in the end.
class operation {
 public:
  operation(socket& s, direction d, const context* ctx, std::error_code& ec) : context_(ctx), ec_(ec) {
    ec.clear();
    auto* of = ctx ? weft::detail::canceller_of(*ctx) : nullptr;
    const weft::detail::wait_limit limit{.done = of ? &of->core : nullptr};
    if (weft::detail::is_over(limit)) {
      ec = errc::canceled;
      return;
    }
    turn_.emplace(s, d, ec, limit);
    if (of && !ec) cancellation_.emplace(s, d, of);
  }
  ~operation() {
    if (context_ && ec_ == errc::canceled) ec_ = context_->err();
  }
  operation(const operation&) = delete;

 private:
  const context* context_;
  std::error_code& ec_;
  std::optional<socket::turn> turn_;
  std::optional<cancellation> cancellation_;  // gone before the turn is
};

}  // namespace weft::net::detail
