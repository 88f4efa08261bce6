// Stopping the world (sched/stop.cpp), a function for every P (sched/for_each_p.cpp), the gate (sched/pause.cpp), timers that change heaps (work/timers.cpp), and unstarted tasks (task/task.cpp): as shipped.
#include <utility>

#include <weft/async.hpp>
#include <weft/blocking.hpp>
#include <weft/pause.hpp>
#include <weft/this_goroutine.hpp>

#include "sched/for_each_p.hpp"
#include "sched/in_runtime.hpp"
#include "sched/upcalls.hpp"
#include "world.hpp"

namespace weft {
namespace {

using model::join;
using model::on_thread;
using model::settle;
using model::without_membarrier;
using model::world;

constexpr std::int64_t second = 1'000'000'000;

// While the world stands still, nobody but the stopper runs; afterwards all that was runnable runs.
void stop_and_start() {
  world w(2);
  atomic<int> ran{0};
  model::name(ran, "ran");
  model::plain<int> world_state{0, "what needs a stopped world"};
  const auto touch = [&] {
    world_state.set(world_state.get() + 1);
    ran.fetch_add(1, std::memory_order_relaxed);
  };
  g* stopper = w.goroutine([&] {
    const stopped_world stopped;
    touch();
  });
  g* other = w.goroutine(touch);
  MODEL_CHECK(w.of(0)->queue.try_put(stopper));
  MODEL_CHECK(w.of(1)->queue.try_put(other));
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 2);
}
MODEL_OF(stop, nobody_runs_while_the_world_is_stopped, stop_and_start, 2, 1, 40'000, 6'000)

// Two want to stop it at once.
void two_stoppers() {
  world w(2);
  atomic<int> ran{0};
  model::name(ran, "ran");
  for (int i = 0; i < 2; i++) {
    g* gp = w.goroutine([&] {
      { const stopped_world stopped; }
      ran.fetch_add(1, std::memory_order_relaxed);
    });
    MODEL_CHECK(w.of(i)->queue.try_put(gp));
  }
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 2);
}
MODEL_OF(stop, two_stoppers_take_turns, two_stoppers, 2, 1, 40'000, 6'000)

constexpr int set_aside_unseen = 6;

// blocking() as it must not be: the P is put with those that want a thread, by one that did not see the world being stopped.
void give_up_unseen() {
  m* mp = self()->mp;
  enter_runtime(mp);
  p* pp = mp->pp ? releasep(mp) : nullptr;
  const bool stopping = sched.stopping.load(std::memory_order_relaxed);
  lock_guard hold(sched.lock);
  if (pp && stopping) p_stopped_locked(pp);
  else if (pp) pp->link = std::exchange(sched.waiting_ps, pp);
  leave_runtime(mp);
}

// Each P comes to rest once, wherever it is: with a goroutine that gives it up for a call, between two threads, or in want of one.
void stop_and_hand_over(int soft_ms) {
  world w(2);
  sched.soft_ms = soft_ms;
  atomic<int> ran{0};
  model::name(ran, "ran");
  g* stopper = w.goroutine([&] {
    {
      const stopped_world stopped;
      MODEL_CHECK(sched.stop_wait == 0 && !sched.idle_ps && !sched.waiting_ps);
      for (int i = 0; i < 2; i++) MODEL_CHECK(w.of(i)->status.load(std::memory_order_relaxed) == p::state::stopped);
    }
    ran.fetch_add(1, std::memory_order_relaxed);
  });
  g* other = w.goroutine([&] { ran.fetch_add(1, std::memory_order_relaxed); });
  g* caller = w.goroutine([&] {
    model::submit(other);
    if (model::knob() == set_aside_unseen) give_up_unseen();
    else blocking([] { model::system_call(); });
    ran.fetch_add(1, std::memory_order_relaxed);
  });
  MODEL_CHECK(w.of(0)->queue.try_put(stopper));
  MODEL_CHECK(w.of(1)->queue.try_put(caller));
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 3);
  MODEL_CHECK(!sched.waiting_ps && sched.idle_p_count.load(std::memory_order_relaxed) == 2);
}
void stop_and_hand_over() { stop_and_hand_over(512); }
void stop_and_want_threads() { stop_and_hand_over(2); }
MODEL_OF(stop, each_p_is_counted_once_as_ps_change_hands, stop_and_hand_over, 2, 1, 30'000, 4'000)
MUTANT_OF(stop, a_p_is_not_counted_if_set_aside_unseen, stop_and_hand_over, .knob = set_aside_unseen)
MODEL_OF(stop, each_p_is_counted_once_for_want_of_threads, stop_and_want_threads, 2, 1, 30'000, 4'000)

