// sched/report.cpp: see report.hpp. An uncaught exception arrives here with the stack of its throw still standing: the
// entry frame of a goroutine has no handler, so the unwinder finds the end of the stack before it unwinds anything.
#include "sched/report.hpp"

#include <cxxabi.h>
#include <signal.h>

#include <exception>
#include <string>
#include <typeinfo>

#include "base/throw.hpp"
#include "os/signals.hpp"
#include "sched/attach.hpp"
#include "sched/lap.hpp"
#include "sched/traceback.hpp"
#include "sched/unwind.hpp"

namespace weft {

namespace {

constexpr std::int64_t look_ns = 50'000'000;
constexpr int text_limit_s = 1;  // for the user's what()

std::terminate_handler previous_handler = nullptr;

struct text_of {
  error_text& out;
  std::exception_ptr& e;
};

// The user's code: it may throw, fault, wait, or never return.
void print_text(void* arg) {
  auto& [out, e] = *static_cast<text_of*>(arg);
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    const char* text = x.what();
    out << (text ? text : "(null)");
  } catch (const char* text) {
    out << text;
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    out << "exception of type ";
    // A type's name is mangled as a symbol is, without the sign of it.
    int status = 0;
    char* plain = type ? abi::__cxa_demangle(type->name(), nullptr, nullptr, &status) : nullptr;
    out << (plain ? plain : type ? type->name() : "?");
  }
}

// Runs on the stack of the throw.
[[noreturn]] void on_terminate() {
  abandon_attempt();  // by a what() that may not throw and does
  m* mp = this_m();
  g* gp = current_g();
  if (!gp && previous_handler) previous_handler();
  explain_terminate();
  begin_report();
  // Nobody runs on this thread any more: what() may take a mutex or yield, and then waits as on a thread that is not weft's.
  set_this_m(nullptr);
  error_text out;
  // The stack of caught exceptions, newest first: what was being handled, and on top what nobody caught.
  constexpr int most = 8;
  std::exception_ptr chain[most];
  int n = 0, repeats = 0;
  while (n < most) {
    chain[n] = std::current_exception();
    if (!chain[n]) break;
    if (n == 0 || chain[n] != chain[n - 1]) n++;  // a rethrown one is there for its handler too
    else if (++repeats > most) break;
    abi::__cxa_end_catch();
  }
  if (n == 0) out << "panic: terminate called without an active exception";
  for (int i = n; i-- > 0;) {
    out << (i == n - 1 ? "panic: " : "\n\tpanic: ");
    text_of text{out, chain[i]};
    if (!attempt(&print_text, &text, text_limit_s)) out << "[what() does not return]";
  }
  out << "\n";
  const traceback level = traceback_level();
  if (level != traceback::none && gp) {
    out << "\n";
    out.flush();
    stack_trace t;
    trace_here(t);
    print_whatever_happens(out, portrait(gp, 0), t, frames_asked_for());
    if (level >= traceback::all) {
      static_cast<void>(stop_for_a_look(mp, look_ns));
      print_others(out, gp, frames_asked_for());
    }
  }
  out.flush();
  end_report(2);
}

void dump_goroutines(error_text& out) noexcept {
  const g* gp = current_g();
  if (!gp) gp = attached_g();
  if (gp) {
    stack_trace t;
    trace_here(t);
    out << "\n";
    print_whatever_happens(out, portrait(gp, 0), t, frames_asked_for());
  }
  static_cast<void>(stop_for_a_look(this_m(), look_ns));
  print_others(out, gp, frames_asked_for());
}

// On the thread for signals; the program goes on.
void on_quit(int) {
  if (dying()) return;
  std::string text = "SIGQUIT: quit\n\n";
  {
    error_text out([](void* to, std::string_view part) { static_cast<std::string*>(to)->append(part); }, &text);
    print_all(out);
  }
  error_text() << text << "\n";
}

}  // namespace

void install_reports() noexcept {
  up.dump_goroutines = &dump_goroutines;
  previous_handler = std::set_terminate(&on_terminate);
  struct sigaction quit {};
  if (::sigaction(SIGQUIT, nullptr, &quit) == 0 && !(quit.sa_flags & SA_SIGINFO) && quit.sa_handler == SIG_DFL) os::relay_signal(SIGQUIT, &on_quit);
}

}  // namespace weft
