// sched/lockcheck.cpp: see lockcheck.hpp.
// The functions that take and release the C library's mutexes and reader-writer locks, and those around the initialisation of a
// static, are replaced by ones that keep a list of which goroutine holds what, and since where. In a program that does not ask for it nothing is replaced.
// What it cannot see: locks taken before run(), by objects loaded later, in a program that is linked statically, and through a
// sanitizer's own functions.
#include "sched/lockcheck.hpp"

#include <pthread.h>
#include <unwind.h>

#include <cerrno>
#include <ctime>

#include "base/throw.hpp"
#include "os/imports.hpp"
#include "sched/traceback.hpp"

namespace weft {

namespace {

struct place {
  static constexpr int most = 16;
  std::uintptr_t pcs[most] = {};
  int depth = 0;
};

place here() noexcept {
  place p;
  _Unwind_Backtrace(
      [](_Unwind_Context* context, void* arg) {
        auto& to = *static_cast<place*>(arg);
        int before = 0;
        const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before));
        if (pc == 0 || to.depth == place::most) return _URC_END_OF_STACK;
        to.pcs[to.depth++] = pc - (before ? 0 : 1);
        return _URC_NO_REASON;
      },
      &p);
  return p;
}

enum class kind : std::uint8_t { lock, initialisation };

struct held_lock {
  const void* lock = nullptr;
  kind what = kind::lock;
  const g* owner = nullptr;
  std::uint64_t id = 0;  // the owner's: a record lives on as another goroutine
  place at;
};

// Not a ranked lock: statics are initialised under those too.
struct {
  atomic<std::uint32_t> word{0};
  void lock() noexcept { lock_word(word); }
  void unlock() noexcept { unlock_word(word); }
} list_lock;
// Guarded by list_lock.
held_lock held[1024];
atomic<int> held_count{0};  // read without the lock: whether there is any
std::uint64_t reported[256];
int reported_count = 0;

lockcheck mode = lockcheck::off;  // set before there are goroutines to see it

void taken(const void* lock, kind what) noexcept {
  static __thread bool inside __attribute__((tls_model("initial-exec")));  // the unwinder may take a lock; nothing in here parks
  const g* gp = current_g();
  if (!gp || inside) return;
  inside = true;
  const held_lock h{lock, what, gp, gp->id, here()};
  inside = false;
  lock_guard hold(list_lock);
  const int n = held_count.load(std::memory_order_relaxed);
  if (n == static_cast<int>(std::size(held))) return;
  held[n] = h;
  held_count.store(n + 1, std::memory_order_relaxed);
}

void released(const void* lock) noexcept {
  const g* gp = current_g();
  if (!gp || held_count.load(std::memory_order_relaxed) == 0) return;
  lock_guard hold(list_lock);
  const int n = held_count.load(std::memory_order_relaxed);
  int found = -1;
  for (int i = 0; i < n; i++)
    if (held[i].lock == lock && (found < 0 || held[i].owner == gp)) found = i;
  if (found < 0) return;
  held[found] = held[n - 1];
  held_count.store(n - 1, std::memory_order_relaxed);
}

// ---- what stands in for the C library's functions ----

int (*mutex_lock)(pthread_mutex_t*);
int (*mutex_trylock)(pthread_mutex_t*);
int (*mutex_timedlock)(pthread_mutex_t*, const timespec*);
int (*mutex_clocklock)(pthread_mutex_t*, clockid_t, const timespec*);
int (*mutex_unlock)(pthread_mutex_t*);
int (*rwlock_rdlock)(pthread_rwlock_t*);
int (*rwlock_tryrdlock)(pthread_rwlock_t*);
int (*rwlock_wrlock)(pthread_rwlock_t*);
int (*rwlock_trywrlock)(pthread_rwlock_t*);
int (*rwlock_unlock)(pthread_rwlock_t*);

template <auto& theirs, class Lock, class... More>
int take(Lock* lock, More... more) {
  const int error = theirs(lock, more...);
  if (error == 0 || error == EOWNERDEAD) taken(lock, kind::lock);
  return error;
}
template <auto& theirs, class Lock>
int release(Lock* lock) {
  released(lock);
  return theirs(lock);
}

// The initialisation of a static in a function: others who come there block their threads until it is over.
int (*guard_acquire)(void*);
void (*guard_release)(void*);
void (*guard_abort)(void*);

int begin_initialisation(void* guard) {
  const int ours = guard_acquire(guard);
  if (ours) taken(guard, kind::initialisation);
  return ours;
}
template <auto& theirs>
void end_initialisation(void* guard) {
  released(guard);
  theirs(guard);
}

