// sched/unwind_all.cpp: run_options.at_exit = unwind: main's function has returned, and all other goroutines are unwound, children before
// parents, for a child may use what lies on its parent's stack.
//
// Again and again: the world stops, and those that have no living child get their turn, the newest first: who waits is claimed, as a
// time-out would do it, and made runnable with g_must_exit, upon which its operation cleans up and unwinds; who is runnable
// does so at its next wait, yield() or failure; who has not run yet drops its closure. All others that are runnable, or are made so
// by destructors, are held back: what they would find is not the world they know. One processor is enough, and keeps the order.
// Some cannot be claimed: who waits for a mutex (it gets it when the holder is unwound), for a task, or in a destructor. When nobody has
// ended for some time, those that are left stay as they are, as without the option, and are named.
#include "sched/bubble.hpp"
#include "sched/lap.hpp"
#include "sched/upcalls.hpp"
#include "work/netpoll.hpp"

#include <algorithm>
#include <vector>

#include <weft/this_goroutine.hpp>

namespace weft {

namespace {

// Since somebody has ended: a destructor waits, perhaps for one of those that are held back.
constexpr std::int64_t until_open_ns = 50'000'000, patience_ns = 500'000'000;

void stop_the_world() noexcept {
  while (!try_become_stopper()) give_way();
  begin_stop();
  if (!wait_until_stopped(grace_ns)) end_at_once();  // somebody computes without end (design D9)
}

void go_on() noexcept {
  start_the_world();
  no_longer_stopper();
}

struct living {
  g* gp;
  std::uint64_t id;
};

// All but main and the carriers of coroutines, the newest first; the world is stopped. One that runs has lost its P to the stop: it comes to
// wait soon, or it computes and nothing can be done.
std::vector<living> all_living() {
  std::vector<living> all;
  for_each_g(
      [](g* gp, void* arg) {
        const g_status s = gp->status.load(std::memory_order_acquire);  // [mo:status]
        const bool lives = s == g_status::waiting || s == g_status::runnable || s == g_status::running;
        if (lives && !gp->cargo && gp != current_g()) static_cast<std::vector<living>*>(arg)->push_back({gp, gp->id});
      },
      &all);
  std::sort(all.begin(), all.end(), [](const living& a, const living& b) { return a.id > b.id; });
  return all;
}

class unwinder {
 public:
  // The world is stopped. Who is runnable comes under `held_`.
  void hold_back() {
    p* pp;
    {
      lock_guard hold(sched.lock);
      resize_procs_locked(this_m(), 1);
      pp = this_m()->pp;
      pp->attention.fetch_or(attention_always, std::memory_order_relaxed);  // and find_runnable() keeps it
      while (runnable* r = sched.held.pop_front()) keep(r);
      g_list global = get_global_locked(pp, sched.global.size());
      while (runnable* r = global.pop_front()) keep(r);
    }
    slice s;
    while (runnable* r = pp->queue.get(s)) keep(r);
    while (runnable* r = pp->forked.take()) keep(r);
    if (task_hooks.take)
      while (g* gp = task_hooks.take(pp)) held_.push_back(gp);
  }

  // Those whose turn it is become runnable. How many there are besides those that unwind already.
  std::size_t take_turns(const std::vector<living>& all) {
    std::vector<std::uint64_t> parents;
    parents.reserve(all.size());
    for (const living& l : all) parents.push_back(l.gp->creator);
    std::sort(parents.begin(), parents.end());
    const auto is_parent = [&](std::uint64_t id) { return std::binary_search(parents.begin(), parents.end(), id); };
    std::sort(held_.begin(), held_.end());
    std::vector<g*> still_held;
    std::size_t n = 0;
    for (const living& l : all) {
      g* gp = l.gp;
      const bool held = std::binary_search(held_.begin(), held_.end(), gp);
      // [mo:status] Who runs on without a P changes its own fields; who waits does not.
      if (!held && gp->status.load(std::memory_order_acquire) != g_status::waiting) continue;
      const bool unwinds = (gp->flags & g_unwinding) != 0;
      if (!unwinds && (is_parent(gp->id) || (gp->identity && *gp->identity != 0 && is_parent(*gp->identity)))) {
        if (held) still_held.push_back(gp);
        continue;
      }
      if (!held && (unwinds || !claim(gp))) continue;
      if (!unwinds && (gp->flags & g_fresh)) {
        gp->closure = static_cast<char*>(gp->closure) + 1;  // closure_is_to_be_dropped()
        gp->flags |= g_unwinding;
      } else if (!unwinds) {
        gp->flags |= g_must_exit;
      }
      n += !unwinds;
      put_global(gp);
    }
    held_ = std::move(still_held);
    return n;
  }

