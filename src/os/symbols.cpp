// os/symbols.cpp: see symbols.hpp.
#include "os/symbols.hpp"

#include <dlfcn.h>

#if WEFT_SYMBOLS
#include <backtrace.h>

#include "base/atomic.hpp"
#endif

namespace weft::os {

namespace {

void by_dynamic_symbols(std::uintptr_t pc, symbol& s) noexcept {
  Dl_info info;
  if (!::dladdr(reinterpret_cast<const void*>(pc), &info)) return;
  if (!s.function && info.dli_sname) s.function = info.dli_sname, s.offset = pc - reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  if (!s.file && info.dli_fname) {
    s.file = info.dli_fname;
    if (!s.function) s.offset = pc - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  }
}

}  // namespace

#if WEFT_SYMBOLS

namespace {

void no_error(void*, const char*, int) noexcept {}

backtrace_state* state() noexcept {
  static atomic<backtrace_state*> made{nullptr};
  // [mo:symbols] Two threads may both make one; then one is left lying, as libbacktrace cannot give one back.
  if (backtrace_state* s = made.load(std::memory_order_acquire)) return s;
  backtrace_state* s = ::backtrace_create_state(nullptr, 1, &no_error, nullptr);
  made.store(s, std::memory_order_release);  // [mo:symbols]
  return s;
}

}  // namespace

void symbolize(std::uintptr_t pc, void (*f)(const symbol& s, void* arg), void* arg) noexcept {
  struct lines {
    void (*f)(const symbol& s, void* arg);
    void* arg;
    symbol pending;  // said when it is known whether another one follows, into which it is inlined
    bool any = false;
  } c{f, arg, {}};
  ::backtrace_pcinfo(
      state(), pc,
      [](void* data, std::uintptr_t, const char* file, int line, const char* function) {
        auto* l = static_cast<lines*>(data);
        if (!file && !function) return 0;
        if (l->any) {
          l->pending.inlined = true;
          l->f(l->pending, l->arg);
        }
        l->pending = {function, file, line, 0, false};
        l->any = true;
        return 0;
      },
      &no_error, &c);
  // The linker's symbol is that of the outermost, and has its full name where debug information says operator().
  ::backtrace_syminfo(
      state(), pc,
      [](void* data, std::uintptr_t at, const char* name, std::uintptr_t value, std::uintptr_t) {
        auto& s = static_cast<lines*>(data)->pending;
        if (name) s.function = name, s.offset = at - value;
      },
      &no_error, &c);
  if (!c.pending.function || !c.pending.file) by_dynamic_symbols(pc, c.pending);
  f(c.pending, arg);
}

#else

void symbolize(std::uintptr_t pc, void (*f)(const symbol& s, void* arg), void* arg) noexcept {
  symbol s;
  by_dynamic_symbols(pc, s);
  f(s, arg);
}

#endif

}  // namespace weft::os