template <class R, class... A>
os::import import(const char* name, R (*ours)(A...), R (*&theirs)(A...)) noexcept {
  return {name, reinterpret_cast<void*>(ours), reinterpret_cast<void**>(&theirs)};
}

std::uint64_t hash(const place& p, std::uint64_t h) noexcept {
  for (int i = 0; i < p.depth; i++) h = (h ^ p.pcs[i]) * 0x100000001b3;
  return h;
}

// Whether this pair is a new one.
bool note_pair_locked(std::uint64_t pair) noexcept {
  for (int i = 0; i < reported_count; i++)
    if (reported[i] == pair) return false;
  if (reported_count == static_cast<int>(std::size(reported))) return false;
  reported[reported_count++] = pair;
  return true;
}

void print_place(error_text& out, const place& p) noexcept {
  stack_trace t;
  while (t.count < p.depth) {
    t.pc[t.count] = p.pcs[t.count];
    t.count++;
  }
  print_frames(out, t, frames_asked_for());
}

}  // namespace

void start_lockcheck(lockcheck how) noexcept {
  if (mode != lockcheck::off) return;
  const os::import imports[] = {
      import("pthread_mutex_lock", &take<mutex_lock, pthread_mutex_t>, mutex_lock),
      import("pthread_mutex_trylock", &take<mutex_trylock, pthread_mutex_t>, mutex_trylock),
      import("pthread_mutex_timedlock", &take<mutex_timedlock, pthread_mutex_t, const timespec*>, mutex_timedlock),
      import("pthread_mutex_clocklock", &take<mutex_clocklock, pthread_mutex_t, clockid_t, const timespec*>, mutex_clocklock),
      import("pthread_mutex_unlock", &release<mutex_unlock, pthread_mutex_t>, mutex_unlock),
      import("pthread_rwlock_rdlock", &take<rwlock_rdlock, pthread_rwlock_t>, rwlock_rdlock),
      import("pthread_rwlock_tryrdlock", &take<rwlock_tryrdlock, pthread_rwlock_t>, rwlock_tryrdlock),
      import("pthread_rwlock_wrlock", &take<rwlock_wrlock, pthread_rwlock_t>, rwlock_wrlock),
      import("pthread_rwlock_trywrlock", &take<rwlock_trywrlock, pthread_rwlock_t>, rwlock_trywrlock),
      import("pthread_rwlock_unlock", &release<rwlock_unlock, pthread_rwlock_t>, rwlock_unlock),
      import("__cxa_guard_acquire", &begin_initialisation, guard_acquire),
      import("__cxa_guard_release", &end_initialisation<guard_release>, guard_release),
      import("__cxa_guard_abort", &end_initialisation<guard_abort>, guard_abort),
  };
#if WEFT_TSAN
  error_text() << "weft: lockcheck: ThreadSanitizer has put its own functions there\n";
  return;
#endif
  if (os::replace_imports(imports, std::size(imports)) == 0) {
    error_text() << "weft: lockcheck: this program imports no functions of locks, so none can be watched (is it linked statically?)\n";
    return;
  }
  mode = how;
  sched.lockcheck = true;
  sched.long_laps = true;
}

void look_for_locks(const g* gp) noexcept {
  if (held_count.load(std::memory_order_relaxed) == 0) return;
  const place now = here();
  held_lock h;
  {
    lock_guard hold(list_lock);
    const int n = held_count.load(std::memory_order_relaxed);
    for (int i = 0; i < n && !h.lock; i++) {
      if (held[i].owner == gp && held[i].id == gp->id && note_pair_locked(hash(now, hash(held[i].at, 0xcbf29ce484222325)))) h = held[i];
    }
  }
  if (!h.lock) return;
  error_text out;
  out << "weft: lockcheck: goroutine " << gp->id;
  if (gp->name) out << " (" << gp->name << ")";
  if (gp->status.load(std::memory_order_relaxed) == g_status::waiting) out << " parks [" << to_string(gp->why()) << "]";  // [mo:own]
  else out << " yields or ends";
  if (h.what == kind::lock) out << " while it holds the lock " << h.lock << ", which belongs to its thread\nlocked at:\n";
  else out << " in the initialisation of a static (its guard: " << h.lock << "), for which others block their threads\nbegun at:\n";
  print_place(out, h.at);
  out << "leaves its thread at:\n";
  print_place(out, now);
  out.flush();
  if (mode == lockcheck::fatal) fatal("a goroutine parks while it holds a lock of its thread's");
}

}  // namespace weft
