// sched/fault.cpp: what goes wrong below C++: a goroutine that runs into the guard of its stack, a bad pointer, a division by
// zero. Said as Go says it, on a stack of the signal's own, with the goroutine and its stack. A handler that was there before us is asked
// first; on threads that weft did not make, a fault does what it would have done without us.
#include "sched/report.hpp"

#include <setjmp.h>
#include <signal.h>
#include <sys/auxv.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdlib>

#include "base/throw.hpp"
#include "mem/stack.hpp"
#include "os/memory.hpp"
#include "sched/lap.hpp"
#include "sched/traceback.hpp"

namespace weft {

namespace {

struct fault_signal {
  int number;
  const char* name;
  const char* text;
  struct sigaction previous;
} faults[] = {
    {SIGSEGV, "SIGSEGV", "segmentation violation", {}},
    {SIGBUS, "SIGBUS", "bus error", {}},
    {SIGFPE, "SIGFPE", "arithmetic error", {}},
    {SIGILL, "SIGILL", "illegal instruction", {}},
};

// Where an attempt() goes on when it fails. No function that uses it switches stacks.
thread_local sigjmp_buf* attempting = nullptr;

std::uintptr_t stack_pointer(const ucontext_t& c) noexcept {
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(c.uc_mcontext.gregs[REG_RSP]);
#else
  return static_cast<std::uintptr_t>(c.uc_mcontext.sp);
#endif
}

bool on_stack_of(const g* gp, const ucontext_t& c) noexcept {
  const std::uintptr_t sp = stack_pointer(c);
  return sp >= reinterpret_cast<std::uintptr_t>(gp->stack.low) - stack_guard_bytes(gp->stack) && sp < reinterpret_cast<std::uintptr_t>(gp->stack.high);
}

// The failed goroutine first; then, if more is asked for than it, the others.
[[noreturn]] void end_with_stack(const g* gp, void* context, traceback others_from) noexcept {
  error_text out;
  const traceback level = traceback_level();
  if (level == traceback::none) end_report(2);
  // The stack pointer itself may be what is wrong.
  struct walk {
    void* context;
    stack_trace t;
  } w{context, {}};
  const bool whole = attempt([](void* arg) { trace_fault(static_cast<walk*>(arg)->context, static_cast<walk*>(arg)->t); }, &w);
  const stack_trace& t = w.t;
  out << "\n";
  if (gp) {
    print_whatever_happens(out, portrait(gp, 0), t, frames_asked_for());
  } else {
    out << "runtime stack:\n";
    print_frames(out, t, which_frames::all);
  }
  if (!whole) out << "\t[the stack cannot be read]\n";
  if (level >= others_from) {
    static_cast<void>(stop_for_a_look(this_m(), 50'000'000));
    print_others(out, gp, frames_asked_for());
  }
  out.flush();
  end_report(2);
}

void say_limit(const g* gp) noexcept {
  error_text() << "runtime: goroutine stack exceeds " << static_cast<std::uint64_t>(gp->stack.size())
               << "-byte limit; raise run_options.stack_size or go_options.stack_size\n";
}

void on_fault(int number, siginfo_t* info, void* context) {
  if (attempting && info->si_code > 0) ::siglongjmp(*attempting, 1);
  const fault_signal* f = faults;
  while (f->number != number) f++;
  const m* mp = this_m();
  const g* gp = mp ? mp->curg : nullptr;
  if (gp && !on_stack_of(gp, *static_cast<ucontext_t*>(context))) gp = nullptr;
  const auto* at = static_cast<const char*>(info->si_addr);
  if (gp && number != SIGFPE && number != SIGILL && at < gp->stack.low && at >= gp->stack.low - stack_guard_bytes(gp->stack)) {
    begin_report();
    say_limit(gp);
    error_text() << "fatal error: stack overflow\n";
    end_with_stack(gp, context, traceback::single);
  }
  const struct sigaction& old = f->previous;
  if (old.sa_flags & SA_SIGINFO) return old.sa_sigaction(number, info, context);
  if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(number);
  if (!mp || info->si_code <= 0) {  // not a thread of ours; or somebody has sent it
    ::signal(number, SIG_DFL);      // the instruction faults again, and then ends the process
    if (info->si_code <= 0) ::raise(number);
    return;
  }
  begin_report();
  {
    error_text out;
    out << "fatal error: " << f->name << ": " << f->text << (gp ? "" : " during runtime execution") << "\n[signal " << f->name << " code=" << info->si_code
        << " addr=" << info->si_addr << "]\n";
  }
  end_with_stack(gp, context, gp ? traceback::all : traceback::single);
}

}  // namespace

void install_fault_reports() noexcept {
  for (fault_signal& f : faults) {
    struct sigaction action {};
    action.sa_sigaction = &on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(f.number, &action, &f.previous);
  }
}

void stack_has_overflowed(const g* gp) noexcept {
  begin_report();
  say_limit(gp);
  error_text() << "runtime: goroutine " << gp->id << (gp->name ? " " : "") << (gp->name ? gp->name : "") << " has no guard under its stack and has written beyond it before it came to wait or ended\n";
  fatal("stack overflow");
}

bool attempt(void (*f)(void*), void* arg, int limit_s) noexcept {
  sigjmp_buf here;
  sigjmp_buf* const outer = attempting;
  timer_t timer{};
  volatile bool timed = false;
  if (limit_s > 0) {
    struct sigaction action {};
    action.sa_handler = [](int) { abandon_attempt(); };
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    ::sigaction(SIGALRM, &action, nullptr);
    sigset_t alarm;
    ::sigemptyset(&alarm);
    ::sigaddset(&alarm, SIGALRM);
    ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
    sigevent to_us{};
    to_us.sigev_notify = SIGEV_THREAD_ID;
    to_us.sigev_signo = SIGALRM;
#ifdef sigev_notify_thread_id
    to_us.sigev_notify_thread_id = ::gettid();
#else
    to_us._sigev_un._tid = ::gettid();
#endif
    const itimerspec limit{{}, {limit_s, 0}};
    timed = ::timer_create(CLOCK_MONOTONIC, &to_us, &timer) == 0 && ::timer_settime(timer, 0, &limit, nullptr) == 0;
  }
  volatile bool whole = false;
  if (sigsetjmp(here, 0) == 0) {
    attempting = &here;
    f(arg);
    whole = true;
  }
  attempting = outer;
  if (timed) ::timer_delete(timer);
  return whole;
}

void abandon_attempt() noexcept {
  if (attempting) ::siglongjmp(*attempting, 1);
}

void use_signal_stack(m* mp) noexcept {
  stack_t now{};
  if (::sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0) return;  // this thread has one already
  // Reports look for names there, with a demangler that takes 64 bytes a character; only what is touched costs memory. Registers of the largest vector
  // units need more than SIGSTKSZ once promised.
  const std::size_t size = (128 * 1024 + ::getauxval(AT_MINSIGSTKSZ) + os::page_size() - 1) & ~(os::page_size() - 1);
  if (!mp->signal_stack) mp->signal_stack = os::reserve(size, os::page_size());
  if (!mp->signal_stack) return;
  mp->signal_stack_bytes = size;
  stack_t s{};
  s.ss_sp = mp->signal_stack;
  s.ss_size = size;
  ::sigaltstack(&s, nullptr);
}

void drop_signal_stack(m* mp) noexcept {
  if (!mp->signal_stack) return;
  stack_t now{}, none{};
  none.ss_flags = SS_DISABLE;
  if (::sigaltstack(nullptr, &now) == 0 && now.ss_sp == mp->signal_stack) ::sigaltstack(&none, nullptr);
  os::unmap(mp->signal_stack, mp->signal_stack_bytes);
  mp->signal_stack = nullptr;
}

}  // namespace weft
