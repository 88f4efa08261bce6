// sched/run.cpp: run(): the calling thread becomes an M, main's function goroutine 1, and when that returns the world stops.
// The end has one policy (design D9): exit hooks; then every M is brought to a stop and sleeps, and run() returns, with
// nothing of weft running, so static destructors are safe and a later run() goes on with the same world. If one does not come
// within the grace time (user code that does not call weft), the process ends by _exit, as Go's does.
#include "sched/lap.hpp"
#include "sched/procs.hpp"
#include "work/netpoll.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <iterator>
#include <list>
#include <unistd.h>
#include <utility>

#include <weft/go.hpp>
#include <weft/run.hpp>

#include "os/memory.hpp"
#include "sched/attach.hpp"
#include "sched/init.hpp"
#include "sched/report.hpp"

namespace weft {

namespace {

ranked_lock<rank::leaf> hooks_lock;
std::list<std::function<void()>>& hooks() {  // leaked on purpose: exit() may run beside static destructors
  static auto* all = new std::list<std::function<void()>>();
  return *all;
}

void run_hooks() {
  for (;;) {
    std::list<std::function<void()>> hook;
    {
      lock_guard hold(hooks_lock);
      auto& all = hooks();
      if (all.empty()) return;
      hook.splice(hook.begin(), all, std::prev(all.end()));
    }
    hook.front()();
  }
}

// The process's, once main has returned or somebody has called exit(): what that one says stands.
constexpr std::int64_t is_final = std::int64_t{1} << 32;
atomic<std::int64_t> exit_value{0};

// What stdio has buffered, unless a thread that does not stop holds a stream.
void flush_what_is_free() noexcept {
  for (std::FILE* f : {stdout, stderr}) {
    if (::ftrylockfile(f) != 0) continue;
    ::fflush_unlocked(f);
    ::funlockfile(f);
  }
}

/// Stops all Ps, then waits until every M but this one sleeps. False when one does not within the grace time.
bool bring_to_rest(m* mp) noexcept {
  // The caller is the stopper; run() gives that up when it goes on.
  {
    lock_guard hold(sched.lock);
    begin_stop_locked(mp);
  }
  if (!wait_until_stopped(grace_ns)) return false;
  sched.stop_since = 0;  // of a world that has ended nobody asks for how long
  const std::int64_t until = os::now_ns() + grace_ns;
  for (;;) {
    {
      lock_guard hold(sched.lock);
      if (sched.idle_m_count.load(std::memory_order_relaxed) + sched.locked_idle + 1 >= sched.m_count.load(std::memory_order_relaxed)) break;
    }
    if (os::now_ns() > until) return false;
    if (sched.last_poll.load(std::memory_order_relaxed) == 0) netpoll_break();
    ::usleep(20);
  }
  rest_sysmon();
  return true;
}

#if WEFT_ASAN
// What the goroutines that are parked have on their stacks, in one piece: as many regions as goroutines would take the leak checker
// 0.5 ms each.
struct copy_of_stacks {
  std::uintptr_t* at = nullptr;  // null: they are counted only
  std::size_t words = 0;

