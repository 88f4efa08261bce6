// sched/traceback.cpp: see traceback.hpp.
#include "sched/traceback.hpp"

#include <ucontext.h>
#include <unwind.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "arch/unwind.hpp"
#include "sched/attach.hpp"
#include "sched/bubble.hpp"
#include "sched/lap.hpp"

namespace weft {

namespace {

constexpr std::int64_t look_ns = 50'000'000;  // how long a report waits for the world to stop

struct collector {
  stack_trace& t;
  int skip = 0;              // innermost ones
  std::uintptr_t begin = 0;  // skip until this address is reached
  int next = 0;              // in the second half, which is a ring until the end
};

void add(collector& c, std::uintptr_t pc) noexcept {
  constexpr int half = stack_trace::half;
  if (c.t.count < 2 * half) {
    c.t.pc[c.t.count++] = pc;
    return;
  }
  c.t.left_out++;
  c.t.pc[half + c.next] = pc;
  c.next = (c.next + 1) % half;
}

// The ring's oldest first.
void finish(collector& c) noexcept {
  constexpr int half = stack_trace::half;
  if (c.next == 0) return;
  std::uintptr_t last[half];
  for (int i = 0; i < half; i++) last[i] = c.t.pc[half + (c.next + i) % half];
  std::memcpy(c.t.pc + half, last, sizeof last);
}

_Unwind_Reason_Code collect(_Unwind_Context* context, void* arg) noexcept {
  auto& c = *static_cast<collector*>(arg);
  int exact = 0;
  const auto pc = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &exact));
  if (pc == 0) return _URC_END_OF_STACK;
  if (c.begin == pc) c.begin = 0;
  if (c.begin != 0 || c.skip-- > 0) return _URC_NO_REASON;
  c.skip = 0;
  add(c, pc - (exact ? 0 : 1));  // a return address may already be another line's
  return _URC_NO_REASON;
}

void trace_from(const arch::unwind_start& at, collector& c) noexcept {
  c.skip = 1;  // weft_unwind_from
  arch::weft_unwind_from(&at, &collect, &c);
  finish(c);
}

std::string_view status_text(const g_portrait& g) noexcept {
  switch (g.status) {
    case g_status::idle:
    case g_status::dead: return "";
    case g_status::runnable: return "runnable";
    case g_status::running: return "running";
    case g_status::syscall: return "syscall";
    case g_status::waiting: return to_string(g.why);
  }
  return "?";
}

void note_one(g* gp, std::int64_t now) noexcept {
  // [mo:status]
  if (gp->status.load(std::memory_order_acquire) != g_status::waiting) return;
  std::uint8_t w = gp->wait.load(std::memory_order_relaxed);
  if (w & g_wait_noted) return;
  gp->waiting_since.store(now, std::memory_order_relaxed);
  // [mo:own] Fails when it has begun another wait meanwhile. One that looks the same is as good: it began before now, too.
  gp->wait.compare_exchange_strong(w, static_cast<std::uint8_t>(w | g_wait_noted), std::memory_order_relaxed);
}

bool has_stack(const g_portrait& g) noexcept { return !g.thread && (g.status == g_status::waiting || g.status == g_status::runnable) && !g.fresh; }

constexpr std::int64_t minute_ns = 60'000'000'000;
constexpr const char* lost = "\t[the stack cannot be read]\n";

/// What is read while the world is stopped, to be printed when it goes on.
struct collection {
  struct one {
    g_portrait g;
    std::size_t frames, count;  // in pcs
    int left_out;
    bool whole;
  };
  std::vector<one> all;
  std::vector<std::uintptr_t> pcs;
  stack_trace t;
  std::int64_t now = os::now_ns();
  const g* skip = nullptr;
  const bubble* only = nullptr;
  g* gp = nullptr;
  g_portrait thread{};

  void keep(const g_portrait& g, bool whole) {
    all.push_back({g, pcs.size(), static_cast<std::size_t>(t.count), t.left_out, whole});
    pcs.insert(pcs.end(), t.pc, t.pc + t.count);
  }
  void print(error_text& out) {
    const which_frames which = frames_asked_for();
    for (const one& o : all) {
      if (&o != all.data()) out << "\n";
      t.count = static_cast<int>(o.count);
      t.left_out = o.left_out;
      std::copy_n(pcs.begin() + static_cast<std::ptrdiff_t>(o.frames), o.count, t.pc);
      print_goroutine(out, o.g, t, which);
      if (!o.whole) out << lost;
    }
  }
};