// What belongs to a P's holder, and how often for_each_p() has been there.
struct of_p {
  model::plain<int> used{0, "what belongs to the P's holder"};
  int visits = 0;
};
struct each_p {
  of_p of[2];
  void use() {
    m* mp = self()->mp;
    const in_runtime inside(mp);
    if (p* pp = mp->pp) of[pp->id].used.set(of[pp->id].used.get() + 1);
  }
  static void visit(p* pp, void* arg) noexcept {
    of_p& o = static_cast<each_p*>(arg)->of[pp->id];
    o.used.set(o.used.get() + 1);
    o.visits++;
  }
};

// One asks for a visit of each P, another comes into weft and leaves it, gives its P up, and goes on with whatever P there is.
void visit_each(void (*between)()) {
  world w(2);
  each_p ps;
  atomic<int> ran{0};
  model::name(ran, "ran");
  g* asks = w.goroutine([&] {
    MODEL_CHECK(for_each_p(&each_p::visit, &ps));
    for (const of_p& one : ps.of) MODEL_CHECK(one.visits == 1);
    ran.fetch_add(1, std::memory_order_relaxed);
  });
  g* other = w.goroutine([&] {
    ps.use();
    between();
    ps.use();
    ran.fetch_add(1, std::memory_order_relaxed);
  });
  MODEL_CHECK(w.of(0)->queue.try_put(asks));
  MODEL_CHECK(w.of(1)->queue.try_put(other));
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 2);
  MODEL_CHECK(sched.idle_p_count.load(std::memory_order_relaxed) == 2);
}
void visit_one_that_computes() {
  visit_each([] { model::sleep_until(model::now() + 1'000'000); });
}
void visit_one_that_calls() {
  visit_each([] { blocking([] { model::system_call(); }); });
}
void visit_one_that_yields() {
  visit_each([] { this_goroutine::yield(); });
}
MODEL_OF(each_p, is_visited_once_though_its_goroutine_computes, visit_one_that_computes, 2, 1, 30'000, 4'000)
MODEL_OF(each_p, is_visited_once_as_it_is_handed_over, visit_one_that_calls, 2, 1, 30'000, 4'000)
MODEL_OF(each_p, is_visited_once_in_its_laps, visit_one_that_yields, 2, 1, 30'000, 4'000)
MUTANT_OF(each_p, is_in_two_hands_without_the_barrier, visit_one_that_computes, .no_barrier = true)
MUTANT_OF(each_p, is_in_two_hands_if_entering_is_relaxed, visit_one_that_computes, .weaken = "enter_runtime")

// Two ask at once, and a third wants the world to stop.
void visits_take_turns() {
  world w(2);
  each_p ps;
  atomic<int> ran{0};
  model::name(ran, "ran");
  g* asks = w.goroutine([&] {
    MODEL_CHECK(for_each_p(&each_p::visit, &ps));
    ran.fetch_add(1, std::memory_order_relaxed);
  });
  g* stops = w.goroutine([&] {
    {
      const stopped_world stopped;
      MODEL_CHECK(sched.safe_point_wait == 0);
    }
    MODEL_CHECK(for_each_p(&each_p::visit, &ps));
    ran.fetch_add(1, std::memory_order_relaxed);
  });
  MODEL_CHECK(w.of(0)->queue.try_put(asks));
  MODEL_CHECK(w.of(1)->queue.try_put(stops));
  w.start(0);
  w.start(1);
  w.start_monitor();  // who yields has it make the thread for an idle P
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 2);
  for (const of_p& one : ps.of) MODEL_CHECK(one.visits == 2);
}
MODEL_OF(each_p, is_visited_by_one_after_the_other, visits_take_turns, 2, 1, 30'000, 4'000)

constexpr int opened_too_late = 7;

// The end of a pause as it must not be: the gate is open when those that were set aside have gone, and the lock with them.
void go_on_too_late() {
  {
    lock_guard hold(sched.lock);
    current_g()->flags &= static_cast<std::uint16_t>(~g_pauser);
    while (runnable* r = sched.held.pop_front()) sched.global.put(r);
  }
  sched.gate.store(0, std::memory_order_relaxed);
  wakep();
}

