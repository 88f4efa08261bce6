// sched/stop_mutators.cpp: the second grade of a stop (design D4). The first takes all Ps (stop.cpp), and leaves those running that
// had none or lost theirs: hogs, and blocking calls. Here they are stopped too, by a signal to each thread that has a goroutine.
// A thread that gets it outside weft waits in the handler. One that gets it inside lets it pass: it is about to find that there is
// no P for it, or to be held up at its next entry (`taking`), or to be back in code of the user's, where the next signal meets it.
#include <weft/stop_the_world.hpp>

#include <signal.h>

#include "os/futex.hpp"
#include "sched/report.hpp"
#include "sched/retake.hpp"

namespace weft {

namespace {

constexpr int stop_signal = SIGURG;  // Go's choice: ignored unless asked for, and hardly ever asked for

atomic<std::uint32_t> stand_still{0};
struct sigaction previous;

void on_stop(int number, siginfo_t* info, void* context) {
  m* mp = self()->mp;
  if (!mp || stand_still.load(std::memory_order_acquire) == 0) {  // [mo:stand_still]
    if (previous.sa_flags & SA_SIGINFO) previous.sa_sigaction(number, info, context);
    else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) previous.sa_handler(number);
    return;
  }
  if (mp->in_rt.load(std::memory_order_relaxed)) return;
  const int error = *mp->err;
  mp->held_up.store(true, std::memory_order_release);  // [mo:held_up] pairs with the acquire in stands_still()
  while (stand_still.load(std::memory_order_acquire) != 0) os::futex_wait(stand_still, 1);  // [mo:stand_still]
  mp->held_up.store(false, std::memory_order_relaxed);
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

// An M without a goroutine runs nothing of the user's, but for guests of its own stack, and without a P gets nothing to run.
// call_c() is stopped like any code of the user's; a switch hook is waited for.
WEFT_UNSANITIZED bool stands_still(m* mp) noexcept {
  if (mp->held_up.load(std::memory_order_acquire)) return true;  // [mo:held_up]
  // [mo:visits] acquire, pairs with visit_to_g0: no goroutine, and no guest came or went while we looked.
  const std::uint32_t visits = mp->visits.load(std::memory_order_acquire);
  return (visits & 1) == 0 && __atomic_load_n(&mp->curg, __ATOMIC_ACQUIRE) == nullptr && mp->visits.load(std::memory_order_acquire) == visits;  // [mo:visits]
}

template <class F>
void for_each_m(F f) noexcept {
  for (m_node* n = sched.all_ms.load(std::memory_order_acquire); n; n = n->next) f(n->get());  // [mo:all_ms]
}

}  // namespace

namespace detail {

void stop_the_world(void (*f)(void*), void* arg) {
  if (!current_g()) fatal("stop_the_world: not called by a goroutine");
  const stopped_world no_ps;
  m* me = self()->mp;
  install_handler();
  stand_still.store(1, std::memory_order_release);  // [mo:stand_still]
  for_each_m([&](m* mp) {
    if (mp != me) mp->taking.store(true, std::memory_order_release);  // [mo:taking]
  });
  for (int rounds = 0;; rounds++) {
    bool all = true;
    for_each_m([&](m* mp) {
      if (mp == me || stands_still(mp)) return;
      all = false;
      // It has a goroutine and nobody to give it to, so the thread lives. The signal may take a while on a busy machine: not too many.
      if (rounds % 16 == 0) ::pthread_kill(mp->thread, stop_signal);
    });
    if (all) break;
    const timespec pause{0, 10'000};
    ::nanosleep(&pause, nullptr);
    if (rounds == 100'000) error_text() << "weft: stop_the_world: a thread does not take SIGURG; is it blocked there?\n";
  }
  f(arg);
  for_each_m([&](m* mp) {
    if (mp != me) mp->taking.store(false, std::memory_order_release);  // [mo:taking]
  });
  stand_still.store(0, std::memory_order_release);  // [mo:stand_still]
  os::futex_wake(stand_still, INT32_MAX);
}

}  // namespace detail
}  // namespace weft
