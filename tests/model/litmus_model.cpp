// The explorer itself: what the memory model allows is found, what it forbids is not. With a wrong explorer all other models say nothing.
#include "base/atomic.hpp"
#include "explorer.hpp"

namespace weft {
namespace {

using model::join;
using model::on_thread;
constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto seq_cst = std::memory_order_seq_cst;

// Dekker: each stores its own and reads the other's. Both may read 0 on every machine there is, but for a fence between.
void store_buffering(std::memory_order store, std::memory_order load, bool fence) {
  atomic<int> x{0}, y{0};
  int a = -1, b = -1;
  on_thread([&] {
    x.store(1, store);
    if (fence) full_fence();
    a = y.load(load);
  });
  on_thread([&] {
    y.store(1, store);
    if (fence) full_fence();
    b = x.load(load);
  });
  join();
  MODEL_CHECK(a == 1 || b == 1);
}
void dekker_with_fences() { store_buffering(relaxed, relaxed, true); }
MODEL_OF(litmus, dekker_holds_with_fences, dekker_with_fences, 3, 3)
MUTANT_OF(litmus, dekker_fails_without_fences, dekker_with_fences, .no_fence = true)
MODEL(litmus, dekker_holds_with_seq_cst_accesses, 3, 3) { store_buffering(seq_cst, seq_cst, false); }
void dekker_acquire_release() { store_buffering(release, acquire, false); }
MUTANT_OF(litmus, dekker_fails_with_acquire_and_release, dekker_acquire_release)

// The same with the fence of one side made by the other: membarrier.
void asymmetric() {
  atomic<int> x{0}, y{0};
  int a = -1, b = -1;
  on_thread([&] {
    x.store(1, relaxed);
    a = y.load(relaxed);
  });
  on_thread([&] {
    y.store(1, relaxed);
    model::fence_on_all_threads();
    b = x.load(relaxed);
  });
  join();
  MODEL_CHECK(a == 1 || b == 1);
}
MODEL_OF(litmus, a_barrier_on_all_threads_serves_both_sides, asymmetric, 3, 3)
MUTANT_OF(litmus, dekker_fails_without_the_barrier, asymmetric, .no_barrier = true)

// Message passing: who sees the flag sees what was written before it.
void message_passing(std::memory_order store, std::memory_order load) {
  atomic<int> flag{0};
  atomic<int> other{0};
  model::plain<int> data{0, "data"};
  on_thread([&] {
    data.set(1);
    other.store(1, relaxed);
    flag.store(1, store);
  });
  on_thread([&] {
    if (flag.load(load) == 0) return;
    MODEL_CHECK(other.load(relaxed) == 1);
    MODEL_CHECK(data.get() == 1);
  });
  join();
}
MODEL(litmus, a_release_store_publishes, 3, 3) { message_passing(release, acquire); }
void message_relaxed_store() { message_passing(relaxed, acquire); }
void message_relaxed_load() { message_passing(release, relaxed); }
MUTANT_OF(litmus, a_relaxed_store_does_not, message_relaxed_store)
MUTANT_OF(litmus, nor_does_a_relaxed_load_see_it, message_relaxed_load)

// A read-modify-write goes on with the release sequence; a later plain store of the other thread does not.
MODEL(litmus, a_release_sequence_goes_on_through_updates, 3, 3) {
  atomic<int> flag{0};
  model::plain<int> data{0, "data"};
  on_thread([&] {
    data.set(1);
    flag.store(1, release);
  });
  on_thread([&] { flag.fetch_add(1, relaxed); });
  on_thread([&] {
    if (flag.load(acquire) == 2) MODEL_CHECK(data.get() == 1);
  });
  join();
}

// Two readers may disagree on the order of two independent stores, unless all of it is seq_cst.
void independent_reads(std::memory_order store, std::memory_order load) {
  atomic<int> x{0}, y{0};
  int a = 0, b = 0, c = 0, d = 0;
  on_thread([&] { x.store(1, store); });
  on_thread([&] { y.store(1, store); });
  on_thread([&] {
    a = x.load(load);
    b = y.load(load);
  });
  on_thread([&] {
    c = y.load(load);
    d = x.load(load);
  });
  join();
  MODEL_CHECK(!(a == 1 && b == 0 && c == 1 && d == 0));
}
MODEL(litmus, seq_cst_loads_agree_on_one_order, 3, 2) { independent_reads(seq_cst, seq_cst); }
void independent_acquire() { independent_reads(release, acquire); }
MUTANT_OF(litmus, acquire_loads_need_not, independent_acquire)

// One location is coherent: nobody goes back to an older value.
MODEL(litmus, a_thread_never_reads_backwards, 3, 3) {
  atomic<int> x{0};
  on_thread([&] {
    x.store(1, relaxed);
    x.store(2, relaxed);
  });
  on_thread([&] {
    const int first = x.load(relaxed);
    MODEL_CHECK(x.load(relaxed) >= first);
  });
  join();
}

MODEL(litmus, updates_are_atomic, 3, 3) {
  atomic<int> x{0};
  for (int i = 0; i < 3; i++) on_thread([&] { x.fetch_add(1, relaxed); });
  join();
  MODEL_CHECK(x.load(relaxed) == 3);
}
void lost_update() {
  atomic<int> x{0};
  for (int i = 0; i < 2; i++) on_thread([&] { bump(x); });
  join();
  MODEL_CHECK(x.load(relaxed) == 2);
}
MUTANT_OF(litmus, a_load_and_a_store_are_not, lost_update)

// What does not end is said.
void spins_for_ever() {
  atomic<int> x{0};
  on_thread([&] {
    while (x.load(relaxed) == 0) cpu_relax();
  });
  join();
}
MUTANT_OF(litmus, a_wait_for_nobody_is_a_deadlock, spins_for_ever)
void sleeps_for_ever() {
  atomic<std::uint32_t> word{0};
  on_thread([&] { static_cast<void>(model::wait(&word, 0, INT64_MAX)); });
  on_thread([&] { word.store(1, release); });
  join();
}
MUTANT_OF(litmus, a_store_without_a_wake_leaves_a_sleeper, sleeps_for_ever)
MODEL(litmus, a_spin_ends_when_it_is_told, 3, 3) {
  atomic<int> x{0};
  on_thread([&] {
    while (x.load(relaxed) == 0) cpu_relax();
  });
  on_thread([&] { x.store(1, relaxed); });
  join();
}
MODEL(litmus, a_time_limit_ends_a_sleep) {
  atomic<std::uint32_t> word{0};
  on_thread([&] { MODEL_CHECK(!model::wait(&word, 0, model::now() + 5)); });
  join();
}

// Memory that is gone.
void used_after_its_end() {
  atomic<atomic<int>*> there{nullptr};
  on_thread([&] {
    atomic<int> here{1};
    there.store(&here, release);
    there.store(nullptr, release);
  });
  on_thread([&] {
    if (auto* x = there.load(acquire)) static_cast<void>(x->load(relaxed));
  });
  join();
}
MUTANT_OF(litmus, an_atomic_is_not_used_after_its_end, used_after_its_end)

}  // namespace
}  // namespace weft
