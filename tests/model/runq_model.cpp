// The run queue: nothing is lost, nothing is doubled, and it never looks empty while it holds one. The owner works without locked
// instructions while nobody steals, so most of these stand and fall with `busy` and the barrier on all threads (work/thieves.hpp).
#include "explorer.hpp"
#include "work/runq.hpp"

namespace weft {
namespace {

using model::join;
using model::on_thread;

constexpr int without_membarrier = 2;

struct queues {
  runq q, other, third;
  g gs[6];
  model::plain<int> payload[6];  // what who readied a goroutine wrote is seen by who takes it
  int taken[6] = {};

  queues() {
    thieves.count.store(model::knob() == without_membarrier ? 1 : 0, std::memory_order_relaxed);
    thieves.no_membarrier = model::knob() == without_membarrier;
    model::name(q, "q");
    model::name(other, "other");
    model::name(third, "third");
    model::name(thieves, "thieves");
    for (int i = 0; i < 6; i++) model::name(gs[i], "g" + std::to_string(i));
  }

  g* fresh(int i) { return payload[i].set(i), &gs[i]; }
  void put(int i) { MODEL_CHECK(q.try_put(fresh(i))); }
  void put_next(int i) {
    if (runnable* kicked = q.exchange_next(fresh(i))) MODEL_CHECK(q.try_put(kicked));
  }
  void took(runnable* r) {
    g* gp = static_cast<g*>(r);
    if (!gp) return;
    const auto i = gp - gs;
    MODEL_CHECK(payload[i].get() == i);
    taken[i]++;
  }
  void get() {
    slice s;
    took(q.get(s));
  }
  void steal(runq& mine) {
    const stealing announced;
    if (!q.owner_knows()) return;
    std::uint32_t n = 0;
    took(q.steal_into(mine, n));
  }
  void steal_next() {
    const stealing announced;
    runnable* gp = q.peek_next();
    if (gp && q.owner_knows() && q.steal_next_if(gp)) took(gp);
  }
  void drain(runq& from) {
    slice s;
    while (runnable* gp = from.get(s)) took(gp);
  }
  // All of the first n, once each.
  void all_there(int n) {
    drain(q);
    drain(other);
    drain(third);
    for (int i = 0; i < n; i++) MODEL_CHECK(taken[i] == 1);
    for (int i = n; i < 6; i++) MODEL_CHECK(taken[i] == 0);
  }
};

void owner_and_thief() {
  queues w;
  w.put(0);
  w.put(1);
  on_thread([&] {
    w.get();
    w.put(2);
    w.get();
  });
  on_thread([&] { w.steal(w.other); });
  join();
  w.all_there(3);
}
MODEL_OF(runq, each_is_taken_once_by_owner_or_thief, owner_and_thief, 3, 1)
MUTANT_OF(runq, twice_without_the_barrier_on_all_threads, owner_and_thief, .no_barrier = true)

// What the owner appends while a thief looks.
void append_and_thief() {
  queues w;
  on_thread([&] {
    w.put(0);
    w.put(1);
    w.get();
  });
  on_thread([&] { w.steal(w.other); });
  join();
  w.all_there(2);
}
MODEL_OF(runq, who_is_appended_is_published, append_and_thief, 4, 2)
MUTANT_OF(runq, who_is_appended_is_not_with_a_relaxed_tail, append_and_thief, .weaken = "try_put")
MUTANT_OF(runq, nor_with_a_thief_that_reads_it_relaxed, append_and_thief, .weaken = "steal_into")

// The same for the slot before the ring.
void next_and_thief() {
  queues w;
  w.put_next(0);
  on_thread([&] {
    w.put_next(1);
    w.get();
    w.get();
  });
  on_thread([&] { w.steal_next(); });
  join();
  w.all_there(2);
}
MODEL_OF(runq, next_is_taken_once, next_and_thief, 3, 2)
MUTANT_OF(runq, next_is_taken_twice_without_the_barrier, next_and_thief, .no_barrier = true)
MUTANT_OF(runq, next_is_unpublished_if_relaxed, next_and_thief, .weaken = "exchange_next")

// Two thieves, who come and go: the second one's announcement must hold when the first one leaves.
void two_thieves() {
  queues w;
  w.put(0);
  w.put(1);
  on_thread([&] {
    w.get();
    w.get();
  });
  on_thread([&] { w.steal(w.other); });
  on_thread([&] { w.steal(w.third); });
  join();
  w.all_there(2);
}
MODEL_OF(runq, two_thieves_and_the_owner_share, two_thieves, 2, 1)
MUTANT_OF(runq, two_thieves_need_the_barrier_too, two_thieves, .no_barrier = true)

// A full ring: half goes to the global queue, while a thief is at it.
void overflow() {
  queues w;
  for (int i = 0; i < 4; i++) w.put(i);
  g_list half;
  on_thread([&] {
    g* gp = w.fresh(4);
    while (!w.q.try_put(gp))
      if (w.q.take_half(half)) {
        half.push_back(gp);
        break;
      }
    w.get();
  });
  on_thread([&] { w.steal(w.other); });
  join();
  while (runnable* gp = half.pop_front()) w.took(gp);
  w.all_there(5);
}
MODEL_OF(runq, nobody_is_lost_when_the_ring_overflows, overflow, 3, 1)

// The ring wraps: an index comes round to a slot that a thief still reads.
void wrap() {
  queues w;
  w.put(0);
  w.put(1);
  on_thread([&] {
    for (int i = 2; i < 6; i++) {
      w.get();
      w.put(i);
    }
  });
  on_thread([&] { w.steal(w.other); });
  join();
  w.all_there(6);
}
MODEL_OF(runq, indices_wrap, wrap, 2, 1)

// A queue that looks empty for an instant strands its goroutine: the searcher goes to sleep and nobody is woken.
void looks_empty() {
  queues w;
  w.put_next(0);
  on_thread([&] {
    w.put_next(1);  // 0 moves from next to the ring
    w.get();        // 1, and 0 is left
  });
  on_thread([&] {
    model::fence_on_all_threads();  // as go_idle() does before its second look
    MODEL_CHECK(!w.q.empty());
  });
  join();
  w.all_there(2);
}
MODEL_OF(runq, never_looks_empty_while_it_holds_one, looks_empty, 4, 2)
MUTANT_OF(runq, looks_empty_with_relaxed_loads, looks_empty, .weaken = "::empty")

// Where the kernel has no membarrier: thieves are always expected.
template <void (*body)()>
void no_membarrier() {
  model::set_knob(without_membarrier);
  body();
}
MODEL_OF(runq, owner_and_thief_without_membarrier, no_membarrier<&owner_and_thief>, 3, 1)
MODEL_OF(runq, next_and_thief_without_membarrier, no_membarrier<&next_and_thief>, 3, 1)
MODEL_OF(runq, two_thieves_without_membarrier, no_membarrier<&two_thieves>, 2, 1)
MODEL_OF(runq, overflow_without_membarrier, no_membarrier<&overflow>, 3, 1)
MODEL_OF(runq, looks_empty_without_membarrier, no_membarrier<&looks_empty>, 4, 2)

}  // namespace
}  // namespace weft
