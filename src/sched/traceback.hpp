// sched/traceback.hpp: goroutines as text, in Go's form: the state, the stack, and who created it.
//
// Whose stack may be walked? A parked or runnable goroutine's, as long as nobody runs it: the world is stopped around the walk,
// and nothing but registers is read then; names and lines are looked up after. A goroutine that computes runs on without its P:
// it can make others runnable, but runs none. It may park itself while it is looked at, and where a P cannot be taken (no
// membarrier) a lap may be under way beyond the limit of the stop; and memory may be what the program has made of it: a walk that
// goes astray ends in attempt().
#pragma once

#include <cstdint>

#include "base/throw.hpp"
#include "goroutine/g.hpp"

namespace weft {

/// Addresses of instructions, innermost first; of a long stack both ends.
struct stack_trace {
  static constexpr int half = 50;
  std::uintptr_t pc[2 * half];
  int count = 0;
  int left_out = 0;  // after the first half
};

/// A goroutine at one moment, but for its stack.
struct g_portrait {
  std::uint64_t id, creator;
  const void* created_at;
  const char* name;
  void (*entry)(void*);
  std::int64_t waiting_ns;  // 0: not known
  g_status status;
  wait_reason why;
  bool fresh;   // has not run yet
  bool locked;  // to a thread
  bool thread;  // no goroutine, but an attached thread
  const bubble* in;  // or null
};
[[nodiscard]] g_portrait portrait(const g* gp, std::int64_t now) noexcept;

/// The calling function's stack; noinline callers are in it.
void trace_here(stack_trace& t) noexcept;
/// Of a goroutine that does not run.
void trace_parked(const g* gp, stack_trace& t) noexcept;
/// Of what a signal interrupted; `context` is its ucontext_t. In its handler.
void trace_fault(void* context, stack_trace& t) noexcept;

enum class which_frames : std::uint8_t { users, all };
/// `goroutine N [STATUS]: NAME`, frames, `created by F in goroutine N`.
void print_goroutine(error_text& out, const g_portrait& g, const stack_trace& t, which_frames which) noexcept;
/// The same in a process that ends: the demangler takes memory from malloc, whose lock may be held and whose lists may be broken; if it
/// fails, the names are printed as they are.
void print_whatever_happens(error_text& out, const g_portrait& g, const stack_trace& t, which_frames which) noexcept;
void demangle_no_more() noexcept;
void print_frames(error_text& out, const stack_trace& t, which_frames which) noexcept;
void print_creator(error_text& out, const void* created_at, std::uint64_t creator) noexcept;
[[nodiscard]] which_frames frames_asked_for() noexcept;
void print_demangled(error_text& out, const char* symbol) noexcept;

/// Every goroutine but `skip`, each after an empty line, straight from their memory: in a process that ends.
void print_others(error_text& out, const g* skip, which_frames which) noexcept;
/// Every goroutine, the calling one first, in a process that lives on: it stops for as long as the registers are read. Allocates.
void print_all(error_text& out);

/// The same of one bubble alone; null: all.
void print_bubble(error_text& out, const bubble* b);

/// Looks at some goroutines and notes since when those that wait do so; for a caller that comes every few seconds. Bounded work.
void note_waiting(std::int64_t now) noexcept;

/// Calls f(arg); false when it faulted, called std::terminate, or (with a limit, and only in a process that ends) took longer.
bool attempt(void (*f)(void*), void* arg, int limit_s = 0) noexcept;
/// Ends the attempt that the calling thread is in; returns if it is in none.
void abandon_attempt() noexcept;

}  // namespace weft
