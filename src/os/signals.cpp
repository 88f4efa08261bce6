// os/signals.cpp: see signals.hpp.
#include "os/signals.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdint>

#include "base/atomic.hpp"

namespace weft::os {

namespace {

constexpr int last_signal = 64;

atomic<std::uint64_t> pending{0};  // bit n - 1
atomic<signal_function> functions[last_signal + 1] = {};
struct sigaction at_first[last_signal + 1];
int wake_fd = -1;
atomic<int> threads{0};

void on_signal(int number) {
  const int saved = errno;
  // [mo:signal] release, pairs with the acquire in serve(); a second signal before that is one with the first.
  pending.fetch_or(std::uint64_t{1} << (number - 1), std::memory_order_release);
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_fd, &one, sizeof one));
  errno = saved;
}

void* serve(void*) {
  for (;;) {
    std::uint64_t n;
    if (::read(wake_fd, &n, sizeof n) < 0 && errno != EINTR) return nullptr;
    for (std::uint64_t bits = pending.exchange(0, std::memory_order_acquire); bits != 0; bits &= bits - 1) {  // [mo:signal]
      const int number = std::countr_zero(bits) + 1;
      if (const signal_function f = relayed_to(number)) f(number);
    }
  }
}

bool start_thread() noexcept {
  if (wake_fd < 0) wake_fd = ::eventfd(0, EFD_CLOEXEC);
  if (wake_fd < 0) return false;
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ::pthread_attr_setstacksize(&attributes, 512 * 1024);
  sigset_t all, before;  // a new thread inherits: this one takes no signals
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = ::pthread_create(&thread, &attributes, &serve, nullptr);
  if (error == 0) {
    ::pthread_setname_np(thread, "weft-signals");
    threads.store(1, std::memory_order_relaxed);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
  errno = error;
  return error == 0;
}

}  // namespace

bool relay_signal(int signal, signal_function f) noexcept {
  if (signal < 1 || signal > last_signal) return errno = EINVAL, false;
  if (f && threads.load(std::memory_order_relaxed) == 0 && !start_thread()) return false;
  const signal_function old = relayed_to(signal);
  if (!f) {
    if (!old) return true;
    const bool done = ::sigaction(signal, &at_first[signal], nullptr) == 0;
    functions[signal].store(nullptr, std::memory_order_relaxed);
    return done;
  }
  functions[signal].store(f, std::memory_order_relaxed);
  if (old) return true;
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigfillset(&action.sa_mask);
  if (::sigaction(signal, &action, &at_first[signal]) == 0) return true;
  functions[signal].store(nullptr, std::memory_order_relaxed);
  return false;
}

signal_function relayed_to(int signal) noexcept { return functions[signal].load(std::memory_order_relaxed); }

int signal_threads() noexcept { return threads.load(std::memory_order_relaxed); }

}  // namespace weft::os
