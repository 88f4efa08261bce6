// sched/init.cpp: init tasks (<weft/init.hpp>): main's goroutine runs them before main's function, dependencies first.
// Source: Go's doInit (proc.go).
#include "sched/init.hpp"

#include <weft/this_goroutine.hpp>

#include <climits>

#include <weft/init.hpp>

#include "base/atomic.hpp"
#include "base/throw.hpp"
#include "lock/lock.hpp"
#include "os/clock.hpp"
#include "os/futex.hpp"
#include "sched/sched.hpp"

namespace weft {

using detail::init_task;

bool trace_init_tasks = false;
atomic<std::uint32_t> init_is_done{0};

namespace {

// Static constructors of several libraries may run at the same time: dlopen.
constinit ranked_lock<rank::leaf> tasks_lock;
init_task* first_added = nullptr;  // guarded by tasks_lock
init_task* last_added = nullptr;   // and this

init_task* take_first() noexcept {
  lock_guard hold(tasks_lock);
  init_task* t = first_added;
  if (t) first_added = t->next;
  return t;
}

// The tasks that wait for each other: from the innermost outwards, through the frames of run_task().
struct waiting_frame {
  const init_task* task;
  const waiting_frame* outer;
};

[[noreturn]] void cycle(const init_task& again, const waiting_frame* innermost) noexcept {
  begin_report();
  {
    error_text out;
    out << "weft: init tasks wait for each other: " << again.name;
    for (const waiting_frame* f = innermost; f; f = f->outer) {
      out << (f == innermost ? " is needed by " : ", that by ") << f->task->name;
      if (f->task == &again) break;
    }
    out << "\n";
  }
  fatal("init: cycle of dependencies");
}

// In Go's form: name, when it began, how long it took.
void print_trace(const init_task& t, std::int64_t began, std::int64_t ended, std::int64_t start) noexcept {
  error_text out;
  const auto ms = [&](std::int64_t ns) {
    const auto us = static_cast<std::uint64_t>(ns) / 1000;
    out << us / 1000 << "." << us / 100 % 10 << us / 10 % 10 << us % 10;
  };
  out << "init " << t.name << " @";
  ms(began - start);
  out << " ms, ";
  ms(ended - began);
  out << " ms clock\n";
}

void run_task(init_task& t, const waiting_frame* outer, std::int64_t start) {
  if (t.at == init_task::state::done) return;
  if (t.at == init_task::state::under_way) cycle(t, outer);
  t.at = init_task::state::under_way;
  const waiting_frame here{&t, outer};
  for (init_task* const* need = t.needs; *need; need++) run_task(**need, &here, start);
  const std::int64_t began = os::now_ns();
  t.body();
  if (trace_init_tasks) print_trace(t, began, os::now_ns(), start);
  t.at = init_task::state::done;
}

}  // namespace

namespace detail {
bool add_init_task(init_task& task) noexcept {
  lock_guard hold(tasks_lock);
  (first_added ? last_added->next : first_added) = &task;
  last_added = &task;
  return true;
}
}  // namespace detail

namespace {
/// Main stays on the thread that called run() while init tasks run; and for good, if one of them locks it there.
struct first_thread {
  first_thread() { this_goroutine::lock_thread(); }
  ~first_thread() { this_goroutine::unlock_thread(); }
};
}  // namespace

void run_init_tasks() {
  const std::int64_t start = sched.began_ns.load(std::memory_order_relaxed);
  if (init_task* t = take_first()) {
    const first_thread kept;
    do run_task(*t, nullptr, start);
    while ((t = take_first()));
  }
  init_is_done.store(1, std::memory_order_release);  // [mo:init]
  os::futex_wake(init_is_done, INT_MAX);
}

}  // namespace weft
