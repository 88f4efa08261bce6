// sched/frames.cpp: stacks as text: `FUNCTION`, then a tab and FILE:LINE +OFFSET, as Go prints them. A user's mistake is in the user's
// functions: frames of weft's own are left out, and so is what the C++ library has between a throw and std::terminate.
#include "sched/traceback.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/atomic.hpp"
#include "os/symbols.hpp"

namespace weft {

namespace {

atomic<bool> demangling{true};

bool starts_with(const char* text, std::string_view part) noexcept { return std::strncmp(text, part.data(), part.size()) == 0; }

bool ends_with(std::string_view text, std::string_view part) noexcept { return text.size() >= part.size() && text.substr(text.size() - part.size()) == part; }

// weft's own, and what lies between it and the user's function: of no use for finding a user's mistake. By name, mangled or (for
// inlined ones) plain, and by file.
bool is_ours(const os::symbol& s) noexcept {
  static constexpr std::string_view here = __FILE__, root = here.substr(0, here.size() - std::string_view("sched/frames.cpp").size());
  static constexpr std::string_view names[] = {"weft_gostart", "weft_goroutine_main", "_ZN4weft6detail", "_ZNK4weft6detail", "_ZZN4weft6detail", "_ZZNK4weft6detail", "_ZN4weft3runI", "_ZZN4weft3runI"};
  static constexpr std::string_view files[] = {"/weft/go.hpp", "/weft/run.hpp", "/weft/async.hpp", "/weft/wait_group.hpp", "/weft/task_group.hpp"};
  static constexpr std::string_view callers[] = {  // of std::invoke and its like
      "__invoke_impl<", "__invoke<", "__invoke_r<", "invoke<", "__apply_impl<", "apply<", "_M_invoke", "operator()",
      "_ZSt13__invoke_impl", "_ZSt8__invokeI", "_ZSt10__invoke_rI", "_ZSt6invokeI", "_ZSt12__apply_implI", "_ZSt5applyI", "_ZNSt17_Function_handler", "_ZNKSt8functionI",
      "_ZNSt3__18__invoke", "_ZNSt3__16invokeI", "_ZNSt3__15applyI", "_ZNSt3__112__apply"};
  if (s.function) {
    for (const std::string_view n : names)
      if (starts_with(s.function, n)) return true;
  }
  if (!s.file || s.line == 0) return false;
  if (starts_with(s.file, root) || std::strstr(s.file, "/weft/detail/")) return true;
  for (const std::string_view f : files)
    if (ends_with(s.file, f)) return true;
  if (s.function && std::strstr(s.file, "/c++/")) {
    for (const std::string_view c : callers)
      if (starts_with(s.function, c)) return true;
  }
  return false;
}

void print_place(error_text& out, const os::symbol& s) noexcept {
  out << "\t" << (s.file ? s.file : "?");
  if (s.line != 0) out << ":" << s.line;
  if (!s.inlined) out << " +" << reinterpret_cast<const void*>(s.offset);
  out << "\n";
}

void print_function(error_text& out, const os::symbol& s) noexcept {
  if (!s.function) {
    out << "?";
    return;
  }
  print_demangled(out, s.function);
  if (!starts_with(s.function, "_Z")) out << "(...)";
}

void print_frame(error_text& out, const os::symbol& s) noexcept {
  print_function(out, s);
  out << "\n";
  print_place(out, s);
}

// Where the report of a throw begins for the user: with who threw.
int first_of_users(const stack_trace& t) noexcept {
  int after_terminate = 0;
  for (int i = 0; i < t.count && i < 16; i++) {
    os::symbol s;
    os::symbolize(t.pc[i], [](const os::symbol& one, void* arg) { *static_cast<os::symbol*>(arg) = one; }, &s);
    if (!s.function) continue;
    const std::string_view f = s.function;
    if (f == "__cxa_throw" || f == "__cxa_rethrow" || f == "_ZSt17rethrow_exceptionNSt15__exception_ptr13exception_ptrE") return i + 1;
    if (f == "_ZSt9terminatev") after_terminate = i + 1;
  }
  return after_terminate;
}

}  // namespace

void demangle_no_more() noexcept { demangling.store(false, std::memory_order_relaxed); }

void print_demangled(error_text& out, const char* symbol) noexcept {
  // The demangler takes 64 bytes of stack for each character, and a goroutine's is small.
  constexpr std::size_t longest = 800;
  char* plain = nullptr;
  if (demangling.load(std::memory_order_relaxed) && starts_with(symbol, "_Z") && ::strnlen(symbol, longest) < longest) {
    int status = 0;
    plain = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  }
  // What everybody writes as std::string.
  static constexpr std::string_view written_out = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
  std::string_view text = plain ? plain : symbol;
  for (;;) {
    const auto at = text.find(written_out);
    out << text.substr(0, at);
    if (at == text.npos) break;
    out << "std::string";
    text.remove_prefix(at + written_out.size());
  }
  std::free(plain);
}

void print_frames(error_text& out, const stack_trace& t, which_frames which) noexcept {
  struct printer {
    error_text& out;
    which_frames which;
    int printed = 0;
  } p{out, which};
  const auto print_one = [](const os::symbol& s, void* arg) {
    auto& [o, w, n] = *static_cast<printer*>(arg);
    if (w == which_frames::users && is_ours(s)) return;
    n++;
    print_frame(o, s);
  };
  const int first = which == which_frames::users ? first_of_users(t) : 0;
  for (int i = first; i < t.count; i++) {
    if (i == stack_trace::half && t.left_out != 0) out << "...additional frames elided...\n";
    os::symbolize(t.pc[i], print_one, &p);
  }
  if (p.printed == 0 && which == which_frames::users && t.count > 0) print_frames(out, t, which_frames::all);
}

void print_creator(error_text& out, const void* created_at, std::uint64_t creator) noexcept {
  struct printer {
    error_text& out;
    std::uint64_t creator;
    bool done = false;
  } p{out, creator};
  os::symbolize(
      reinterpret_cast<std::uintptr_t>(created_at) - 1,
      [](const os::symbol& s, void* arg) {
        auto& c = *static_cast<printer*>(arg);
        if (c.done || (s.inlined && is_ours(s))) return;
        c.done = true;
        c.out << "created by ";
        print_function(c.out, s);
        if (c.creator) c.out << " in goroutine " << c.creator;
        c.out << "\n";
        print_place(c.out, s);
      },
      &p);
}

}  // namespace weft
