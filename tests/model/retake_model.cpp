// Ps that are taken away (sched/in_runtime.hpp, retake.cpp, syscall.cpp, sysmon.cpp, as shipped): a P is held by one, and whoever
// lost his goes on.
#include <initializer_list>
#include <vector>

#include <weft/blocking.hpp>
#include <weft/this_goroutine.hpp>

#include "sched/in_runtime.hpp"
#include "sched/retake.hpp"
#include "world.hpp"

namespace weft {
namespace {

using model::join;
using model::on_thread;
using model::settle;
using model::without_membarrier;
using model::world;

constexpr std::int64_t us = 1'000, ms = 1'000'000, second = 1'000'000'000;
constexpr int cleared_too_early = 11, read_too_early = 12, no_monitor = 13;

// take_p_locked() as it must not be: the holder may go on before the P is gone.
bool take_and_clear_too_early(p* pp) {
  m* mp = pp->mp.load(std::memory_order_acquire);
  if (!mp) return false;
  mp->taking.store(true, std::memory_order_seq_cst);
  barrier_on_all_threads();
  const bool taken = !mp->in_rt.load(std::memory_order_acquire) && mp->pp == pp;
  mp->taking.store(false, std::memory_order_release);
  if (!taken) return false;
  mp->pp = nullptr;
  pp->mp.store(nullptr, std::memory_order_relaxed);
  return true;
}

// A holder enters and leaves and works on its P in between; another one takes the P and works on it too.
void enter_and_take() {
  world w(1);
  p* pp = w.of(0);
  model::plain<int> used{0, "what belongs to the P's holder"};
  const auto use = [&] { used.set(used.get() + 1); };
  m* holder = make_m();
  m* taker = make_m();
  model::name(*holder, "holder");
  model::name(holder->taking, "holder.taking");
  model::name(holder->in_rt, "holder.in_rt");
  model::name(holder->pp, "holder.pp");
  acquirep(holder, pp);
  leave_runtime(holder);
  on_thread([&] {
    for (int i = 0; i < 2; i++) {
      p* early = holder->pp;
      const in_runtime inside(holder);
      p* mine = model::knob() == read_too_early ? early : +holder->pp;
      if (mine) use();
    }
  });
  on_thread([&] {
    bool taken;
    {
      lock_guard hold(sched.lock);
      taken = model::knob() == cleared_too_early ? take_and_clear_too_early(pp) : take_p_locked(pp) == holder;
    }
    if (!taken) return;
    acquirep(taker, pp);
    use();
  });
  join();
}
MODEL_OF(taking, a_p_is_used_by_its_holder_or_by_the_taker, enter_and_take, 4, 2)
MUTANT_OF(taking, both_use_it_without_the_barrier, enter_and_take, .no_barrier = true)
MUTANT_OF(taking, both_use_it_if_the_taker_lets_go_too_early, enter_and_take, .knob = cleared_too_early)
MUTANT_OF(taking, both_use_it_if_it_was_read_before, enter_and_take, .knob = read_too_early)
MUTANT_OF(taking, both_use_it_if_entering_is_relaxed, enter_and_take, .weaken = "enter_runtime")
MUTANT_OF(taking, both_use_it_if_leaving_is_relaxed, enter_and_take, .weaken = "leave_runtime")

template <void (*body)()>
void no_membarrier() {
  model::set_knob(without_membarrier);
  body();
}

// What a goroutine does with its P, and what all of them share with one P.
struct one_p {
  world w{1};
  model::plain<int> used{0, "what belongs to the P's holder"};
  atomic<int> ended{0};
  one_p() { model::name(ended, "ended"); }
  void use() {
    m* mp = self()->mp;
    const in_runtime inside(mp);
    if (mp->pp) used.set(used.get() + 1);
  }
  void end() { ended.fetch_add(1, std::memory_order_relaxed); }
  // One more thread for who loses his P, and the monitor.
  void go(g* first, std::initializer_list<std::int64_t> looks) {
    MODEL_CHECK(w.of(0)->queue.try_put(first));
    w.start(0);
    w.start_idle();
    std::vector<std::int64_t> times(looks);
    on_thread([times] {
      for (const std::int64_t at : times) {
        model::sleep_until(second + at);
        static_cast<void>(monitor(model::now()));
      }
    });
  }
  void all_ended(int n) {
    settle(second);
    MODEL_CHECK(ended.load(std::memory_order_relaxed) == n);
    MODEL_CHECK(sched.idle_p_count.load(std::memory_order_relaxed) == 1);
    MODEL_CHECK(sched.displaced.load(std::memory_order_relaxed) == 0);
    MODEL_CHECK(sched.spinning.load(std::memory_order_relaxed) == 0);
  }
};

// A call returns as the monitor takes the P for another goroutine.
void call_returns() {
  one_p o;
  g* other = o.w.goroutine([&] { o.use(), o.end(); });
  g* caller = o.w.goroutine([&] {
    model::submit(other);
    system_call([] { model::sleep_until(second + 20 * us); });
    o.use();
    o.use();
    o.end();
  });
  o.go(caller, {0, 20 * us});
  o.all_ended(2);
}
MODEL_OF(call, a_p_is_held_by_one_when_a_call_returns_as_it_is_taken, call_returns, 2, 1, 30'000)
MODEL_OF(call, a_p_is_held_by_one_without_membarrier, no_membarrier<&call_returns>, 2, 1, 20'000)
MUTANT_OF(call, a_p_is_held_by_two_without_the_barrier, call_returns, .no_barrier = true)

// One that is known to block gives its P up first.
void long_call() {
  one_p o;
  g* other = o.w.goroutine([&] { o.use(), o.end(); });
  g* caller = o.w.goroutine([&] {
    model::submit(other);
    blocking([] { model::system_call(); });
    o.use();
    o.end();
  });
  o.go(caller, {0});
  o.all_ended(2);
}
MODEL_OF(call, one_that_blocks_goes_on_afterwards, long_call, 2, 1, 20'000)

// A call that waits for weft after all: it goes on on another thread, and neither of the two is in a call then.
void call_that_parks() {
  one_p o;
  const auto in_no_call = [] { MODEL_CHECK((self()->mp->calls.load(std::memory_order_relaxed) & 1) == 0); };
  g* other = o.w.goroutine([&] { in_no_call(), o.use(), o.end(); });
  g* caller = o.w.goroutine([&] {
    model::submit(other);
    blocking([] { this_goroutine::sleep_for(std::chrono::microseconds(10)); });
    in_no_call();
    o.use();
    o.end();
  });
  o.go(caller, {0, 20 * us});
  o.all_ended(2);
}
MODEL_OF(call, one_that_parks_is_none, call_that_parks, 2, 1, 20'000)

// One that computes loses its P, and gets on: it yields, and sleeps, without one.
void hog() {
  one_p o;
  g* other = o.w.goroutine([&] { o.use(), o.end(); });
  g* computes = o.w.goroutine([&] {
    model::submit(other);
    model::sleep_until(second + 11 * ms);
    o.use();
    this_goroutine::yield();
    o.use();
    this_goroutine::sleep_for(std::chrono::microseconds(10));
    o.use();
    o.end();
  });
  o.go(computes, {0, 10 * ms, 11 * ms});
  o.all_ended(2);
}
MODEL_OF(call, one_that_computes_goes_on_without_its_p, hog, 2, 1, 30'000)
MUTANT_OF(call, one_that_computes_uses_a_p_of_others_without_the_barrier, hog, .no_barrier = true)

// Where nobody can take it, it gives its P up itself, at a safe point, and the monitor, which that wakes, hands it over.
void hog_with_safe_points() {
  one_p o;
  g* other = o.w.goroutine([&] { o.use(), o.end(); });
  g* computes = o.w.goroutine([&] {
    model::submit(other);
    m* mp = self()->mp;
    {
      const lock_guard hold(sched.lock);
      o.w.of(0)->give_up_at = laps_of(o.w.of(0));  // as the monitor has it
    }
    give_up_wanted_p(mp);
    o.use();
    this_goroutine::yield();
    o.use();
    o.end();
  });
  MODEL_CHECK(o.w.of(0)->queue.try_put(computes));
  o.w.start(0);
  o.w.start_idle();
  if (model::knob() != no_monitor) o.w.start_monitor();
  o.all_ended(2);
}
MODEL_OF(call, one_with_safe_points_goes_on_without_its_p, no_membarrier<&hog_with_safe_points>, 2, 1, 30'000)
MUTANT_OF(call, one_with_safe_points_has_its_p_lost_without_the_monitor, hog_with_safe_points, .knob = no_monitor)

}  // namespace
}  // namespace weft
