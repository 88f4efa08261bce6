// sim/bubble.cpp: see <weft/test/bubble.hpp>; sched/bubble.hpp counts. Source: Go's runtime/synctest.go.
// The root, who called test::bubble(), moves the time: whenever nobody else can run it is woken, goes to the next timer, fires
// what is due then, and parks again.
#include <weft/test/bubble.hpp>


#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/async.hpp>
#include <weft/detail/exception_of.hpp>
#include <weft/go.hpp>

#include "base/throw.hpp"
#include "sched/bubble.hpp"
#include "sched/park.hpp"
#include "sched/traceback.hpp"

namespace weft::test {

deadlock::~deadlock() = default;

namespace {

struct main_function {
  void (*call)(void* f);
  void* f;
  std::exception_ptr error;
};

void run_main(void* closure) {
  auto* main = *static_cast<main_function**>(closure);
  main->error = weft::detail::exception_of(main->call, main->f);
}

void start_main(weft::bubble* b, main_function& main) {
  const weft::detail::new_goroutine made = weft::detail::go_begin(sizeof(void*), alignof(void*), nullptr);
  *static_cast<main_function**>(made.closure) = &main;
  b->main = made.gp;
  weft::detail::go_commit(made.gp, &run_main);
}

// What is due at the same moment comes in any order: a test that needs one is wrong.
void fire_due(weft::bubble* b) {
  struct one {
    runnable* gp;
    due_list::function f;
  };
  std::vector<one> all;
  for (bool more = true; more;) {
    due_list due;
    b->timers.run(b->now.load(std::memory_order_relaxed), due);
    more = due.full();
    for (std::uint32_t i = 0; i < due.started; i++) all.push_back({nullptr, due.functions[i]});
    while (runnable* gp = due.pop_front()) all.push_back({gp, {}});
  }
  for (std::size_t n = all.size(); n > 0; n--) {
    std::swap(all[n - 1], all[this_m()->random.below(static_cast<std::uint32_t>(n))]);
    const one& next = all[n - 1];
    if (next.gp) ready(next.gp);
    else start_goroutine(next.f.run, next.f.arg);
  }
}

bool commit_idle(g* gp) noexcept {
  weft::bubble* b = gp->its_bubble;
  lock_word(b->lock);
  b->active--;
  unlock_word(b->lock);
  return true;
}

bool commit_wait(g* gp) noexcept {
  weft::bubble* b = gp->its_bubble;
  lock_word(b->lock);
  b->waiter = gp;
  unlock_word(b->lock);
  return true;
}

// Until nothing can happen any more.
void move_time(weft::bubble* b) {
  for (;;) {
    fire_due(b);
    park(&commit_idle, nullptr, wait_reason::synctest_run);
    const std::int64_t next = b->timers.earliest();
    if (next == timer_heap::never || b->main_ended) return;
    if (next > b->now.load(std::memory_order_relaxed)) b->now.store(next, std::memory_order_relaxed);
  }
}

[[noreturn]] void throw_deadlock(const weft::bubble* b) {
  std::string text = b->main_ended ? "deadlock: main bubble goroutine has exited but blocked goroutines remain" : "deadlock: all goroutines in bubble are blocked";
  text += "\n\n";
  {
    error_text out([](void* to, std::string_view part) { static_cast<std::string*>(to)->append(part); }, &text);
    print_bubble(out, b);
  }
  throw deadlock(text);
}

}  // namespace

namespace detail {

void run_bubble(void (*call)(void* f), void* f) {
  g* root = current_g();
  if (!root) return weft::async([=] { run_bubble(call, f); }).join();
  if (bubble_of(root)) throw panic("synctest.Run called from within a synctest bubble");
  main_function main{call, f, nullptr};
  weft::bubble* b = open_bubble(root);
  const struct leave {
    weft::bubble* b;
    ~leave() { close_bubble(b); }
  } last{b};
  start_main(b, main);
  move_time(b);
  if (main.error) std::rethrow_exception(main.error);
  if (b->total != 1) throw_deadlock(b);
}

}  // namespace detail

void wait() {
  weft::bubble* b = bubble_here();
  if (!b) throw panic("goroutine is not in a bubble");
  lock_word(b->lock);
  const bool in_progress = std::exchange(b->waiting, true);
  unlock_word(b->lock);
  if (in_progress) throw panic("wait already in progress");
  park(&commit_wait, nullptr, wait_reason::synctest_wait);
  lock_word(b->lock);
  b->active--;
  b->waiter = nullptr;
  b->waiting = false;
  unlock_word(b->lock);
}

}  // namespace weft::test