void read_all(collection& c) {
  struct look {
    bool stopped = sched.running.load(std::memory_order_relaxed) && stop_for_a_look(this_m(), look_ns, meanwhile::yields);
    ~look() {
      if (!stopped) return;
      start_the_world();
      no_longer_stopper();
    }
  } world;
  for_each_g(
      [](g* gp, void* arg) {
        auto& all = *static_cast<collection*>(arg);
        const g_portrait g = portrait(gp, all.now);
        if (gp == all.skip || status_text(g).empty() || (all.only && g.in != all.only)) return;
        note_one(gp, all.now);
        all.t.count = all.t.left_out = 0;
        all.gp = gp;
        const auto trace = [](void* a) { trace_parked(static_cast<collection*>(a)->gp, static_cast<collection*>(a)->t); };
        all.keep(g, !has_stack(g) || attempt(trace, arg));
      },
      &c);
  if (c.only) return;
  for (std::uint64_t id = 0; (id = with_next_attached(
                                  id,
                                  [](g* gp, void* arg) {
                                    auto& all = *static_cast<collection*>(arg);
                                    note_one(gp, all.now);
                                    all.thread = portrait(gp, all.now);
                                    all.gp = gp;
                                  },
                                  &c)) != 0;) {
    c.t.count = c.t.left_out = 0;
    if (c.gp != c.skip) c.keep(c.thread, true);
  }
}

}  // namespace

which_frames frames_asked_for() noexcept { return traceback_level() >= traceback::system ? which_frames::all : which_frames::users; }

[[gnu::noinline]] void trace_here(stack_trace& t) noexcept {
  collector c{t};
  _Unwind_Backtrace(&collect, &c);
  finish(c);
}

void trace_parked(const g* gp, stack_trace& t) noexcept {
  const auto* sp = static_cast<const char*>(gp->sp);
  if (sp < gp->stack.low || sp >= gp->stack.high) return;
  collector c{t};
  trace_from(arch::parked_at(sp), c);
}

void trace_fault(void* context, stack_trace& t) noexcept {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  const auto pc = static_cast<std::uintptr_t>(machine.gregs[REG_RIP]);
#else
  const auto pc = static_cast<std::uintptr_t>(machine.pc);
#endif
  if (pc != 0) {
    collector c{t};
    c.begin = pc;
    _Unwind_Backtrace(&collect, &c);
    finish(c);
    if (t.count > 1) return;
  }
  // A call through a bad pointer: nothing is known about where it went, but it has just come from somewhere.
  collector from_caller{t};
#if defined(__x86_64__)
  const auto sp = static_cast<std::uintptr_t>(machine.gregs[REG_RSP]);
  trace_from({*reinterpret_cast<const std::uintptr_t*>(sp), sp + 8, static_cast<std::uintptr_t>(machine.gregs[REG_RBP]), static_cast<std::uintptr_t>(machine.gregs[REG_RBX])},
             from_caller);
#else
  trace_from({static_cast<std::uintptr_t>(machine.regs[30]), static_cast<std::uintptr_t>(machine.sp), static_cast<std::uintptr_t>(machine.regs[29]),
              static_cast<std::uintptr_t>(machine.regs[19])},
             from_caller);
#endif
}

// Of one that runs, because it did not stop in time, a guess: what it writes meanwhile are words of its own.
WEFT_UNSANITIZED [[gnu::noinline]] g_portrait portrait(const g* gp, std::int64_t now) noexcept {
  g_portrait p{};
  p.status = gp->status.load(std::memory_order_acquire);  // [mo:status]
  p.id = gp->id;
  p.creator = gp->creator;
  p.created_at = gp->created_at;
  p.name = gp->name;
  p.entry = gp->entry;
  p.why = gp->why();
  p.fresh = (gp->flags & g_fresh) != 0;
  p.locked = (gp->flags & g_locked) != 0;
  p.thread = (gp->flags & g_thread) != 0;
  p.in = (gp->flags & g_bubbled) != 0 ? gp->its_bubble : nullptr;  // bubble_of(), which the sanitizers would hear of
  if (gp->wait.load(std::memory_order_relaxed) & g_wait_noted) p.waiting_ns = now - gp->waiting_since.load(std::memory_order_relaxed);
  return p;
}

