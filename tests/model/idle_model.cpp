// Going to sleep and waking up (sched/idle.cpp, sched/find_runnable.cpp, as shipped): work never stays behind while all sleep.
#include <sys/epoll.h>

#include <weft/this_goroutine.hpp>

#include "machine.hpp"
#include "sched/park.hpp"
#include "work/netpoll.hpp"
#include "world.hpp"

namespace weft {
namespace {

using model::no_barrier_in_go_idle;
using model::on_thread;
using model::settle;
using model::without_membarrier;
using model::world;

constexpr std::int64_t second = 1'000'000'000;  // less than an idle thread stays

// The same where the kernel has no membarrier, so that submitters and thieves have fences of their own.
template <void (*body)()>
void no_membarrier() {
  model::set_knob(without_membarrier);
  body();
}

// A busy goroutine makes another one runnable while the only other M gives up its search: either that M's last look finds it, or the
// submitter sees that nobody searches and wakes one.
void work_arrives() {
  world w(2);
  atomic<int> ran{0};
  model::name(ran, "ran");
  g* work = w.goroutine([&] { ran.store(1, std::memory_order_release); });
  g* busy = w.goroutine([&] {
    put_back(self()->mp->pp, work);
    wakep();
    while (ran.load(std::memory_order_acquire) == 0) cpu_relax();
  });
  MODEL_CHECK(w.of(0)->queue.try_put(busy));
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(idle, work_arrives_as_the_last_searcher_leaves, work_arrives, 2, 1, 100'000)
MODEL_OF(idle, work_arrives_without_membarrier, no_membarrier<&work_arrives>, 2, 1, 100'000)
MUTANT_OF(idle, a_goroutine_runs_twice_without_the_barrier, work_arrives, .no_barrier = true)
MUTANT_OF(idle, work_is_stranded_without_the_last_barrier, work_arrives, .knob = no_barrier_in_go_idle)
MUTANT_OF(idle, work_is_stranded_without_the_fences, work_arrives, .no_fence = true, .knob = without_membarrier)

// A thread without a P leaves work in the global queue while the last M goes to sleep.
void foreign_work() {
  world w(1);
  atomic<int> ran{0};
  model::name(ran, "ran");
  g* work = w.goroutine([&] { ran.store(1, std::memory_order_release); });
  w.start(0);
  on_thread([&] { put_global(work); });
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(idle, work_from_a_foreign_thread_is_found, foreign_work, 3, 1)
MODEL_OF(idle, work_from_a_foreign_thread_without_membarrier, no_membarrier<&foreign_work>, 3, 1)
MUTANT_OF(idle, work_from_a_foreign_thread_is_stranded_with_a_relaxed_lock, foreign_work, .weaken = "lock_word")
MUTANT_OF(idle, work_from_a_foreign_thread_is_stranded_if_one_leaves_the_search_after_the_lock, foreign_work, .late = "go_idle")

// Two that submit at once wake one searcher, and that one wakes the next: all of it is run, by as many as there are.
void two_submit() {
  world w(2);
  atomic<int> ran{0};
  model::name(ran, "ran");
  g* work[2];
  for (g*& gp : work) {
    gp = w.goroutine([&] {
      ran.fetch_add(1, std::memory_order_acq_rel);
      while (ran.load(std::memory_order_acquire) != 2) cpu_relax();  // both must run at the same time
    });
    gp->status.store(g_status::waiting, std::memory_order_relaxed);
  }
  w.start(0);
  w.start(1);
  on_thread([&] {
    ready(work[0]);
    ready(work[1]);
  });
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 2);
}
MODEL_OF(idle, a_searcher_that_finds_work_wakes_the_next, two_submit, 2, 0, 60'000)

// A timer is added while the only idle M is about to wait in the poller, or waits there for a later one. The sleeper must not be late.
void timer_arrives() {
  world w(2);
  atomic<int> ran{0};
  model::name(ran, "ran");
  constexpr std::int64_t soon = 1'000'000, later = 500'000'000;
  g* long_sleeper = w.goroutine([&] { this_goroutine::sleep_for(std::chrono::nanoseconds(later)); });
  g* sleeper = w.goroutine([&] {
    const std::int64_t from = model::now();
    this_goroutine::sleep_for(std::chrono::nanoseconds(soon));
    MODEL_CHECK(model::now() - from < later / 2);
    ran.store(1, std::memory_order_release);
  });
  MODEL_CHECK(w.of(1)->queue.try_put(long_sleeper));
  MODEL_CHECK(w.of(0)->queue.try_put(sleeper));
  w.start(0);
  w.start(1);
  settle(soon * 2);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(idle, a_timer_is_not_late_for_one_that_polls, timer_arrives, 2, 0, 60'000)

void wait_until_readable(int fd) {
  poll_desc* pd = poll_open(fd);
  auto& slot = pd->slot[0];
  std::uintptr_t old = poll_desc::nothing;
  if (slot.compare_exchange_strong(old, poll_desc::preparing, std::memory_order_seq_cst)) {
    park_anyone(current_g(), &poll_commit, &slot, wait_reason::io_wait);
  }
}

// A goroutine that a descriptor's readiness wakes, while Ms go to sleep: one of them must wait in the poller.
void descriptor_ready() {
  world w(1);
  atomic<int> ran{0};
  model::name(ran, "ran");
  g* reader = w.goroutine([&] {
    wait_until_readable(5);
    ran.store(1, std::memory_order_release);
  });
  MODEL_CHECK(w.of(0)->queue.try_put(reader));
  w.start(0);
  on_thread([&] { model::make_ready(5, EPOLLIN); });
  settle(second);
  MODEL_CHECK(ran.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(idle, a_ready_descriptor_wakes_its_goroutine, descriptor_ready, 3, 1)

// The monitor looks at the network, which nobody has done for long, as the last M goes to sleep: that one must not take what the monitor
// has in its hand for nothing, and report a deadlock.
void monitor_polls() {
  world w(1);
  sched.deadlock.store(deadlock_policy::fatal, std::memory_order_relaxed);
  g* reader = w.goroutine([&] {
    wait_until_readable(5);
    sched.outsiders.store(1, std::memory_order_relaxed);  // from here on it would be one
  });
  MODEL_CHECK(w.of(0)->queue.try_put(reader));
  w.start(0);
  on_thread([&] {
    model::make_ready(5, EPOLLIN);
    static_cast<void>(monitor(model::now() + second));
  });
  settle(second);
  MODEL_CHECK(sched.outsiders.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(idle, what_the_monitor_has_fetched_is_no_deadlock, monitor_polls, 3, 1, 50'000, 100'000)

}  // namespace
}  // namespace weft
