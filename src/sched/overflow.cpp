// sched/overflow.cpp: a goroutine that runs into the guard of its stack: said as Go says it, on a stack of the signal's own.
// Any other fault goes where it would have gone without us.
#include "sched/report.hpp"

#include <signal.h>
#include <sys/auxv.h>

#include <cstdlib>

#include "base/throw.hpp"
#include "mem/stack.hpp"
#include "os/memory.hpp"
#include "sched/lap.hpp"

namespace weft {

namespace {

struct sigaction previous[2];  // SIGSEGV, SIGBUS

void on_fault(int signal, siginfo_t* info, void* context) {
  const g* gp = current_g();
  const auto* at = static_cast<const char*>(info->si_addr);
  if (gp && at < gp->stack.low && at >= gp->stack.low - stack_guard_bytes(gp->stack)) {
    begin_report();
    error_text() << "runtime: goroutine stack exceeds " << static_cast<std::uint64_t>(gp->stack.size()) << "-byte limit\n"
                 << "runtime: goroutine " << gp->id << (gp->name ? " " : "") << (gp->name ? gp->name : "") << ", created by goroutine " << gp->creator
                 << "; raise run_options.stack_size or go_options.stack_size\n";
    fatal("stack overflow");
  }
  const struct sigaction& old = previous[signal == SIGBUS];
  if (old.sa_flags & SA_SIGINFO) return old.sa_sigaction(signal, info, context);
  if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(signal);
  ::signal(signal, SIG_DFL);  // the instruction faults again, and then ends the process
}

}  // namespace

void install_overflow_report() noexcept {
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGSEGV, &action, &previous[0]);
  ::sigaction(SIGBUS, &action, &previous[1]);
}

void use_signal_stack(m* mp) noexcept {
  stack_t now{};
  if (::sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0) return;  // this thread has one already
  // Registers of the largest vector units need more than SIGSTKSZ once promised.
  const std::size_t size = (32 * 1024 + ::getauxval(AT_MINSIGSTKSZ) + os::page_size() - 1) & ~(os::page_size() - 1);
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