void print_goroutine(error_text& out, const g_portrait& g, const stack_trace& t, which_frames which) noexcept {
  out << "goroutine " << g.id << " [" << status_text(g);
  if (g.status == g_status::waiting && g.waiting_ns >= minute_ns) out << ", " << g.waiting_ns / minute_ns << " minutes";
  if (g.locked) out << ", locked to thread";
  if (g.thread) out << ", foreign thread";
  if (g.in) out << ", synctest bubble " << g.in->id;
  out << "]:";
  if (g.name) out << " " << g.name;
  out << "\n";
  if (g.thread) {
    if (t.count == 0) out << "\tthread that weft did not make; stack unavailable\n";
  } else if ((g.status == g_status::running || g.status == g_status::syscall) && t.count == 0) {
    out << "\tgoroutine running on other thread; stack unavailable\n";
  }
  if (g.fresh && t.count == 0 && g.entry) {
    stack_trace begin;
    begin.pc[begin.count++] = reinterpret_cast<std::uintptr_t>(g.entry);
    print_frames(out, begin, which_frames::all);
  }
  print_frames(out, t, which);
  if (g.created_at) print_creator(out, g.created_at, g.creator);
}

void print_whatever_happens(error_text& out, const g_portrait& g, const stack_trace& t, which_frames which) noexcept {
  struct arguments {
    error_text& out;
    const g_portrait& g;
    const stack_trace& t;
    which_frames which;
  } a{out, g, t, which};
  const auto print = [](void* arg) {
    const auto& [o, one, trace, w] = *static_cast<arguments*>(arg);
    print_goroutine(o, one, trace, w);
  };
  constexpr int limit_s = 5;
  if (attempt(print, &a, limit_s)) return;
  demangle_no_more();
  out << "\n\t[once more, with names as they are]\n";
  if (!attempt(print, &a, limit_s)) out << lost;
}

void print_others(error_text& out, const g* skip, which_frames which) noexcept {
  struct context {
    error_text& out;
    const g* skip;
    which_frames which;
    std::int64_t now;
    g* gp;
    stack_trace t;
  } c{out, skip, which, os::now_ns(), nullptr, {}};
  for_each_g(
      [](g* gp, void* arg) {
        auto& all = *static_cast<context*>(arg);
        const g_portrait g = portrait(gp, all.now);
        if (gp == all.skip || status_text(g).empty()) return;
        all.gp = gp;
        all.t.count = all.t.left_out = 0;
        const auto trace = [](void* a) { trace_parked(static_cast<context*>(a)->gp, static_cast<context*>(a)->t); };
        const bool whole = !has_stack(g) || attempt(trace, arg);
        all.out << "\n";
        print_whatever_happens(all.out, g, all.t, all.which);
        if (!whole) all.out << lost;
      },
      &c);
  struct look {
    g_portrait seen;
    const g* gp;
    std::int64_t now;
  } l{{}, nullptr, c.now};
  c.t.count = c.t.left_out = 0;
  for (std::uint64_t id = 0; (id = with_next_attached(
                                  id,
                                  [](g* gp, void* arg) {
                                    auto& mine = *static_cast<look*>(arg);
                                    mine.seen = portrait(gp, mine.now);
                                    mine.gp = gp;
                                  },
                                  &l)) != 0;) {
    if (l.gp == skip) continue;
    out << "\n";
    print_whatever_happens(out, l.seen, c.t, which);
  }
}

void print_all(error_text& out) { print_bubble(out, nullptr); }

void print_bubble(error_text& out, const bubble* b) {
  collection c;
  c.only = b;
  const g* me = current_g();
  if (!me) me = attached_g();
  if (me) {
    trace_here(c.t);
    c.keep(portrait(me, c.now), true);
  }
  c.skip = me;
  read_all(c);
  c.print(out);
}

void note_waiting(std::int64_t now) noexcept {
  constexpr std::uint64_t most = 1024;  // 20 us or so
  static atomic<std::uint64_t> next{0};
  const std::uint64_t n = count_of_gs();
  for (std::uint64_t i = 0; i < most && i < n; i++) note_one(g_at(next.fetch_add(1, std::memory_order_relaxed) % n), now);
  static atomic<std::uint64_t> last{0};
  std::uint64_t id = last.load(std::memory_order_relaxed);
  for (int i = 0; i < 16; i++) {  // each step looks at all of them
    id = with_next_attached(id, [](g* gp, void* arg) { note_one(gp, *static_cast<std::int64_t*>(arg)); }, &now);
    if (id == 0) break;
  }
  last.store(id, std::memory_order_relaxed);
}

}  // namespace weft
