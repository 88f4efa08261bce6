// sched/call_c.hpp: what waits have to know of call_c().
#pragma once

#include "sched/sched.hpp"

namespace weft {

/// On the ways on which plain threads wait: fatal when it is one of weft's, which then is inside call_c() or a switch hook.
void refuse_in_call_c(wait_reason why) noexcept;

/// While user code runs on g0: no goroutine is current, so whoever waits comes by refuse_in_call_c(). Afterwards `back` is.
class [[nodiscard]] visit_to_g0 {
 public:
  visit_to_g0(m* mp, guest whose, g* back) noexcept : mp_(mp), back_(back) {
    mp->on_g0 = whose;
    mp->visits.store(mp->visits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    __atomic_store_n(&mp->curg, nullptr, __ATOMIC_RELEASE);  // [mo:visits] who sees it null sees the visit, too: is_among_users()
  }
  ~visit_to_g0() {
    __atomic_store_n(&mp_->curg, back_, __ATOMIC_RELAXED);
    mp_->visits.store(mp_->visits.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // [mo:visits]
    mp_->on_g0 = guest::none;
  }
  visit_to_g0(const visit_to_g0&) = delete;

 private:
  m* mp_;
  g* back_;
};

namespace detail {
/// f(arg) on the thread's own stack, with no goroutine current; a plain call where there is none.
void call_on_g0(void (*f)(void*), void* arg, guest whose);
}

}  // namespace weft