  void release_all() {
    for (g* gp : held_) put_global(gp);
    for (runnable* r : coroutines_) put_global(r);
    held_.clear();
    coroutines_.clear();
  }

 private:
  void keep(runnable* r) {
    if ((r->flags & g_coroutine) == 0 && !static_cast<g*>(r)->cargo) held_.push_back(static_cast<g*>(r));
    else coroutines_.push_back(r);
  }
  // Takes it from whatever it waits for.
  static bool claim(g* gp) noexcept {
    // [mo:leaving] It had no P, so our stop did not stop it: perhaps it is not off its stack yet. Next time.
    if (const m* mp = gp->mp; mp && mp->leaving.load(std::memory_order_acquire)) return false;
    if (gp->flags & g_claimable) {
      if (gp->claimed.exchange(1, std::memory_order_acq_rel) != 0) return false;  // [mo:claim]
      gp->flags &= static_cast<std::uint16_t>(~g_claimable);
    } else if (gp->why() != wait_reason::io_wait || !poll_claim(gp)) {
      return false;
    }
    if (gp->flags & g_bubbled) readied_in_bubble(gp);
    gp->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
    return true;
  }

  std::vector<g*> held_;
  std::vector<runnable*> coroutines_;  // and their carriers: they stay as they are
};

void name_those_left(const std::vector<living>& left) noexcept {
  constexpr std::size_t most = 10;
  error_text out;
  for (std::size_t i = 0; i < std::min(left.size(), most); i++) {
    const g* gp = left[i].gp;
    const bool runs = gp->status.load(std::memory_order_relaxed) == g_status::running;
    out << "weft: at_exit::unwind: goroutine " << gp->id << " [" << (runs ? "running" : to_string(gp->why())) << "]" << (gp->name ? " " : "") << (gp->name ? gp->name : "")
        << " could not be unwound and stays as it is\n";
  }
  if (left.size() > most) out << "weft: at_exit::unwind: and " << static_cast<std::uint64_t>(left.size() - most) << " more\n";
}

}  // namespace

void unwind_all() {
  const int procs = sched.procs.load(std::memory_order_relaxed);
  unwinder u;
  std::size_t alive = SIZE_MAX;
  std::int64_t last_end = os::now_ns();
  for (;;) {
    stop_the_world();
    u.hold_back();
    const std::vector<living> all = all_living();
    const std::int64_t now = os::now_ns();
    if (all.size() < alive) alive = all.size(), last_end = now;
    const bool enough = all.empty() || now - last_end > patience_ns;
    const std::size_t turns = enough ? 0 : u.take_turns(all);
    const bool open = turns == 0 && now - last_end > until_open_ns;
    if (enough || open) u.release_all();
    sched.unwinding.store(!enough, std::memory_order_relaxed);
    sched.gate.store(enough || open ? 0 : g_must_exit | g_unwinding | g_main, std::memory_order_relaxed);
    if (enough) {
      name_those_left(all);
      lock_guard hold(sched.lock);
      resize_procs_locked(this_m(), procs);
    }
    go_on();
    if (enough) break;
    if (turns != 0) give_way();
    else this_goroutine::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace weft
