// co/select.hpp: select for coroutines, with the cases of <weft/select.hpp>.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/co/task.hpp>
#include <weft/detail/co_core.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/select_core.hpp>
#include <weft/select.hpp>

namespace weft::detail {

/// No case could be run at once.
WEFT_API co::task<void> co_select_slow(co_selection& s);

template <class... Cases>
class [[nodiscard]] co_selecting {
  using layout = select_layout<Cases...>;

 public:
  explicit co_selecting(Cases&... cases) noexcept : cases_(cases...) {}
  co_selecting(const co_selecting&) = delete;
  [[nodiscard]] bool await_ready() noexcept {
    select_case* next = table_;
    std::apply([&](auto&... c) { (arm(c, next, selection_.limit), ...); }, cases_);
    static_cast<void>(next);
    return co_select_now(selection_);
  }
  template <co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) {
    slow_ = co_select_slow(selection_).operator co_await();
    return slow_.await_suspend(h);
  }
  int await_resume() {
    return std::apply([&](auto&... c) { return run_chosen(selection_.result, c...); }, cases_);
  }

 private:
  std::tuple<Cases&...> cases_;
  select_case table_[layout::channels + 1];
  select_scratch<layout::channels> scratch_;
  co_selection selection_{table_, layout::channels, scratch_.bytes};
  co_call<void> slow_;
};

}  // namespace weft::detail

namespace weft::co {

/// co_await select(on_recv(...), on_send(...), on_timeout(...), on_default(...)): as weft::select(). The handlers are plain
/// functions, which cannot co_await: have them note what came. Gives which argument it was, from 0.
/// Allocates: a frame from the processor's cache, when it waits. The coroutine's own frame holds 64 bytes a case.
template <detail::select_case_type... Cases>
auto select(Cases&&... cases) noexcept {
  return detail::co_selecting<std::remove_cvref_t<Cases>...>(cases...);
}

}  // namespace weft::co
