// Mutex, wait group and semaphore as shipped (src/sync), used by threads that weft did not make: their futexes are the explorer's. What
// goroutines add to it, leaving their stacks, is in park_model.cpp.
#include <memory>
#include <new>

#include <weft/mutex.hpp>
#include <weft/wait_group.hpp>

#include "sync/semaphore.hpp"
#include "world.hpp"

namespace weft {
namespace {

using model::join;
using model::on_thread;
using model::world;

constexpr int starving = 3;  // a knob: each look at the clock is 2 ms after the last, so whoever has waited is starved

struct setting : world {
  setting() : world(1) { model::set_tick(model::knob() == starving ? 2'000'000 : 0); }
};
template <void (*body)()>
void starved() {
  model::set_knob(starving);
  body();
}

// One at a time, and what one did the next one sees.
void excludes() {
  setting w;
  mutex mu;
  model::plain<int> sum{0, "sum"};
  model::name(mu, "mu");
  for (int i = 0; i < 3; i++)
    on_thread([&] {
      mu.lock();
      sum.set(sum.get() + 1);
      mu.unlock();
    });
  join();
  MODEL_CHECK(sum.get() == 3);
  MODEL_CHECK(mu.try_lock());
}
MODEL_OF(sync, a_mutex_excludes, excludes, 3, 1)
MODEL_OF(sync, a_mutex_excludes_when_it_is_handed_over, starved<&excludes>, 3, 1)
MUTANT_OF(sync, a_mutex_does_not_publish_if_unlock_is_relaxed, excludes, .weaken = "mutex::unlock")
MUTANT_OF(sync, nor_if_lock_is_relaxed, excludes, .weaken = "mutex::lock")

// Two that come again and again: normal mode, woken and starving in turn.
void again() {
  setting w;
  mutex mu;
  model::plain<int> sum{0, "sum"};
  model::name(mu, "mu");
  for (int i = 0; i < 2; i++)
    on_thread([&] {
      for (int turn = 0; turn < 2; turn++) {
        mu.lock();
        sum.set(sum.get() + 1);
        mu.unlock();
      }
    });
  join();
  MODEL_CHECK(sum.get() == 4);
  MODEL_CHECK(mu.try_lock());
}
MODEL_OF(sync, nobody_sleeps_for_ever_at_a_mutex, again, 5, 2)
MODEL_OF(sync, nobody_sleeps_for_ever_at_a_starving_mutex, starved<&again>, 5, 2)

// One that gives up leaves the mutex as it found it: whoever comes next gets it, try_lock() too.
void gives_up() {
  setting w;
  mutex mu;
  model::plain<int> sum{0, "sum"};
  model::name(mu, "mu");
  for (int i = 0; i < 2; i++)
    on_thread([&, turns = 2 - i] {
      for (int turn = 0; turn < turns; turn++) {
        mu.lock();
        sum.set(sum.get() + 1);
        mu.unlock();
      }
    });
  on_thread([&] {
    if (!mu.try_lock_for(std::chrono::milliseconds(12))) return;
    sum.set(sum.get() + 1);
    mu.unlock();
  });
  join();
  MODEL_CHECK(sum.get() >= 3);
  MODEL_CHECK(mu.try_lock());
}
MODEL_OF(sync, one_that_gives_up_a_mutex_leaves_it_whole, gives_up, 3, 1)
MODEL_OF(sync, one_that_gives_up_a_starving_mutex_leaves_it_whole, starved<&gives_up>, 3, 1)

// Who locks last may destroy it: unlock() does not touch it after it has let go.
void last_one_destroys() {
  setting w;
  alignas(mutex) static char memory[sizeof(mutex)];
  auto* mu = ::new (memory) mutex;
  model::name(*mu, "mu");
  model::plain<int> users{2, "users"};
  for (int i = 0; i < 2; i++)
    on_thread([&, mu] {
      mu->lock();
      const int left = users.get() - 1;
      users.set(left);
      mu->unlock();
      if (left == 0) mu->~mutex();
    });
  join();
}
MODEL_OF(sync, the_last_user_may_destroy_a_mutex, last_one_destroys, 5, 2)
MODEL_OF(sync, the_last_user_may_destroy_a_starving_mutex, starved<&last_one_destroys>, 5, 2)

void waits_for_two() {
  setting w;
  alignas(wait_group) static char memory[sizeof(wait_group)];
  auto* wg = ::new (memory) wait_group;
  model::name(*wg, "wg");
  model::plain<int> results[2];
  wg->add(2);
  for (auto& result : results)
    on_thread([&, wg] {
      result.set(1);
      wg->done();
    });
  on_thread([&, wg] {
    wg->wait();
    wg->~wait_group();  // as at the end of the function whose local it is
    MODEL_CHECK(results[0].get() + results[1].get() == 2);
  });
  join();
}
MODEL_OF(sync, a_wait_group_waits_for_all_and_may_go_then, waits_for_two, 3, 1)
MUTANT_OF(sync, a_wait_group_does_not_publish_if_done_is_relaxed, waits_for_two, .weaken = "wait_group::add")

void two_wait() {
  setting w;
  wait_group wg;
  model::name(wg, "wg");
  wg.add(1);
  for (int i = 0; i < 2; i++) on_thread([&] { wg.wait(); });
  on_thread([&] { wg.done(); });
  join();
}
MODEL_OF(sync, all_who_wait_for_a_group_go_on, two_wait, 2, 1)

// A permit is never lost between who gives it and who comes to wait.
void permit() {
  setting w;
  detail::semaphore_core s;
  model::name(s, "semaphore");
  model::plain<int> data{0, "data"};
  on_thread([&] {
    detail::acquire(s, detail::queue_end::back, wait_reason::none);
    MODEL_CHECK(data.get() == 1);
  });
  on_thread([&] {
    data.set(1);
    static_cast<void>(detail::release(s));
  });
  join();
}
MODEL_OF(sync, a_permit_is_not_lost, permit, 4, 2)
MUTANT_OF(sync, a_permit_does_not_publish_with_a_relaxed_lock, permit, .weaken = "unlock_word")

}  // namespace
}  // namespace weft