  WEFT_UNSANITIZED void add(const void* from, const void* to) noexcept {
    const auto* const stack = static_cast<const volatile std::uintptr_t*>(from);  // or the loop would become a memcpy(), which ASan looks at
    const auto n = static_cast<std::size_t>(static_cast<const volatile std::uintptr_t*>(to) - stack);
    for (std::size_t i = 0; at && i < n; i++) at[words + i] = stack[i];
    words += n;
  }
  void add_all(const void* g0_from, const void* g0_to) noexcept {
    for_each_g(
        [](g* gp, void* self) {
          const g_status s = gp->status.load(std::memory_order_acquire);  // [mo:status]
          if ((s == g_status::waiting || s == g_status::runnable) && gp->stack.low) static_cast<copy_of_stacks*>(self)->add(gp->sp, gp->stack.high);
        },
        this);
    add(g0_from, g0_to);
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return words * sizeof *at; }
};
copy_of_stacks shown;  // to the leak checker, between two run()s

void show_stacks(const void* g0_from, const void* g0_to) noexcept {
  copy_of_stacks copy;
  copy.add_all(g0_from, g0_to);
  const std::size_t size = std::exchange(copy, {}).bytes();
  if (size == 0) return;
  copy.at = static_cast<std::uintptr_t*>(os::reserve((size + os::page_size() - 1) & ~(os::page_size() - 1), os::page_size()));
  if (!copy.at) return;
  copy.add_all(g0_from, g0_to);
  sanitizers::add_root(copy.at, copy.bytes());
  shown = copy;
}
void hide_stacks() noexcept {
  const copy_of_stacks old = std::exchange(shown, {});
  if (!old.at) return;
  sanitizers::forget_root(old.at, old.bytes());
  os::unmap(old.at, old.bytes());
}
const void *g0_from = nullptr, *g0_to = nullptr;  // of who called exit() from a goroutine: the process ends on this thread

// Plain threads and static destructors may still have sent something to one that is parked: so a copy anew, after all of them and before
// the leak checker looks.
[[gnu::constructor(101)]] void look_again_at_the_end() {
  static_cast<void>(std::atexit([] {
    if (!shown.at) return;
    hide_stacks();
    show_stacks(g0_from, g0_to);
  }));
}
#endif

// The world is at rest: what the goroutines own that are parked now is no leak, until run() goes on with them.
void show_leak_checker([[maybe_unused]] m* mp) noexcept {
#if WEFT_ASAN
  if (mp->curg) {  // it stands on its own stack, and main's locals are on this one
    g0_from = mp->g0_sp;
    g0_to = static_cast<const char*>(mp->g0_sanitizer.bottom) + mp->g0_sanitizer.size;
  }
  show_stacks(g0_from, g0_to);
#endif
}
void hide_from_leak_checker() noexcept {
#if WEFT_ASAN
  hide_stacks();
#endif
}

// As they were when run() was first called.
arch::fp_environment standard_fp;
sigset_t standard_mask;
unsigned long standard_slack_ns;

// noinline, and by address: no code that switches stacks may know these.
[[gnu::noinline]] void learn_thread_locals(m* mp) noexcept {
  mp->eh = reinterpret_cast<eh_globals*>(abi::__cxa_get_globals());
  mp->err = &errno;
}

// In a forked child: whoever goes on with weft here is to be told so, and not to hang.
void after_fork() noexcept {
  forked_child.store(true, std::memory_order_relaxed);
  m* mp = this_m();
  if (mp) mp->taking.store(false, std::memory_order_relaxed);  // who was about to take its P is not here
  if (p* pp = mp ? +mp->pp : nullptr) pp->attention.fetch_or(attention_forked, std::memory_order_relaxed);
}

}  // namespace

void end_at_once() noexcept {
  let_reporter_finish();
  flush_what_is_free();
  ::_exit(static_cast<int>(exit_value.load(std::memory_order_relaxed)));
}

void bind_thread(m* mp) noexcept {
  set_this_m(mp);
  mp->own = self();
  mp->thread = pthread_self();
  learn_thread_locals(mp);
  use_signal_stack(mp);
  // A new thread inherits what the goroutine that made it had set, and of sysmon that it blocks all signals and sleeps exactly.
  arch::load_fp(standard_fp);
  if (!mp->is_main) {
    ::pthread_sigmask(SIG_SETMASK, &standard_mask, nullptr);
    os::set_timer_slack_ns(standard_slack_ns);
  }
  mp->g0_sanitizer = {};  // a later run() may be called by another thread
#if WEFT_TSAN
  mp->g0_sanitizer.fiber = __tsan_get_current_fiber();
#endif
}

void main_ended(m* mp) noexcept {
  refuse_in_forked_child();
  mp->main_ended = false;
  if (!try_become_stopper()) {  // somebody else stops the world just now, and may wait for our P
    give_up_p(mp);
    while (!try_become_stopper()) {
      if (!sched.exiting.load(std::memory_order_relaxed)) ::usleep(20);
      else if (mp->pp) stop_here(mp);  // somebody has given us one meanwhile
      else stopm(mp);                  // exit() waits until we sleep, and ends the process
    }
  }
  if (!bring_to_rest(mp)) end_at_once();
  show_leak_checker(mp);
  if (mp->pp) static_cast<void>(releasep(mp));
  if (mp->is_main) return;
  m* main_m = sched.main_m;
  if (!take_from_idle_list(main_m)) {  // then it waits for a goroutine that is locked to it
    lock_guard hold(sched.lock);
    WEFT_INVARIANT(main_m->locked_wait.load(std::memory_order_relaxed), "run: main's thread is not at rest");
    main_m->locked_wait.store(false, std::memory_order_relaxed);
    sched.locked_idle--;
  }
  main_m->parked.wake();
  stopm(mp);
}

namespace detail {

int run_main(void (*call)(void*), void* arg, int* value, const run_options& options) {
  if (sched.running.exchange(true, std::memory_order_acquire)) fatal("run: called inside run(), or beside another");  // [mo:run]
  refuse_in_forked_child();
  static m* mp = nullptr;
  if (!mp) {
    sched.began_ns.store(os::now_ns(), std::memory_order_relaxed);
    ::pthread_atfork(nullptr, nullptr, &after_fork);
    standard_fp = arch::save_fp();
    ::pthread_sigmask(SIG_SETMASK, nullptr, &standard_mask);
    standard_slack_ns = os::timer_slack_ns();
    install_reports();
    install_fault_reports();
    init_thieves();
    mp = make_m();
    mp->is_main = true;
    sched.main_m = mp;
    sched.m_count.fetch_sub(1, std::memory_order_relaxed);  // counted while it runs
    sched.last_poll.store(os::now_ns(), std::memory_order_relaxed);
    if (options.stack_size) sched.stack_size_class = stack_class(options.stack_size);
  }
  read_settings(options.debug, "run_options.debug");
  if (const char* text = std::getenv("WEFT_DEBUG")) read_settings(text, "WEFT_DEBUG");
  traceback unused{};
  if (const char* text = std::getenv("WEFT_TRACEBACK"); text && !parse_traceback(text, unused))
    error_text() << "weft: WEFT_TRACEBACK=\"" << text << "\" is not none, single, all, system or crash: ignored\n";
  sched.deadlock.store(options.deadlock, std::memory_order_relaxed);  // published with the Ps, by start_the_world()
  sched.ending.store(false, std::memory_order_relaxed);
  sched.unwinds.store(options.at_exit == at_exit_policy::unwind, std::memory_order_relaxed);  // so is this
  sched.main_exited.store(false, std::memory_order_relaxed);
  exit_value.store(0, std::memory_order_relaxed);
  sched.exiting.store(false, std::memory_order_relaxed);
  hide_from_leak_checker();
  mp->random = random_source(sched.seed);
  sched.m_count.fetch_add(1, std::memory_order_relaxed);
  bind_thread(mp);
  const attachment_rests while_it_is_ours;  // it cannot wake anybody from outside now
  const int procs = procs_of_run(options.procs);
  {
    lock_guard hold(sched.lock);
    resize_procs_locked(nullptr, procs);
  }
  start_sysmon();
  adopt_early_timers();
  acquirep(mp, sched.ps[0].load(std::memory_order_relaxed));
  start_the_world();
  no_longer_stopper();  // it was whoever ended the last run()

  struct main_closure {
    void (*call)(void*);
    void* arg;
    int* value;
  };
  const new_goroutine made = go_begin(sizeof(main_closure), alignof(main_closure), nullptr);
  ::new (made.closure) main_closure{call, arg, value};
  g* gp = made.gp;
  gp->flags |= g_main;
  gp->created_at = nullptr;  // by the program's beginning
  gp->entry = [](void* c) {
    auto* m = static_cast<main_closure*>(c);
    run_init_tasks();
    m->call(m->arg);
    std::int64_t none = 0;
    exit_value.compare_exchange_strong(none, *m->value & 0xff, std::memory_order_relaxed);
    run_hooks();
    if (sched.unwinds.load(std::memory_order_relaxed)) unwind_all();
  };
  static bool first = true;
  gp->id = first ? 1 : sched.ids.fetch_add(1, std::memory_order_relaxed) + 1;
  first = false;
  gp->status.store(g_status::runnable, std::memory_order_release);  // [mo:status]
  bump(mp->pp->count.started);
  put_next(mp->pp, gp);

  const eh_globals threads_own = *mp->eh;  // run() may be called in a handler, or by a destructor while the stack is unwound
  schedule(mp);
  *mp->eh = threads_own;

  drop_signal_stack(mp);
  set_this_m(nullptr);
  sched.m_count.fetch_sub(1, std::memory_order_relaxed);
  sched.running.store(false, std::memory_order_release);  // [mo:run]
  return *value;
}

}  // namespace detail

void exit(int status) {
  m* mp = this_m();
  if (!mp) sched.outsiders.fetch_add(1, std::memory_order_relaxed);  // whatever the goroutines wait for, it is no deadlock any more
  run_hooks();  // which goroutines may have to serve
  refuse_in_forked_child();
  if (!mp) sched.ending.store(true, std::memory_order_relaxed);
  mp = this_m();
  if (sched.running.load(std::memory_order_relaxed) && mp) {
    sched.ending.store(true, std::memory_order_relaxed);
    while (!try_become_stopper()) give_way();  // of several that call exit() one goes on
    sched.exiting.store(true, std::memory_order_relaxed);
    exit_value.store(is_final | (status & 0xff), std::memory_order_relaxed);
    mp = this_m();  // anew: that may have changed threads
    if (!bring_to_rest(mp)) end_at_once();
    show_leak_checker(mp);
    if (mp->pp) static_cast<void>(releasep(mp));
    set_this_m(nullptr);  // static destructors run on a foreign thread from here on
  }
  let_reporter_finish();
  std::exit(status);
}

void at_exit(std::function<void()> hook) {
  auto& all = hooks();
  std::list<std::function<void()>> one;
  one.push_back(std::move(hook));
  lock_guard hold(hooks_lock);  // under which nobody may want malloc's
  all.splice(all.end(), one);
}

}  // namespace weft
