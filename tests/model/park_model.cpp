// Park and ready (sched/park.hpp, as shipped): a goroutine that parks is found only once it is off its stack, a wake-up is never lost,
// and of all who could wake it one does.
#include <optional>

#include <weft/chan.hpp>
#include <weft/detail/wait_limit.hpp>

#include "goroutine/sudog.hpp"
#include "sched/park_until.hpp"
#include "sync/semaphore.hpp"
#include "world.hpp"

namespace weft {
namespace {

using detail::sudog;
using detail::wait_end;
using model::join;
using model::on_thread;
using model::settle;
using model::world;

constexpr std::int64_t second = 1'000'000'000;

// A wait list as every primitive has one.
struct list_under_lock {
  atomic<std::uint32_t> lock{0};
  detail::wait_list waiters;
  bool signalled = false;

  static bool commit_unlock(g* gp) noexcept {
    unlock_word(static_cast<list_under_lock*>(gp->commit_arg)->lock);
    return true;
  }
  static bool commit_nothing(g*) noexcept { return true; }

  void wait() {
    lock_word(lock);
    if (signalled) return unlock_word(lock);
    sudog me;
    g* const gp = current_or_thread();
    me.gp = gp;
    push_back(waiters, &me);
    park_anyone(gp, &commit_unlock, this, wait_reason::none);
  }
  // The classic mistake: who finds the sudog may run the goroutine while it is still on its stack.
  void wait_unlocking_before_park() {
    lock_word(lock);
    if (signalled) return unlock_word(lock);
    sudog me;
    g* const gp = current_or_thread();
    me.gp = gp;
    push_back(waiters, &me);
    unlock_word(lock);
    park_anyone(gp, &commit_nothing, this, wait_reason::none);
  }
  wait_end wait(const detail::wait_limit& limit) {
    lock_word(lock);
    if (signalled) return unlock_word(lock), wait_end::woken;
    sudog me;
    g* const gp = current_or_thread();
    me.gp = gp;
    me.contested = true;
    begin_contest(gp);
    push_back(waiters, &me);
    const wait_end end = park_until(gp, &commit_unlock, this, wait_reason::none, limit);
    if (end == wait_end::woken) return end;
    lock_word(lock);
    if (me.queued) remove(waiters, &me);
    unlock_word(lock);
    return end;
  }
  bool signal() {
    lock_word(lock);
    sudog* s = detail::dequeue(waiters);
    if (!s) signalled = true;
    runnable* gp = s ? s->gp : nullptr;
    unlock_word(lock);
    if (gp) ready(gp);
    return gp != nullptr;
  }
};

constexpr int unlock_before_park = 4;

void park_and_ready() {
  world w(1);
  list_under_lock list;
  model::name(list, "list");
  atomic<int> woken{0};
  g* sleeper = w.goroutine([&] {
    if (model::knob() == unlock_before_park) list.wait_unlocking_before_park();
    else list.wait();
    woken.fetch_add(1, std::memory_order_relaxed);
  });
  MODEL_CHECK(w.of(0)->queue.try_put(sleeper));
  w.start(0);
  on_thread([&] { list.signal(); });
  settle(second);
  MODEL_CHECK(woken.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(park, a_goroutine_is_woken_once, park_and_ready, 3, 1)
MUTANT_OF(park, a_goroutine_runs_on_two_threads_if_unlocked_before_park, park_and_ready, .knob = unlock_before_park)

// The waker on another P, and another goroutine to go on with: the short lap, straight from stack to stack.
void short_lap_and_ready() {
  world w(2);
  list_under_lock list;
  model::name(list, "list");
  atomic<int> woken{0}, ran{0};
  g* sleeper = w.goroutine([&] {
    if (model::knob() == unlock_before_park) list.wait_unlocking_before_park();
    else list.wait();
    woken.fetch_add(1, std::memory_order_relaxed);
  });
  g* next = w.goroutine([&] { ran.fetch_add(1, std::memory_order_relaxed); });
  g* waker = w.goroutine([&] { list.signal(); });
  MODEL_CHECK(w.of(0)->queue.try_put(sleeper));
  MODEL_CHECK(w.of(0)->queue.try_put(next));
  MODEL_CHECK(w.of(1)->queue.try_put(waker));
  w.start(0);
  w.start(1);
  settle(second);
  MODEL_CHECK(woken.load(std::memory_order_relaxed) == 1 && ran.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(park, a_short_lap_commits_on_the_next_stack, short_lap_and_ready, 2, 0, 60'000)
MUTANT_OF(park, a_short_lap_too_needs_the_lock_until_then, short_lap_and_ready, .knob = unlock_before_park)

// A commit that calls the park off, because what it waits for has come meanwhile.
struct slot_t {
  static constexpr std::uintptr_t nothing = 0, here = 1;
  atomic<std::uintptr_t> word{nothing};
  static bool commit(g* gp) noexcept {
    std::uintptr_t expected = nothing;
    return static_cast<slot_t*>(gp->commit_arg)->word.compare_exchange_strong(expected, reinterpret_cast<std::uintptr_t>(gp), std::memory_order_release,
                                                                              std::memory_order_acquire);
  }
  void signal() {
    const std::uintptr_t old = word.exchange(here, std::memory_order_acq_rel);
    if (old != nothing) ready(reinterpret_cast<g*>(old));
  }
};
void refused() {
  world w(1);
  slot_t slot;
  model::name(slot, "slot");
  atomic<int> woken{0}, ran{0};
  g* sleeper = w.goroutine([&] {
    park_anyone(current_g(), &slot_t::commit, &slot, wait_reason::none);
    MODEL_CHECK(slot.word.load(std::memory_order_relaxed) == slot_t::here);
    woken.fetch_add(1, std::memory_order_relaxed);
  });
  g* next = w.goroutine([&] { ran.fetch_add(1, std::memory_order_relaxed); });
  MODEL_CHECK(w.of(0)->queue.try_put(sleeper));
  MODEL_CHECK(w.of(0)->queue.try_put(next));
  w.start(0);
  on_thread([&] { slot.signal(); });
  settle(second);
  MODEL_CHECK(woken.load(std::memory_order_relaxed) == 1 && ran.load(std::memory_order_relaxed) == 1);
}
MODEL_OF(park, a_refused_park_goes_on, refused, 3, 1)

// A wake-up, a time limit and a cancellation at once: one of them wakes it, and nobody touches its frame afterwards.
void contested() {
  world w(2);
  list_under_lock list;
  model::name(list, "list");
  detail::done_core done;
  model::name(done, "done");
  std::optional<wait_end> ended;
  bool gave = false;
  constexpr std::int64_t limit_ns = 1'000'000;
  g* sleeper = w.goroutine([&] { ended = list.wait({.deadline = model::now() + limit_ns, .done = &done}); });
  MODEL_CHECK(w.of(0)->queue.try_put(sleeper));
  w.start(0);
  on_thread([&] { gave = list.signal(); });
  on_thread([&] { detail::finish(done); });
  settle(second);
  MODEL_CHECK(ended.has_value());
  MODEL_CHECK(gave == (*ended == wait_end::woken) || list.signalled);
  MODEL_CHECK(list.waiters.first == nullptr && done.waiters.first == nullptr);
}
MODEL_OF(park, one_of_three_wakes_it, contested, 2, 0, 60'000)

// The same for a thread that weft did not make.
void contested_thread() {
  world w(1);
  list_under_lock list;
  model::name(list, "list");
  detail::done_core done;
  model::name(done, "done");
  bool gave = false;
  std::optional<wait_end> ended;
  on_thread([&] { ended = list.wait({.deadline = model::now() + 1'000'000, .done = &done}); });
  on_thread([&] { gave = list.signal(); });
  on_thread([&] { detail::finish(done); });
  join();
  MODEL_CHECK(ended.has_value());
  MODEL_CHECK(gave == (*ended == wait_end::woken) || list.signalled);
  MODEL_CHECK(list.waiters.first == nullptr && done.waiters.first == nullptr);
}
MODEL_OF(park, one_of_three_wakes_a_thread, contested_thread, 3, 1)

// A value that one sends as the receiver's time runs out is received, or stays with the sender: never both, never neither.
void timed_receive() {
  world w(1);
  const chan<int> c = make_chan<int>();
  std::optional<bool> received, sent;
  on_thread([&] { received = c.recv_for(std::chrono::milliseconds(1)).has_value(); });
  on_thread([&] { sent = c.try_send(1); });
  join();
  MODEL_CHECK(received.value() == sent.value());
}
MODEL_OF(park, a_value_sent_as_time_runs_out_is_not_lost, timed_receive, 3, 1)

}  // namespace
}  // namespace weft
