// sched/bubble.hpp: goroutines that live in a time of their own: what test::bubble() (src/sim/bubble.cpp) is made of.
// Source: Go's runtime/synctest.go.
//
// A bubble counts how many of its goroutines are not *durably* blocked: run, could run, or wait for what may come from outside.
// When there are none, nothing can happen in it any more but by the passage of time; so whoever took the last one off wakes one
// that is to go on: its waiter (test::wait()), or else its root, which moves the clock to the next timer.
// A bubbled goroutine takes long laps only (g_long_only), so that the others pay nothing: it is counted on g0, around its commit
// (execute.cpp), and counted back by who makes it runnable (ready.cpp).
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "os/clock.hpp"
#include "sched/retake.hpp"
#include "sched/sched.hpp"

namespace weft {

struct bubble {
  timer_heap timers;
  atomic<std::int64_t> now{0};  // ns since 1970; changed by the root while nobody else of the bubble can run
  std::uint32_t id = 0;         // never 0 and never used twice: what belongs to a bubble knows it by this

  atomic<std::uint32_t> lock{0};  // a leaf. Guards what follows
  g* root = nullptr;              // who called test::bubble(); null once it has left
  g* main = nullptr;              // runs its function
  g* waiter = nullptr;            // in test::wait()
  bool waiting = false;           // somebody calls test::wait()
  bool main_ended = false;        // and with it time
  int total = 0;                  // goroutines
  int running = 0;                // those of them that are not durably blocked
  int active = 0;                 // what else keeps it from being idle: a park or a wake-up under way
  bubble* next = nullptr;         // of all there are: guarded by the list's lock
};

/// Any at all? While there is none, nothing below costs more than this.
[[nodiscard]] inline bool any_bubbles() noexcept { return __builtin_expect(sched.bubbles.load(std::memory_order_relaxed) != 0, 0); }

/// The calling goroutine's bubble, or null.
[[nodiscard]] inline bubble* bubble_of(const g* gp) noexcept { return gp && (gp->flags & g_bubbled) != 0 ? gp->its_bubble : nullptr; }
[[nodiscard]] inline bubble* bubble_here() noexcept { return any_bubbles() ? bubble_of(current_g()) : nullptr; }
/// Its id, 0 outside: for what is made here.
[[nodiscard]] inline std::uint32_t bubble_id_here() noexcept {
  const bubble* b = bubble_here();
  return b ? b->id : 0;
}
/// The time on the calling goroutine's clock.
[[nodiscard]] inline std::int64_t time_here() noexcept {
  const bubble* b = bubble_here();
  return b ? b->now.load(std::memory_order_relaxed) : os::now_ns();
}
/// Where gp, which parks, keeps a timer. Inside weft.
[[nodiscard]] inline timer_heap& timers_of(const g* gp, m* mp) noexcept {
  return __builtin_expect((gp->flags & g_bubbled) != 0, 0) ? gp->its_bubble->timers : timers_here(mp);
}
/// What belongs to bubble `id` (0: to none, and is for all) is used by the calling goroutine: ends the process with Go's text, "WHAT from
/// outside bubble", when that is not of the bubble.
void refuse_outsiders(std::uint32_t id, const char* what) noexcept;

/// For the length of a wait of gp: what it waits for belongs to bubble `id`, so if that is not gp's own, it is not durably blocked.
class [[nodiscard]] wait_on_bubble {
 public:
  wait_on_bubble(g* gp, std::uint32_t id) noexcept : gp_(bubble_of(gp) && gp->its_bubble->id != id && (gp->flags & g_from_outside) == 0 ? gp : nullptr) {
    if (gp_) gp_->flags |= g_from_outside;
  }
  wait_on_bubble(const wait_on_bubble&) = delete;
  ~wait_on_bubble() {
    if (gp_) gp_->flags &= static_cast<std::uint16_t>(~g_from_outside);
  }

 private:
  g* gp_;
};

/// A bubble with the calling goroutine as its root.
[[nodiscard]] bubble* open_bubble(g* root) noexcept;
/// The root leaves it.
void close_bubble(bubble* b) noexcept;
/// gp, which is new, belongs to it.
void join_bubble(bubble* b, g* gp) noexcept;
/// gp has ended.
void leave_bubble(g* gp) noexcept;

/// gp is off its stack, its commit is to come: the bubble to tell of that afterwards, or null.
[[nodiscard]] bubble* parking_in_bubble(g* gp) noexcept;
void parked_in_bubble(bubble* b, bool committed) noexcept;
/// gp, which waits, is about to be made runnable.
void readied_in_bubble(const g* gp) noexcept;

}  // namespace weft
