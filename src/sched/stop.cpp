// sched/stop.cpp: the world of Ps can be stopped: for a change of their number, and for the end of run().
// Who stops it takes the idle Ps itself and asks the others, which come to stop_here() at their next long lap: the raised
// attention makes that their next lap; and who is in code of the user's loses its P and runs on (in_runtime.hpp). So it never
// waits for user code.
#include "sched/carrier.hpp"
#include "sched/lap.hpp"
#include "sched/retake.hpp"
#include "sched/upcalls.hpp"
#include "work/netpoll.hpp"

#include <cstdlib>
#include <new>
#include <utility>

#include <weft/this_goroutine.hpp>

namespace weft {

namespace {

atomic<bool> stopper{true};  // one at a time; the others go on running until it is their turn. The first run() begins as the next ones do

void raise_all(std::uint32_t bits) noexcept {
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    // [mo:attention] release: the condition was stored before, and is seen by who takes the bit.
    if (p* pp = sched.ps[i].load(std::memory_order_relaxed)) pp->attention.fetch_or(bits, std::memory_order_release);
  }
}

p* make_p(int id) noexcept {
  void* memory = std::aligned_alloc(alignof(p), sizeof(p));
  if (!memory) fatal("out of memory: a processor's record");
  p* pp = ::new (memory) p();
  pp->id = id;
  pp->status.store(p::state::stopped, std::memory_order_relaxed);
  return pp;
}

// What a P that goes leaves behind.
void clear_out_locked(p* pp, p* heir) noexcept {
  slice s;
  g_list left;
  while (runnable* gp = pp->queue.get(s)) left.push_back(gp);
  while (runnable* gp = pp->forked.steal()) left.push_back(gp);
  while (runnable* gp = left.pop_front()) sched.global.put(gp);
  move_carriers(pp, heir);
  heir->fresh.take_over(pp->fresh);
  pp->timers.move_to(heir->timers);
  if (task_hooks.leave) task_hooks.leave(pp, heir);
  while (g* gp = pp->free_gs) {
    pp->free_gs = static_cast<g*>(gp->link);
    gp->link = sched.free_gs;
    sched.free_gs = gp;
  }
  pp->free_count = 0;
  if (g* full = pp->spare_gs) {
    pp->spare_gs = nullptr;
    full->batch = sched.free_batches;
    sched.free_batches = full;
  }
  sched.free_hint.store(1, std::memory_order_relaxed);
  stacks_give(sched.stack_size_class, pp->stacks, pp->stack_count);
  pp->stack_count = 0;
  pp->status.store(p::state::dead, std::memory_order_relaxed);
}

}  // namespace

void stop_counts::add(std::int64_t asked, std::int64_t stopped, std::int64_t end) noexcept {
  const auto waited = static_cast<std::uint64_t>(stopped - asked), stood = static_cast<std::uint64_t>(end - stopped);
  bump(count);
  bump(wait_ns, waited);
  bump(stopped_ns, stood);
  if (waited > longest_wait_ns.load(std::memory_order_relaxed)) longest_wait_ns.store(waited, std::memory_order_relaxed);
  if (stood > longest_stopped_ns.load(std::memory_order_relaxed)) longest_stopped_ns.store(stood, std::memory_order_relaxed);
}

void begin_stop_locked(m* mp) noexcept {
  sched.stop_asked_at = os::now_ns();
  sched.stop_since = 0;
  sched.stop_wait = sched.procs.load(std::memory_order_relaxed);
  sched.stopped.clear();
  sched.stopping.store(true, std::memory_order_release);  // [mo:stop] pairs with the acquire in find_runnable()
  raise_all(attention_stop);
  if (mp && mp->pp) {
    mp->pp->status.store(p::state::stopped, std::memory_order_relaxed);
    sched.stop_wait--;
  }
  while (p* pp = get_idle_p_locked()) {
    pp->status.store(p::state::stopped, std::memory_order_relaxed);
    sched.stop_wait--;
  }
  for (p** list : {&sched.waiting_ps, &sched.given_ps}) {
    while (p* pp = *list) {
      *list = pp->link;
      pp->link = nullptr;
      pp->status.store(p::state::stopped, std::memory_order_relaxed);
      sched.stop_wait--;
    }
  }
}

namespace {

// Those that run code of the user's go on without their P: the world does not wait for them.
void take_ps_of_users() noexcept {
  const int n = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    lock_guard hold(sched.lock);
    p* pp = sched.ps[i].load(std::memory_order_relaxed);
    if (pp->status.load(std::memory_order_relaxed) != p::state::running) continue;
    want_p_locked(pp);  // should it not be taken now; and one that yields at safe points gets in line
    if (take_p_from_call_locked(pp)) p_stopped_locked(pp);
  }
}

}  // namespace

