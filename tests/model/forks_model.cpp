// forks_model.cpp: the deque of forks between its owner and thieves. While nobody steals the owner takes without a locked
// instruction and without a fence, so this stands and falls with the barrier on all threads (work/thieves.hpp).
#include "explorer.hpp"

#include "work/forks.hpp"

namespace weft {
namespace {

using model::join;
using model::on_thread;

constexpr int without_membarrier = 2;

struct deque {
  forks q;
  runnable rs[4];
  model::plain<int> payload[4];  // what who forked wrote is seen by who takes it
  int taken[4] = {};

  deque() {
    thieves.count.store(model::knob() == without_membarrier ? 1 : 0, std::memory_order_relaxed);
    thieves.no_membarrier = model::knob() == without_membarrier;
    model::name(q, "q");
    model::name(thieves, "thieves");
  }
  void put(int i) {
    payload[i].set(i);
    MODEL_CHECK(q.try_put(&rs[i]));
  }
  void took(runnable* r) {
    if (!r) return;
    const auto i = r - rs;
    MODEL_CHECK(payload[i].get() == i);
    taken[i]++;
  }
  void take(int wanted) { took(q.take(&rs[wanted])); }
  void steal() {
    const stealing announced;
    took(q.steal());
  }
  void all_there(int n) {
    while (runnable* r = q.take()) took(r);
    for (int i = 0; i < n; i++) MODEL_CHECK(taken[i] == 1);
  }
};

// The owner joins its forks in order, newest first, while a thief takes the oldest.
void owner_and_thief() {
  deque d;
  on_thread([&] {
    d.put(0);
    d.put(1);
    d.take(1);
    d.take(0);
    d.put(2);
    d.take(2);
  });
  on_thread([&] { d.steal(); });
  join();
  d.all_there(3);
}

}  // namespace

MODEL_OF(forks, each_is_taken_once_by_owner_or_thief, owner_and_thief, 3, 1)
template <void (*Program)()>
void no_membarrier() {
  model::set_knob(without_membarrier);
  Program();
}
MODEL_OF(forks, owner_and_thief_without_membarrier, no_membarrier<&owner_and_thief>, 3, 1)
MUTANT_OF(forks, twice_without_the_barrier_on_all_threads, owner_and_thief, .no_barrier = true)

}  // namespace weft
