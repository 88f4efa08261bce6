// Goroutines that are locked to threads (sched/locked.cpp, as shipped): whoever finds one hands his P to its thread, which sleeps or is
// about to. No hand-over is lost, and none is made twice (the note would say so).
#include <weft/this_goroutine.hpp>

#include "sched/park.hpp"
#include "world.hpp"

namespace weft {
namespace {

using model::settle;
using model::world;

constexpr std::int64_t second = 1'000'000'000;
constexpr int note_left_woken = 21;

struct shared {
  world w;
  model::plain<int> used{0, "what belongs to the P's holder"};
  atomic<int> ended{0};
  explicit shared(int procs) : w(procs) {
    model::name(ended, "ended");
    model::set_tick(4'000);  // so that a look at the note for 10 us ends
  }
  void locked(int laps) {
    this_goroutine::lock_thread();
    if (model::knob() == note_left_woken) self()->mp->parked.wake();
    const int thread = model::current();
    for (int i = 0; i < laps; i++) {
      used.set(used.get() + 1);
      this_goroutine::yield();
      MODEL_CHECK(model::current() == thread);
    }
    used.set(used.get() + 1);
    this_goroutine::unlock_thread();
    ended.fetch_add(1, std::memory_order_relaxed);
  }
  void all_ended(int n, int idle) {
    w.start_monitor();  // a locked thread has it make the threads that it needs
    settle(second);
    MODEL_CHECK(ended.load(std::memory_order_relaxed) == n);
    MODEL_CHECK(sched.idle_p_count.load(std::memory_order_relaxed) == idle && sched.locked_idle == 0);
  }
};

// Two that yield to each other on one P, which goes from thread to thread; what one did with it, the other sees.
void two_locked() {
  shared s(1);
  for (int i = 0; i < 2; i++) MODEL_CHECK(s.w.of(0)->queue.try_put(s.w.goroutine([&s] { s.locked(1); })));
  s.w.start(0);
  s.w.start_idle();
  s.all_ended(2, 1);
}
MODEL_OF(locked, a_p_goes_from_thread_to_thread, two_locked, 2, 1, 12'000)
MUTANT_OF(locked, what_was_done_on_a_p_is_not_seen_if_waking_is_relaxed, two_locked, .weaken = "wake")
MUTANT_OF(locked, a_note_that_was_left_woken_wakes_too_early, two_locked, .knob = note_left_woken)

// One that goes round until another one, on the same P, has done something: yield() lets that one run.
void yields_until() {
  shared s(1);
  atomic<bool> done{false};
  model::name(done, "done");
  g* waits = s.w.goroutine([&] {
    this_goroutine::lock_thread();
    for (int i = 0; i < 3 && !done.load(std::memory_order_relaxed); i++) this_goroutine::yield();
    MODEL_CHECK(done.load(std::memory_order_relaxed));
    s.locked(0);
  });
  g* acts = s.w.goroutine([&] {
    done.store(true, std::memory_order_relaxed);
    s.ended.fetch_add(1, std::memory_order_relaxed);
  });
  MODEL_CHECK(s.w.of(0)->queue.try_put(waits));
  MODEL_CHECK(s.w.of(0)->queue.try_put(acts));
  s.w.start(0);
  s.all_ended(2, 1);
}
MODEL_OF(locked, one_that_yields_lets_others_run, yields_until, 2, 0, 10'000)

// It is made ready by another P's goroutine while its thread goes to sleep.
void woken_from_elsewhere() {
  shared s(2);
  atomic<g*> parked{nullptr};
  model::name(parked, "parked");
  g* one = s.w.goroutine([&] {
    this_goroutine::lock_thread();
    const int thread = model::current();
    park([](g* gp) noexcept { return static_cast<atomic<g*>*>(gp->commit_arg)->store(gp, std::memory_order_release), true; }, &parked, wait_reason::none);
    MODEL_CHECK(model::current() == thread);
    s.locked(0);
  });
  g* waker = s.w.goroutine([&] {
    g* gp;
    while (!(gp = parked.load(std::memory_order_acquire))) cpu_relax();
    ready(gp);
    s.ended.fetch_add(1, std::memory_order_relaxed);
  });
  MODEL_CHECK(s.w.of(0)->queue.try_put(one));
  MODEL_CHECK(s.w.of(1)->queue.try_put(waker));
  s.w.start(0);
  s.w.start(1);
  s.all_ended(2, 2);
}
MODEL_OF(locked, one_that_is_made_ready_as_its_thread_goes_to_sleep_runs, woken_from_elsewhere, 2, 1, 40'000)

}  // namespace
}  // namespace weft
