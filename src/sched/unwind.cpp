// sched/unwind.cpp: see unwind.hpp.
// The unwinder wants an exception object. Ours is one of C++'s own kind, not a foreign one: those cannot be caught and thrown on
// inside a handler of another exception. During a forced unwind the C++ library takes it for an abi::__forced_unwind in any case.
// All state of it lies in that object and in the goroutine's exception globals, so a park in a destructor may change threads.
#include "sched/unwind.hpp"

#include <cxxabi.h>
#include <pthread.h>
#include <unwind.h>

#include <cstring>
#include <exception>
#include <typeinfo>

#include <weft/detail/exception_of.hpp>
#include <weft/this_goroutine.hpp>

#include "base/throw.hpp"
#include "sched/park_until.hpp"

namespace weft {

namespace {

struct exit_request : std::exception {
  [[nodiscard]] const char* what() const noexcept override { return "this_goroutine::exit()"; }  // in the report of a panic that took its place
};

// An exception_ptr is one pointer, to the object; the unwinder's header lies right before that (Itanium C++ ABI, 2.2.1).
static_assert(sizeof(std::exception_ptr) == sizeof(void*));

_Unwind_Exception* make_request() {
  const std::exception_ptr made = std::make_exception_ptr(exit_request{});
  std::exception_ptr kept = made;  // its reference is given up in on_drop()
  void* object;
  std::memcpy(&object, static_cast<const void*>(&kept), sizeof object);
  ::new (static_cast<void*>(&kept)) std::exception_ptr();
  return static_cast<_Unwind_Exception*>(object) - 1;
}

// The last handler that caught it has ended without throwing it on.
void on_drop(_Unwind_Reason_Code, _Unwind_Exception* e) {
  if (g* gp = current_g(); gp && (gp->flags & g_unwinding)) fatal("this_goroutine::exit: a catch (...) did not throw it on");
  void* object = e + 1;
  std::exception_ptr last;
  std::memcpy(static_cast<void*>(&last), &object, sizeof object);
}

bool commit_forever(g*) noexcept { return true; }

// A goroutine that the end of the world unwinds has got as far as it gets, and the end goes on without it.
[[noreturn]] void stuck(const char* why) noexcept {
  g* gp = current_g();
  if ((gp->flags & g_must_exit) == 0) fatal(why);
  for (;;) park(&commit_forever, nullptr, gp->why());
}

_Unwind_Reason_Code at_frame(int, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception*, _Unwind_Context*, void*) {
  if (actions & _UA_END_OF_STACK) stuck("this_goroutine::exit: a function without unwind information is in the way");
  return _URC_NO_REASON;
}

}  // namespace

void unwind() {
  g* gp = current_g();
  if (gp->flags & g_unwinding) fatal("this_goroutine::exit: called by a destructor that it runs");
  _Unwind_Exception* e = make_request();
  e->exception_cleanup = &on_drop;
  gp->flags |= g_unwinding;
  this_m()->eh->uncaught++;  // as for any exception that is under way
  sanitizers::about_to_unwind();
  _Unwind_ForcedUnwind(e, &at_frame, nullptr);
  fatal("this_goroutine::exit: the unwinder failed");
}

void unwound() {
  g* gp = current_g();
  if (!(gp->flags & g_unwinding)) throw;
  gp->flags &= static_cast<std::uint16_t>(~g_unwinding);
}

void unwind_in_turn() {
  g* gp = current_g();
  while (!(gp->flags & g_must_exit)) {
    begin_contest(gp);
    static_cast<void>(park_until(gp, &commit_forever, nullptr, gp->why(), detail::wait_limit{}));
  }
  unwind();
}

void explain_terminate() noexcept {
  g* gp = current_g();
  if (!gp || !(gp->flags & g_unwinding)) return;
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (!type || *type == typeid(exit_request)) stuck("this_goroutine::exit: a noexcept function is in the way");
  gp->flags &= static_cast<std::uint16_t>(~g_unwinding);  // the report may drop it
}

namespace detail {

WEFT_HANDLES_FORCED_UNWIND std::exception_ptr exception_of(void (*call)(void*), void* arg) {
  try {
    call(arg);
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

}  // namespace detail

namespace this_goroutine {

void exit() {
  if (!current_g()) {
    if (this_m()) fatal("this_goroutine::exit: in call_c");
    ::pthread_exit(nullptr);
  }
  unwind();
}

}  // namespace this_goroutine

}  // namespace weft
