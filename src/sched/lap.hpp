// sched/lap.hpp: the steps of the lap, each implemented in the file of its name.
//
//   go() -> newproc -> run queue -> schedule -> find_runnable -> execute -> gogo -> the function -> goexit -> schedule
//                                      ^                                      | park
//                                      +-------------- ready <----------------+
#pragma once

#include <algorithm>
#include <string_view>

#include "sched/sched.hpp"
#include "work/thieves.hpp"

namespace weft {

// schedule.cpp: one M's life on its own stack. Returns when the M is to end (run()'s thread: when run() may return).
void schedule(m* mp) noexcept;
/// Where to go on, for who switches to gp: a saved context is good once. That it is not used twice is looked after with slow checks
/// only, since that is a store and a branch in each switch; a null one faults at once in any case.
[[gnu::always_inline]] inline void* take_context(g* gp) noexcept {
#if WEFT_SLOW_CHECKS
  void* sp = gp->sp;
  WEFT_INVARIANT(sp != nullptr, "gogo: a context is resumed twice", gp->id, static_cast<const void*>(gp));
  gp->sp = nullptr;
  return sp;
#else
  return gp->sp;
#endif
}

// execute.cpp: runs gp until it parks, yields or ends, and does for it what can be done only then.
void execute(m* mp, g* gp, slice s) noexcept;
// find_runnable.cpp: the next goroutine for this M, from wherever there is one; sleeps until there is. Null: the M is to end.
runnable* find_runnable(m* mp, slice& s) noexcept;
/// Up to n of the global queue, for pp: those first that wait in order, then the newest that pp has started, then the oldest of the others'.
g_list get_global_locked(p* pp, std::uint32_t n) noexcept;

// look.cpp
/// Whether pp has forks or tasks that nobody has started. From other threads a guess.
[[nodiscard]] bool has_unstarted(p* pp) noexcept;
/// Each 61st lap. Who is to run though the queue is not empty, or null.
runnable* look(p* pp) noexcept;
/// What is due in owner's timers becomes runnable on pp, the caller's. Whether there was any.
bool run_timers(p* owner, p* pp, std::int64_t now) noexcept;
/// Up to `most` descriptors' goroutines, to pp's ring until that has `ring`, then to the global queue. Whether there was any.
bool poll_network(p* pp, std::uint32_t most, std::uint32_t ring) noexcept;
/// The oldest of the background, to run now on pp, if it is time for one, or whatever time it is; or null.
runnable* take_background(p* pp, std::int64_t now, bool whatever) noexcept;
/// Its turn is over; pp as above, or null when it has lost that.
void end_background(p* pp) noexcept;

// park.cpp
/// yield() for weft's own functions, which may be noexcept: does not begin an unwind.
void give_way() noexcept;

// ready.cpp
/// Makes a waiting goroutine (or coroutine, or foreign thread) runnable: it runs next on this P. Any stack, any thread, not a signal handler.
void ready(runnable* gp) noexcept;
/// The same for several, behind what is runnable already. What would make the ring longer than `ring`, or all without a P, goes to the global queue.
void inject(g_list& list, std::uint32_t ring = runq::capacity / 2) noexcept;
/// How long a ring may get by what is fetched before it is empty, from the global queue and from the network: the latter has some
/// room when nobody waits in the former, and the rest is for those that are made runnable meanwhile.
inline constexpr std::uint32_t filled_ring = runq::capacity * 3 / 4, waiting_ring = filled_ring - std::max(filled_ring / 6, 1u);
/// Whether who yields on pp, or has had its slice, goes to the end of the global queue: he would be found before those that wait there, since the ring is empty,
/// or since more of them wait than the Ps will take in at their next looks.
[[nodiscard]] inline bool yields_to_global(const p* pp) noexcept {
  const std::uint32_t ring = pp->queue.ring_size(), waiting = sched.global.in_order();
  if (ring == 0) return sched.global.size() != 0;
  return waiting != 0 && (ring >= waiting_ring || waiting > (waiting_ring - ring) * static_cast<std::uint32_t>(sched.procs.load(std::memory_order_relaxed)));
}
/// Behind all that are runnable: at the end of this P's ring or, when yields_to_global(), of the global queue. On a thread with a P.
void put_behind(p* pp, runnable* gp) noexcept;
/// Puts gp at the end of this P's ring, half of the ring to the global queue when it is full. On a thread with a P.
void put_back(p* pp, runnable* gp) noexcept;
/// Makes gp the next to run on pp; without a P, or when it is of the background, it goes to a global queue.
void put_next(p* pp, runnable* gp) noexcept;
/// Puts a runnable goroutine on a global queue, and looks for who could run it.
void put_global(runnable* gp) noexcept;

// idle.cpp
/// Starts one searcher if there is an idle P and nobody searches.
void wakep() noexcept;
void stopm(m* mp) noexcept;
/// An idle M, `wanted` if that is one, or a new one goes on with pp.
void startm(p* pp, bool spinning, m* wanted = nullptr) noexcept;
void acquirep(m* mp, p* pp) noexcept;
[[nodiscard]] p* releasep(m* mp) noexcept;
void put_idle_p_locked(p* pp) noexcept;
/// An idle P, `wanted` if that is one; null when there is none.
[[nodiscard]] p* get_idle_p_locked(const p* wanted = nullptr) noexcept;
/// A timer was added that is due at `when`: the thread that waits in the poller, if there is one, must not sleep past it. With
/// no such thread and no P of the caller's to look at it, a searcher is started.
enum class who_else : std::uint8_t { nobody, a_searcher };
void wake_poller(std::int64_t when, who_else otherwise) noexcept;
/// Queues t on this P, or on another for a thread without one; before the first run(), for the P that there will be. Any thread.
void add_timer(heap_timer* t) noexcept;
/// run() has its Ps: they get what was queued before.
void adopt_early_timers() noexcept;
[[nodiscard]] m* make_m() noexcept;
/// Makes the thread of mp, which starts with mp->next_p.
void start_thread(m* mp) noexcept;
bool take_from_idle_list(m* mp) noexcept;
/// Between making work visible and looking for who could take it (idle.cpp): whoever goes to sleep has put a barrier on all
/// threads between its announcement and its last look, so here the compiler's is enough.
[[gnu::always_inline]] inline void fence_after_submit() noexcept {
  if (__builtin_expect(thieves.no_membarrier, 0)) full_fence();  // [mo:idle]
  else std::atomic_signal_fence(std::memory_order_seq_cst);
}
/// After that fence: there is an idle P, and nobody searches.
[[nodiscard, gnu::always_inline]] inline bool idle_p_unwatched() noexcept {
  // [mo:idle] relaxed, pairs with the fetch_sub and the barrier on all threads in go_idle().
  return __builtin_expect(sched.idle_p_count.load(std::memory_order_relaxed) != 0, 0) && sched.spinning.load(std::memory_order_relaxed) == 0;
}
/// Work was made visible: whether wakep() is worth a call.
[[nodiscard, gnu::always_inline]] inline bool somebody_could_come() noexcept {
  fence_after_submit();
  return idle_p_unwatched();
}

/// The end of an operation that did not wait: who only ever makes such ones lets the others run after its slice all the same.
[[gnu::cold]] void give_way_as_asked() noexcept;
[[gnu::always_inline]] inline void honour_request() noexcept {
  if (__builtin_expect(__atomic_load_n(&self()->asked, __ATOMIC_RELAXED) != 0, 0)) give_way_as_asked();
}

// deadlock.cpp
void check_deadlock() noexcept;

// stop.cpp: the world.
class stopped_world {
 public:
  stopped_world() noexcept;
  ~stopped_world();
  stopped_world(const stopped_world&) = delete;
};
/// For reports, also from broken threads: waits for no lock and nobody longer than the limit. The goroutines of the Ps that did
/// not come in run on; all others stay as they are. False: nothing is stopped. Undone by start_the_world(), no_longer_stopper().
enum class meanwhile : std::uint8_t { waits, yields };
[[nodiscard]] bool stop_for_a_look(m* mp, std::int64_t limit_ns, meanwhile how = meanwhile::waits) noexcept;
/// Only one at a time may stop the world.
[[nodiscard]] bool try_become_stopper() noexcept;
void no_longer_stopper() noexcept;
/// This M goes on without its P.
void give_up_p(m* mp) noexcept;
/// pp has come to rest, and nobody holds it.
void p_stopped_locked(p* pp) noexcept;
/// This M's P is wanted: gives it up and sleeps until the world goes on.
void stop_here(m* mp) noexcept;
void begin_stop_locked(m* mp) noexcept;
/// The stopper begins; a goroutine has a P then, and keeps it.
void begin_stop() noexcept;
/// False when it took longer than the limit.
[[nodiscard]] bool wait_until_stopped(std::int64_t limit_ns) noexcept;
void resize_procs_locked(m* mp, int n) noexcept;
void start_the_world() noexcept;

// locked.cpp
/// mp's thread may run nobody any more: takes it out of the count; the thread that called run() sleeps until main has ended.
void end_of_thread(m* mp) noexcept;

// run.cpp
/// The process, with main's value: somebody does not come to rest within grace_ns.
inline std::int64_t grace_ns = 100'000'000;  // our tests, on machines that are busy, give more
[[noreturn]] void end_at_once() noexcept;
/// Main's goroutine has ended; on g0.
void main_ended(m* mp) noexcept;
/// Makes the calling thread the one that mp stands for.
void bind_thread(m* mp) noexcept;

// sysmon.cpp
/// One round of the monitor.
struct monitored {
  bool took_a_p = false, look_again_soon = false, has_more_to_do = false;
};
monitored monitor(std::int64_t now) noexcept;
void start_sysmon() noexcept;
/// It does nothing from here on until start_sysmon().
void rest_sysmon() noexcept;
void wake_sysmon() noexcept;

// locked.cpp
/// gp has ended and its thread was locked to it: nobody may have that thread any more.
void end_locked(m* mp, g* gp) noexcept;
/// gp is locked to another M: that one gets this one's P, and this one sleeps.
void start_locked_m(m* mp, g* gp, slice s) noexcept;
/// This M's own goroutine cannot run now: gives the P away and sleeps until it can. Whose slice it goes on with; without a P: run() is
/// over, and the thread is the one that called it.
[[nodiscard]] slice stop_locked_m(m* mp) noexcept;
// unwind_all.cpp
/// Unwinds all goroutines but the calling one, main's. Parks.
void unwind_all();

// newproc.cpp
/// Counts a new goroutine or coroutine and puts it next in line. May let others run, when the caller's slice is used up or the ring is full
/// of what it has started.
void start(runnable* r) noexcept;
/// The last step of go() but for the queue: gp will call run(closure).
g* go_prepare(g* gp, void (*run)(void*)) noexcept;
/// As go(), for whoever must not give way or has no stack to spare: a goroutine that calls run(&arg), behind those that are
/// runnable. Any stack, any thread.
void start_goroutine(void (*run)(void* closure), void* arg) noexcept;
std::uint64_t fresh_id() noexcept;
/// gp's id, or that of the task that runs on its stack for now, which is made when first asked for.
[[nodiscard]] inline std::uint64_t id_of(const g* gp) noexcept {
  if (!gp->identity) return gp->id;
  if (*gp->identity == 0) *gp->identity = fresh_id();
  return *gp->identity;
}
/// A goroutine that is to run for the first time gets its stack, with the forged frame on it. Holder of pp only.
void bind_stack(p* pp, g* gp) noexcept;
/// One more goroutine has started, or ended, on pp or, when that is null, without a P.
inline void count_started(p* pp) noexcept {
  if (__builtin_expect(pp != nullptr, 1)) bump(pp->count.started);
  else sched.started.fetch_add(1, std::memory_order_relaxed);
}
inline void count_ended(p* pp) noexcept {
  // Release: who counts with goroutines() sees what they did who are not there any more. A P's M has seen all that ended on the P.
  if (__builtin_expect(pp != nullptr, 1)) bump(pp->count.ended, std::int64_t{1}, std::memory_order_release);  // [mo:ended]
  else sched.ended.fetch_add(1, std::memory_order_release);                                                   // [mo:ended]
}
/// A goroutine has ended: its stack and its record go to the caches.
void free_g(p* pp, g* gp) noexcept;
/// An idle M gives pages of free stacks back, when none has been taken for a while: a bounded number at a time. How long it may
/// sleep until it should be called again; forever_ns when there is nothing to give.
std::int64_t give_memory_back(m* mp, std::int64_t now) noexcept;
/// Calls f for every G there ever was. They change while it looks.
void for_each_g(void (*f)(g*, void*), void* arg) noexcept;
/// The same one by one: i < count_of_gs().
g* g_at(std::uint64_t i) noexcept;
std::uint64_t count_of_gs() noexcept;

// settings.cpp
void read_settings(std::string_view text, std::string_view from) noexcept;

}  // namespace weft
