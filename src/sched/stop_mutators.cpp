// sched/stop_mutators.cpp: the second grade of a stop (design D4). The first takes all Ps (stop.cpp), and leaves those running that
// had none or lost theirs: hogs, and blocking calls. Here they are stopped too, by a signal to each thread that has a goroutine.
// A thread that gets it outside weft waits in the handler. One that gets it inside lets it pass: it is about to find that there is
// no P for it, or to be held up at its next entry (`taking`), or to be back in code of the user's, where the next signal meets it.
// No signal is sent before all that were inside have come out: one in there may want malloc's lock (when a heap of timers grows, say),
// which who is stopped in code of the user's may have. One with a lock of weft's may still come in afterwards: if it stays there, all
// are let go, and it begins anew.
// Who stands still says for which stop: one that is about to go on after the last one does not count for this one.
#include <weft/stop_the_world.hpp>

#include <signal.h>

#include "os/futex.hpp"
#include "sched/report.hpp"
#include "sched/retake.hpp"

namespace weft {

namespace {

constexpr int looks_in_vain = 200;  // of 60 us and more
constexpr int stop_signal = SIGURG;  // Go's choice: ignored unless asked for, and hardly ever asked for

struct sigaction previous;

void on_stop(int number, siginfo_t* info, void* context) {
  m* mp = this_m();
  if (!mp || sched.stand_still.load(std::memory_order_acquire) == 0) {  // [mo:stand_still]
    if (previous.sa_flags & SA_SIGINFO) previous.sa_sigaction(number, info, context);
    else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) previous.sa_handler(number);
    return;
  }
  // With a lock of weft's it must go on: somebody who is in weft may wait for that, and is not at rest before he has it.
  if (mp->in_rt.load(std::memory_order_relaxed) || self()->locks != 0) return;
  const int error = *mp->err;
  while (const std::uint32_t stop = sched.stand_still.load(std::memory_order_acquire)) {  // [mo:stand_still]
    mp->held_up.store(stop, std::memory_order_release);  // [mo:held_up] pairs with the acquire in stands_still()
    os::futex_wait(sched.stand_still, stop);
  }
  *mp->err = error;
}

void install_handler() noexcept {
  static bool done = false;  // guarded by being the stopper
  if (done) return;
  done = true;
  struct sigaction action {};
  action.sa_sigaction = &on_stop;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigfillset(&action.sa_mask);
  ::sigaction(stop_signal, &action, &previous);
}

// An M that is in weft for good runs nothing of the user's, and without a P gets nothing to run.
bool stands_still(m* mp, std::uint32_t stop) noexcept {
  return !is_among_users(mp) || mp->held_up.load(std::memory_order_acquire) == stop;  // [mo:held_up]
}

// False: somebody is in weft and does not come out, perhaps because of one who stands still.
bool all_stand_still(m* me) noexcept {
  static std::uint32_t last = 0;  // guarded by being the stopper
  if (++last == 0) last = 1;
  const std::uint32_t stop = last;
  for_each_m([&](m* mp) {
    if (mp != me) mp->taking.store(true, std::memory_order_release);  // [mo:taking]
  });
  sched.stand_still.store(stop, std::memory_order_release);  // [mo:stand_still] after `taking`: who sees it stays until that is false again
  if (!thieves.no_membarrier) barrier_on_all_threads();  // [mo:taking] who is outside now finds `taking` at its next entry
  int outside = 0, in_vain = 0;  // looks at which nobody was in weft; looks with somebody there, after a signal
  for (int rounds = 0;; rounds++) {
    int moving = 0, inside = 0;
    for_each_m([&](m* mp) {
      if (mp == me || stands_still(mp, stop)) return;
      moving++;
      inside += mp->in_rt.load(std::memory_order_acquire);  // [mo:in_rt]
    });
    if (moving == 0) return true;
    if (inside == 0 && outside++ % 16 == 0) {  // a signal may take a while on a busy machine: not too many
      for_each_m([&](m* mp) {
        // Such a one has a goroutine and nobody to give it to, so the thread lives.
        if (mp != me && !stands_still(mp, stop)) ::pthread_kill(mp->thread, stop_signal);
      });
    }
    if (inside != 0 && outside != 0 && ++in_vain == looks_in_vain) return false;
    const timespec pause{0, 10'000};
    ::nanosleep(&pause, nullptr);
    if (rounds == 100'000 && inside == 0) error_text() << "weft: stop_the_world: a thread does not take SIGURG; is it blocked there?\n";
  }
}

void let_all_go(m* me) noexcept {
  for_each_m([&](m* mp) {
    if (mp != me) mp->taking.store(false, std::memory_order_release);  // [mo:taking]
  });
  sched.stand_still.store(0, std::memory_order_release);  // [mo:stand_still]
  os::futex_wake(sched.stand_still, INT32_MAX);
}

}  // namespace

namespace detail {

void stop_the_world(void (*f)(void*), void* arg) {
  if (!current_g()) fatal("stop_the_world: not called by a goroutine");
  const stopped_world no_ps;
  m* me = this_m();
  install_handler();
  while (!all_stand_still(me)) {
    let_all_go(me);
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  const std::int64_t since = os::now_ns();
  f(arg);
  sched.mutator_stops.add(sched.stop_asked_at, since, os::now_ns());
  let_all_go(me);
}

}  // namespace detail
}  // namespace weft
