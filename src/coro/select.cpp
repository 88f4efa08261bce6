// coro/select.cpp: see <weft/co/select.hpp>; and a receive from a timer, which is a wait for a time as well.
#include <weft/co/chan.hpp>
#include <weft/co/select.hpp>

#include "sync/select.hpp"

namespace weft::detail {

namespace {

class one_wait {
 public:
  explicit one_wait(co_selection& s) noexcept : s_(s) {}
  static bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<co_promise<void>> h) noexcept { return co_select_begin(s_, h.promise()); }
  void await_resume() noexcept { co_select_end(s_); }

 private:
  co_selection& s_;
};

}  // namespace

co::task<void> co_select_slow(co_selection& s) {
  select_make_absolute(s.limit);
  const select_hold hold(s.cases, s.n);
  for (;;) {
    co_await one_wait(s);
    if (s.result.index != select_look_again) co_return;
    select_last_look(s.limit);
  }
}

co::task<void> co_recv_tick(chan_core* c, void* element, sudog& s) {
  const select_case receive{c, element, select_op::recv};
  select_scratch<1> scratch;
  co_selection one(&receive, 1, scratch.bytes);
  if (!co_select_now(one)) co_await co_select_slow(one);
  s.success = one.result.status == chan_status::done;
}

}  // namespace weft::detail