// While one has paused all others it is alone, and then all run: those that were set aside, and those that were just about to be.
void pause_and_go_on() {
  world w(2);
  atomic<int> ran{0};
  model::name(ran, "ran");
  model::name(sched.gate, "sched.gate");
  model::plain<int> alone{0, "what needs a pause"};
  const auto touch = [&] {
    alone.set(alone.get() + 1);
    ran.fetch_add(1, std::memory_order_relaxed);
  };
  g* third = w.goroutine([&] { ran.fetch_add(1, std::memory_order_relaxed); });
  g* pauses = w.goroutine([&] {
    alignas(paused_goroutines) char memory[sizeof(paused_goroutines)];
    auto* pause = ::new (memory) paused_goroutines;
    model::submit(third);
    touch();
    if (model::knob() == opened_too_late) go_on_too_late();
    else pause->~paused_goroutines();
  });
  g* other = w.goroutine([&] {
    const paused_goroutines pause;
    touch();
  });
  MODEL_CHECK(w.of(0)->queue.try_put(pauses));
  MODEL_CHECK(w.of(1)->queue.try_put(other));
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 3);
  MODEL_CHECK(sched.held.empty() && sched.gate.load(std::memory_order_relaxed) == 0);
}
MODEL_OF(pause, leaves_one_alone_and_nobody_behind, pause_and_go_on, 2, 1, 40'000, 6'000)
MUTANT_OF(pause, leaves_somebody_behind_if_it_opens_too_late, pause_and_go_on, .knob = opened_too_late)

// A timer fires once or is removed once, whoever comes first, though it moves to another heap meanwhile.
void timer_fires_or_is_removed() {
  world w(2);
  timer_heap& from = w.of(0)->timers;
  timer_heap& to = w.of(1)->timers;
  g* gp = w.goroutine([] {});
  heap_timer t;
  model::name(t.heap, "timer.heap");
  t.when = 5;
  t.arg = gp;
  t.fire = [](heap_timer* one, due_list& due) noexcept { due.push_back(static_cast<g*>(one->arg)); };
  from.add(&t);
  due_list woken, woken_later;
  bool removed = false;
  on_thread([&] { from.run(10, woken); });
  on_thread([&] { removed = timer_heap::remove(&t); });
  on_thread([&] { from.move_to(to); });
  join();
  to.run(10, woken_later);
  MODEL_CHECK(woken.size + woken_later.size + removed == 1);
  MODEL_CHECK(to.earliest() == timer_heap::never && from.earliest() == timer_heap::never);
}
MODEL_OF(timers, a_timer_fires_once_or_is_removed, timer_fires_or_is_removed, 4, 1)

constexpr int without_removal = 5;

// When remove() says that it is gone, the frame that it lay in may go.
void timer_in_a_frame() {
  world w(1);
  timer_heap& heap = w.of(0)->timers;
  g* gp = w.goroutine([] {});
  alignas(heap_timer) static char memory[sizeof(heap_timer)];
  auto* t = ::new (memory) heap_timer;
  model::name(t->heap, "timer.heap");
  t->when = 5;
  t->arg = gp;
  t->fire = [](heap_timer* one, due_list& due) noexcept { due.push_back(static_cast<g*>(one->arg)); };
  heap.add(t);
  due_list woken;
  on_thread([&] { heap.run(10, woken); });
  on_thread([t] {
    if (model::knob() != without_removal) timer_heap::remove(t);
    t->~heap_timer();
  });
  join();
}
MODEL_OF(timers, nobody_touches_a_timer_that_was_removed, timer_in_a_frame, 4, 2)
MUTANT_OF(timers, a_timer_that_was_not_is_touched, timer_in_a_frame, .knob = without_removal)

// A task that is started while the only other M goes to sleep is run by it, though its starter goes on.
void task_arrives() {
  world w(2);
  atomic<int> ran{0};
  model::name(ran, "ran");
  g* busy = w.goroutine([&] {
    auto t = async([&] { ran.store(1, std::memory_order_release); });
    while (ran.load(std::memory_order_acquire) == 0) cpu_relax();
    t.join();
  });
  MODEL_CHECK(w.of(0)->queue.try_put(busy));
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(task, a_task_is_not_stranded, task_arrives, 2, 1, 20'000, 20'000)
void task_arrives_without_membarrier() {
  model::set_knob(without_membarrier);
  task_arrives();
}
MODEL_OF(task, a_task_is_not_stranded_without_membarrier, task_arrives_without_membarrier, 2, 1, 20'000, 20'000)

// Who joins a task and who runs it: the value is there, and the last of the two frees it.
void task_joined() {
  world w(2);
  int got = 0;
  g* joiner = w.goroutine([&] {
    auto t = async([] { return 7; });
    got = t.join();
  });
  MODEL_CHECK(w.of(0)->queue.try_put(joiner));
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(got == 7);
}
MODEL_OF(task, a_join_gets_the_value, task_joined, 2, 0, 60'000)

}  // namespace
}  // namespace weft
