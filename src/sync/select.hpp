// sync/select.hpp: the steps of a select that waits, for goroutines and coroutines (select.cpp).
#pragma once

#include <cstddef>

#include <weft/detail/select_core.hpp>

namespace weft::detail {

inline constexpr int select_look_again = -2;  // instead of a case: a timer among them has come, or was changed

/// With a timer among its channels a select looks at all of them again after a wait: so it keeps them, whose handles may go meanwhile.
class [[nodiscard]] select_hold {
 public:
  select_hold(const select_case* cases, std::size_t n) noexcept;
  select_hold(const select_hold&) = delete;
  ~select_hold();

 private:
  const select_case* cases_;
  std::size_t n_;  // 0: there is no timer
};

/// A limit from now becomes a point in time,
void select_make_absolute(select_limit& limit) noexcept;
/// and, when that is past, one last look.
void select_last_look(select_limit& limit) noexcept;

/// Looks under all locks, and waits on all channels: true, and then r is on its way elsewhere.
[[nodiscard]] bool co_select_begin(co_selection& s, runnable& r) noexcept;
/// Once r goes on: the result, or select_look_again.
void co_select_end(co_selection& s) noexcept;

}  // namespace weft::detail
