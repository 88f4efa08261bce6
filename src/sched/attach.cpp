// sched/attach.cpp: see <weft/attach.hpp>. Source: Go's needm, dropm and the destructor of its pthread key (proc.go, asm).
// Go needs an M and a g0 for a foreign thread before it can run anything; ours can do everything but park already, so what it gets
// is an identity: its G, which stands for it in wait lists anyway, goes on a list that dumps read.
// Why not a G of the slabs, which dumps find by themselves: those are read while the world stands still, but nobody stops a foreign
// thread, which could give its record away to a goroutine in the middle of a look.
#include "sched/attach.hpp"

#include <weft/attach.hpp>

#include <pthread.h>
#include <time.h>

#include "base/throw.hpp"
#include "os/clock.hpp"
#include "sched/lap.hpp"

namespace weft {

namespace {

struct foreign_thread {
  g gp;  // stands for the thread wherever a sudog names a G
  // What follows is the thread's own, but for the list.
  foreign_thread* next = nullptr;
  foreign_thread* previous = nullptr;
  unsigned depth = 0;   // attached so many times
  bool listed = false;  // not during its own run()
  bool ended = false;   // its thread_local objects are being destroyed, ours was
  foreign_thread() noexcept {
    gp.flags = g_thread;
    gp.status.store(g_status::running, std::memory_order_relaxed);
  }
};

constinit ranked_lock<rank::leaf> threads_lock;
foreign_thread* first = nullptr;  // guarded by threads_lock
atomic<int> listed{0};            // changed under it

// No destructor: other destructors of this thread may wait on it still. noinline: nobody keeps its address over a switch.
[[gnu::noinline]] foreign_thread& here() noexcept {
  thread_local foreign_thread t;
  return t;
}

constinit thread_local foreign_thread* attached_here = nullptr;  // cheaper to ask than here()

void enter(foreign_thread& t) noexcept {
  {
    lock_guard hold(threads_lock);
    t.next = first;
    t.previous = nullptr;
    if (first) first->previous = &t;
    first = &t;
    t.listed = true;
    listed.fetch_add(1, std::memory_order_relaxed);
  }
  sched.outsiders.fetch_add(1, std::memory_order_relaxed);
}

void leave(foreign_thread& t) noexcept {
  {
    lock_guard hold(threads_lock);
    (t.previous ? t.previous->next : first) = t.next;
    if (t.next) t.next->previous = t.previous;
    t.listed = false;
    listed.fetch_sub(1, std::memory_order_relaxed);
  }
  // Whom it could have woken may be waiting for nobody now, with nobody awake to see that.
  if (sched.outsiders.fetch_sub(1, std::memory_order_relaxed) == 1) check_deadlock();
}

void detach(foreign_thread& t) noexcept {
  t.depth = 0;
  attached_here = nullptr;
  if (t.listed) leave(t);
  t.gp.id = 0;
  t.gp.name = nullptr;
}

struct at_end_of_thread {
  ~at_end_of_thread() {
    foreign_thread& t = here();
    t.ended = true;
    if (t.depth != 0 && !forked_child.load(std::memory_order_relaxed)) detach(t);
  }
};
[[gnu::noinline]] void detach_at_end_of_thread() noexcept {
  thread_local at_end_of_thread end;
  static_cast<void>(&end);
}

// A forked child before the first run() may go on with weft. It has only one of the threads.
void keep_only_this_thread() noexcept {
  foreign_thread& t = here();
  first = t.listed ? &t : nullptr;
  t.next = t.previous = nullptr;
  const int gone = listed.exchange(t.listed, std::memory_order_relaxed) - t.listed;
  sched.outsiders.fetch_sub(gone, std::memory_order_relaxed);
  threads_lock.unlock();
}
void care_for_forks() noexcept {
  static const int done = ::pthread_atfork([] { threads_lock.lock(); }, [] { threads_lock.unlock(); }, &keep_only_this_thread);
  static_cast<void>(done);
}

// A report must not hang on a thread that does not come on.
bool lock_in_time() noexcept {
  constexpr std::int64_t limit_ns = 50'000'000;
  const std::int64_t until = os::now_ns() + limit_ns;
  while (!threads_lock.try_lock()) {
    if (os::now_ns() >= until) return false;
    const timespec pause{0, 50'000};
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

}  // namespace

g* this_threads_g() noexcept { return &here().gp; }

[[gnu::noinline]] g* attached_g() noexcept {
  if (this_m() || !attached_here) return nullptr;
  return &attached_here->gp;
}

std::uint64_t with_next_attached(std::uint64_t after, void (*f)(g*, void*), void* arg) noexcept {
  if (listed.load(std::memory_order_relaxed) == 0 || !lock_in_time()) return 0;
  g* least = nullptr;
  for (foreign_thread* t = first; t; t = t->next)
    if (t->gp.id > after && (!least || t->gp.id < least->id)) least = &t->gp;
  const std::uint64_t id = least ? least->id : 0;
  if (least) f(least, arg);
  threads_lock.unlock();
  return id;
}

int attached_threads() noexcept { return listed.load(std::memory_order_relaxed); }

attachment_rests::attachment_rests() noexcept {
  if (attached_here && attached_here->listed) leave(*attached_here);
}
attachment_rests::~attachment_rests() {
  if (attached_here) enter(*attached_here);
}

namespace detail {

std::uint64_t attach_thread(const attach_options& options) noexcept {
  if (this_m()) return 0;  // a goroutine, or in call_c
  refuse_in_forked_child();
  foreign_thread& t = here();
  if (t.ended) return 0;
  if (t.depth++ == 0) {
    care_for_forks();
    detach_at_end_of_thread();
    t.gp.id = fresh_id();
    t.gp.name = options.name;
    attached_here = &t;
    enter(t);
  }
  return t.gp.id;
}

void detach_thread(std::uint64_t id) noexcept {
  if (forked_child.load(std::memory_order_relaxed)) return;  // it is about to end
  if (!this_m()) {
    foreign_thread& t = here();
    if (t.depth != 0 && t.gp.id == id) return --t.depth == 0 ? detach(t) : void();
  }
  // Its thread has ended, then there is nothing left to do; or not.
  if (with_next_attached(id - 1, [](g*, void*) {}, nullptr) == id) fatal("attached_thread: destroyed by another thread");
}

}  // namespace detail

}  // namespace weft
