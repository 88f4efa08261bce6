// base/throw.cpp: see throw.hpp.
#include "base/throw.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iterator>

#include "base/atomic.hpp"

namespace weft {

upcalls up;
atomic<bool> forked_child{false};

namespace {
atomic<pid_t> reporter{0};  // the thread that reports
}  // namespace

error_text& error_text::operator<<(std::string_view s) noexcept {
  for (const char c : s) {
    if (used_ == sizeof buffer_) flush();
    buffer_[used_++] = c;
  }
  return *this;
}

error_text& error_text::operator<<(std::uint64_t n) noexcept {
  char digits[20];
  int i = 20;
  do digits[--i] = static_cast<char>('0' + n % 10);
  while (n /= 10);
  return *this << std::string_view(digits + i, 20 - i);
}

error_text& error_text::operator<<(std::int64_t n) noexcept {
  if (n >= 0) return *this << static_cast<std::uint64_t>(n);
  return *this << "-" << (0 - static_cast<std::uint64_t>(n));
}

error_text& error_text::operator<<(const void* p) noexcept {
  *this << "0x";
  const auto v = reinterpret_cast<std::uintptr_t>(p);
  int shift = 60;
  while (shift > 0 && (v >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) *this << std::string_view(&"0123456789abcdef"[(v >> shift) & 15], 1);
  return *this;
}

void error_text::flush() noexcept {
  if (to_) {
    to_(arg_, {buffer_, used_});
    used_ = 0;
    return;
  }
  const char* at = buffer_;
  while (used_ > 0) {
    const ssize_t n = ::write(STDERR_FILENO, at, used_);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    at += n;
    used_ -= static_cast<std::size_t>(n);
  }
  used_ = 0;
}

void begin_report() noexcept {
  const pid_t me = ::gettid();
  pid_t none = 0;
  // [mo:own] relaxed: only who comes first matters; nothing is published through it.
  if (reporter.compare_exchange_strong(none, me, std::memory_order_relaxed)) return;
  if (none == me) return;  // the same thread goes on with its report
  for (;;) ::pause();      // somebody else's report ends the process
}

void let_reporter_finish() noexcept {
  while (dying()) ::pause();
}

bool dying() noexcept { return reporter.load(std::memory_order_relaxed) != 0; }

void die(int status) noexcept {
  static bool dumped = false;  // only the reporter comes here
  begin_report();
  if (!dumped && traceback_level() != traceback::none) {
    dumped = true;
    error_text out;
    if (up.dump_goroutines) up.dump_goroutines(out);
  }
  end_report(status);
}

void end_report(int status) noexcept {
  if (traceback_level() == traceback::crash) {
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
  }
  ::_exit(status);
}

void end_forked_child() noexcept {
  begin_report();
  error_text() << "weft: this is a forked child; weft's threads stayed in its parent: only exec or _exit may follow\n";
  end_report(2);
}

bool parse_traceback(std::string_view text, traceback& level) noexcept {
  constexpr std::string_view words[] = {"none", "single", "all", "system", "crash"};
  for (std::size_t i = 0; i < std::size(words); i++) {
    if (text != words[i]) continue;
    level = static_cast<traceback>(i);
    return true;
  }
  return false;
}

traceback traceback_level() noexcept {
  traceback level = traceback::single;
  if (const char* text = std::getenv("WEFT_TRACEBACK")) parse_traceback(text, level);
  return level;
}

void fatal(std::string_view what) noexcept {
  begin_report();
  error_text() << "fatal error: " << what << "\n";
  die(2);
}

void rt_throw(std::string_view what) noexcept { fatal(what); }

}  // namespace weft
