// io/signal.cpp: see <weft/signal.hpp>. The thread for signals (os/signals.hpp) sends to the channels, as any plain thread may.
#include <weft/signal.hpp>

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <weft/error.hpp>

#include "os/signals.hpp"
#include "sched/sched.hpp"

namespace weft::signal {

namespace {

constexpr int last_signal = 64;

struct receiver {
  chan<int> c;
  std::uint64_t signals;  // bit n - 1
};

// Leaked on purpose: a signal may come beside static destructors.
struct state {
  std::mutex lock;  // held while it sends, which never waits: after stop() nothing comes
  std::vector<receiver> receivers;
  os::signal_function before[last_signal + 1] = {};  // weft's own use of it, which comes back in the end
  struct sigaction at_first[last_signal + 1];        // of those that are ignored
  std::uint64_t taken = 0, ignored = 0;
};
state& all() {
  static auto* s = new state();
  return *s;
}

std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }

std::uint64_t set_of(std::initializer_list<int> signals) {
  std::uint64_t set = 0;
  for (const int s : signals) {
    if (s < 1 || s > last_signal || s == SIGKILL || s == SIGSTOP || s == SIGSEGV || s == SIGBUS || s == SIGFPE || s == SIGILL || (s > 31 && s < SIGRTMIN))
      throw std::invalid_argument("weft::signal: this signal cannot be had as a message");
    set |= bit(s);
  }
  return set;
}

void deliver(int signal);

// One signal at a time, under the lock.
void listen(state& s, int signal) {
  if (s.ignored & bit(signal)) {
    ::sigaction(signal, &s.at_first[signal], nullptr);
    s.ignored &= ~bit(signal);
  }
  if (s.taken & bit(signal)) return;
  const os::signal_function before = os::relayed_to(signal);
  if (!os::relay_signal(signal, &deliver)) throw std::system_error(errno, std::generic_category(), "weft::signal");
  s.before[signal] = before;
  s.taken |= bit(signal);
}

void let_go(state& s, int signal) {
  if (!(s.taken & bit(signal))) return;
  os::relay_signal(signal, s.before[signal]);
  s.taken &= ~bit(signal);
}

void drop(state& s, std::uint64_t set) {
  for (receiver& r : s.receivers) r.signals &= ~set;
  std::erase_if(s.receivers, [](const receiver& r) { return r.signals == 0; });
  for (int n = 1; n <= last_signal; n++)
    if (set & bit(n)) let_go(s, n);
}

void count_outsiders(const state& s, std::size_t before) {
  // Who may be sent a signal is not in a deadlock.
  if (before == 0 && !s.receivers.empty()) sched.outsiders.fetch_add(1, std::memory_order_relaxed);
  if (before != 0 && s.receivers.empty()) sched.outsiders.fetch_sub(1, std::memory_order_relaxed);
}

// What is in no receiver's set any more.
void drop_unwanted(state& s) {
  std::uint64_t wanted = 0;
  for (const receiver& r : s.receivers) wanted |= r.signals;
  drop(s, s.taken & ~wanted);
}

void deliver(int signal) {
  state& s = all();
  const std::lock_guard hold(s.lock);
  bool closed = false;
  for (receiver& r : s.receivers) {
    if (!(r.signals & bit(signal))) continue;
    try {
      static_cast<void>(r.c.try_send(signal));
    } catch (const closed_channel&) {
      r.signals = 0;  // nobody listens
      closed = true;
    }
  }
  if (!closed) return;
  const std::size_t before = s.receivers.size();
  drop_unwanted(s);
  count_outsiders(s, before);
}

}  // namespace

void notify(const chan<int>& c, std::initializer_list<int> signals) {
  if (c == chan<int>()) throw std::invalid_argument("weft::signal: notify using nil channel");
  const std::uint64_t set = set_of(signals);
  if (set == 0) return;
  state& s = all();
  const std::lock_guard hold(s.lock);
  const std::size_t before = s.receivers.size();
  auto r = std::find_if(s.receivers.begin(), s.receivers.end(), [&](const receiver& one) { return one.c == c; });
  if (r == s.receivers.end()) r = s.receivers.insert(r, {c, 0});
  r->signals |= set;
  count_outsiders(s, before);
  for (int n = 1; n <= last_signal; n++)
    if (set & bit(n)) listen(s, n);
}

void stop(const chan<int>& c) {
  state& s = all();
  const std::lock_guard hold(s.lock);
  const std::size_t before = s.receivers.size();
  std::erase_if(s.receivers, [&](const receiver& r) { return r.c == c; });
  drop_unwanted(s);
  count_outsiders(s, before);
}

void ignore(std::initializer_list<int> signals) {
  const std::uint64_t set = set_of(signals);
  state& s = all();
  const std::lock_guard hold(s.lock);
  const std::size_t before = s.receivers.size();
  drop(s, set);
  count_outsiders(s, before);
  for (int n = 1; n <= last_signal; n++) {
    if (!(set & bit(n)) || (s.ignored & bit(n))) continue;
    struct sigaction none {};
    none.sa_handler = SIG_IGN;
    if (::sigaction(n, &none, &s.at_first[n]) == 0) s.ignored |= bit(n);
  }
}

bool ignored(int signal) {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_IGN;
}

void reset(std::initializer_list<int> signals) {
  const std::uint64_t set = set_of(signals);
  state& s = all();
  const std::lock_guard hold(s.lock);
  const std::size_t before = s.receivers.size();
  drop(s, set);
  count_outsiders(s, before);
  for (int n = 1; n <= last_signal; n++) {
    if (!(set & s.ignored & bit(n))) continue;
    ::sigaction(n, &s.at_first[n], nullptr);
    s.ignored &= ~bit(n);
  }
}

}  // namespace weft::signal
