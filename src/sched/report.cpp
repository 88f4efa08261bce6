// sched/report.cpp: see report.hpp. An uncaught exception arrives here with the stack of its throw still standing: the
// entry frame of a goroutine has no handler, so the unwinder finds the end of the stack before it unwinds anything.
#include "sched/report.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <unwind.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <typeinfo>

#include "base/throw.hpp"
#include "sched/lap.hpp"
#include "sched/unwind.hpp"

namespace weft {

namespace {

std::terminate_handler previous_handler = nullptr;
const g* reporting = nullptr;  // whose panic is being printed, so that the list of the others leaves it out

void print_demangled(error_text& out, const char* symbol) noexcept {
  int status = 0;
  char* plain = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  out << (plain ? plain : symbol);
  std::free(plain);
}

_Unwind_Reason_Code print_frame(_Unwind_Context* context, void* arg) {
  auto& out = *static_cast<error_text*>(arg);
  int before = 0;
  const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &before));
  if (pc == 0) return _URC_END_OF_STACK;
  print_pc(out, pc - (before ? 0 : 1));
  return _URC_NO_REASON;
}

void print_exception(error_text& out, const std::exception_ptr& e, bool first) noexcept {
  out << (first ? "panic: " : "\n\tpanic: ");
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    out << x.what();
  } catch (const char* text) {
    out << text;
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    out << "exception of type ";
    print_demangled(out, type ? type->name() : "?");
  }
}

void print_header(error_text& out, const g* gp, std::string_view status) noexcept {
  out << "goroutine " << gp->id << " [" << status << "]:";
  if (gp->name) out << " " << gp->name;
  out << "\n";
}

// Runs on the stack of the throw.
[[noreturn]] void on_terminate() {
  g* gp = current_g();
  if (!gp && previous_handler) previous_handler();
  explain_terminate();
  begin_report();
  reporting = gp;
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
  for (int i = n; i-- > 0;) print_exception(out, chain[i], i == n - 1);
  out << "\n\n";
  if (gp) print_header(out, gp, "running");
  _Unwind_Backtrace(&print_frame, &out);
  if (gp && gp->creator) out << "created by goroutine " << gp->creator << "\n";
  out.flush();
  die(2);
}

std::string_view status_text(const g* gp, g_status s) noexcept {
  switch (s) {
    case g_status::idle:
    case g_status::dead: return "";
    case g_status::runnable: return "runnable";
    case g_status::running: return "running";
    case g_status::syscall: return "syscall";
    case g_status::waiting: return to_string(gp->why);
  }
  return "?";
}

void dump_goroutines(error_text& out) noexcept {
  struct context {
    error_text& out;
    const g* skip;
  } c{out, reporting};
  for_each_g(
      [](g* gp, void* arg) {
        auto& [o, skip] = *static_cast<context*>(arg);
        const g_status s = gp->status.load(std::memory_order_acquire);  // [mo:status]
        const std::string_view text = status_text(gp, s);
        if (text.empty() || gp == skip) return;
        o << "\n";
        print_header(o, gp, text);
        if (gp->creator) o << "created by goroutine " << gp->creator << "\n";
      },
      &c);
}

}  // namespace

void print_pc(error_text& out, std::uintptr_t pc) noexcept {
  Dl_info info;
  const auto* at = reinterpret_cast<const void*>(pc);
  out << "  ";
  if (::dladdr(at, &info) == 0) {
    out << at;
  } else if (info.dli_sname) {
    print_demangled(out, info.dli_sname);
    out << " +" << reinterpret_cast<const void*>(pc - reinterpret_cast<std::uintptr_t>(info.dli_saddr));
  } else {
    out << info.dli_fname << " +" << reinterpret_cast<const void*>(pc - reinterpret_cast<std::uintptr_t>(info.dli_fbase));
  }
  out << "\n";
}

void install_reports() noexcept {
  up.dump_goroutines = &dump_goroutines;
  previous_handler = std::set_terminate(&on_terminate);
}

}  // namespace weft