bool wait_until_stopped(std::int64_t limit_ns) noexcept {
  {
    lock_guard hold(sched.lock);
    if (sched.stop_wait == 0) return sched.stop_since = os::now_ns(), true;
  }
  const std::int64_t until = os::add_ns(os::now_ns(), limit_ns);
  // Most come within microseconds; a sleep and its end would take longer.
  if (sched.stopped.spin(10'000)) return sched.stop_since = os::now_ns(), true;
  while (!sched.stopped.sleep_for(100'000)) {
    take_ps_of_users();
    if (os::now_ns() >= until) return false;
    raise_all(attention_stop);
  }
  sched.stop_since = os::now_ns();
  return true;
}

bool try_become_stopper() noexcept { return !stopper.exchange(true, std::memory_order_acquire); }  // [mo:stopper]
// [mo:stopper] release, pairs with the acquire above.
void no_longer_stopper() noexcept { stopper.store(false, std::memory_order_release); }

void begin_stop() noexcept {
  for (;;) {
    m* mp = this_m();
    {
      const in_runtime inside(mp);
      if (!mp || !mp->curg || mp->pp) {  // with a P, which nobody takes while the world is being stopped
        lock_guard hold(sched.lock);
        return begin_stop_locked(mp);
      }
    }
    give_way();
  }
}

stopped_world::stopped_world() noexcept {
  while (!try_become_stopper()) give_way();
  begin_stop();
  static_cast<void>(wait_until_stopped(os::forever_ns));
}

stopped_world::~stopped_world() {
  start_the_world();
  no_longer_stopper();
}

bool stop_for_a_look(m* mp, std::int64_t limit_ns, meanwhile how) noexcept {
  const std::int64_t until = os::add_ns(os::now_ns(), limit_ns);
  const auto pause = [] {
    const timespec t{0, 50'000};
    ::nanosleep(&t, nullptr);
  };
  while (!try_become_stopper()) {
    if (os::now_ns() >= until) return false;
    if (how == meanwhile::yields && mp && mp->curg) {  // whoever stops the world may wait for us
      give_way();
      mp = this_m();
    } else {
      pause();
    }
  }
  while (!sched.lock.try_lock()) {
    if (os::now_ns() >= until) return no_longer_stopper(), false;
    pause();
  }
  begin_stop_locked(mp);
  const bool all = sched.stop_wait == 0;
  sched.lock.unlock();
  while (!all && !sched.stopped.sleep_for(100'000) && os::now_ns() < until) {
    take_ps_of_users();
    raise_all(attention_stop);
  }
  sched.stop_since = os::now_ns();
  return true;
}

void p_stopped_locked(p* pp) noexcept {
  WEFT_INVARIANT(sched.stop_wait > 0, "stop: more Ps than there are", sched.stop_wait);
  pp->status.store(p::state::stopped, std::memory_order_relaxed);
  if (--sched.stop_wait == 0) sched.stopped.wake();
}

void stop_here(m* mp) noexcept {
  if (mp->spinning) {
    mp->spinning = false;
    sched.spinning.fetch_sub(1, std::memory_order_seq_cst);  // [mo:idle]
  }
  p* pp = releasep(mp);
  bool in_time;
  {
    lock_guard hold(sched.lock);
    in_time = sched.stopping.load(std::memory_order_relaxed);
    if (in_time) {
      pp->stopped_by = mp;
      p_stopped_locked(pp);
    }
  }
  if (in_time) stopm(mp);
  else acquirep(mp, pp);  // after a stop for a limited time
}

void give_up_p(m* mp) noexcept {
  if (mp->pp) handoffp(releasep(mp));
}

void resize_procs_locked(m* mp, int n) noexcept {
  const int old = sched.procs.load(std::memory_order_relaxed);
  for (int i = 0; i < n; i++) {
    if (p* pp = sched.ps[i].load(std::memory_order_relaxed)) {
      if (pp->status.load(std::memory_order_relaxed) == p::state::dead) pp->status.store(p::state::stopped, std::memory_order_relaxed);
    } else {
      sched.ps[i].store(make_p(i), std::memory_order_release);  // [mo:procs] pairs with the acquires of who walks over them
    }
  }
  p* first = sched.ps[0].load(std::memory_order_relaxed);
  if (mp && mp->pp && mp->pp->id >= n) {  // ours goes: change over to the first
    static_cast<void>(releasep(mp));
    acquirep(mp, first);
  }
  for (int i = n; i < old; i++) clear_out_locked(sched.ps[i].load(std::memory_order_relaxed), first);
  sched.procs.store(n, std::memory_order_release);  // [mo:procs]
}

void start_the_world() noexcept {
  m* mp = this_m();
  if (sched.stop_since != 0) sched.stops.add(sched.stop_asked_at, sched.stop_since, os::now_ns());
  sched.stop_since = 0;
  p* with_work = nullptr;
  {
    lock_guard hold(sched.lock);
    sched.stopping.store(false, std::memory_order_release);  // [mo:stop]
    const int n = sched.procs.load(std::memory_order_relaxed);
    for (int i = n - 1; i >= 0; i--) {
      p* pp = sched.ps[i].load(std::memory_order_relaxed);
      if (mp && pp == mp->pp) {
        pp->status.store(p::state::running, std::memory_order_relaxed);
        continue;
      }
      // It did not come within the limit: it is still with whoever has it.
      if (sched.stop_wait > 0 && pp->status.load(std::memory_order_relaxed) != p::state::stopped) continue;
      if (pp->queue.empty() && pp->fresh.size() == 0) {
        pp->status.store(p::state::idle, std::memory_order_relaxed);
        put_idle_p_locked(pp);
      } else {
        pp->link = with_work;
        with_work = pp;
      }
    }
  }
  while (p* pp = with_work) {
    with_work = pp->link;
    pp->link = nullptr;
    startm(pp, false, std::exchange(pp->stopped_by, nullptr));
  }
  // Somebody may have submitted work to the global queue or a timer meanwhile.
  wakep();
}

}  // namespace weft
