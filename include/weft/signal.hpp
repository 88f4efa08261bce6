// signal.hpp: signals from outside as messages. Source: Go's os/signal.
// Where nobody has asked for it, a signal does what it does without weft: SIGINT and SIGTERM end the process. SIGQUIT prints all
// goroutines, and the program goes on.
#pragma once

#include <initializer_list>

#include <weft/chan.hpp>
#include <weft/detail/config.hpp>

namespace weft::signal {

/// From now on each of these signals is sent to c, and does nothing else. Never waits for room: a signal that finds c full is
/// dropped for c, so give it room for one at least. Several channels may ask for one signal, and one channel for several, in
/// several calls. While any channel asks, a program in which all goroutines wait is no deadlock.
/// Throws std::invalid_argument for a nil channel, for what cannot be caught (SIGKILL, SIGSTOP), and for faults (SIGSEGV, SIGBUS,
/// SIGFPE, SIGILL); then nothing has changed. std::system_error when there is no thread for it.
/// Parks: no.    Threads: any.    Allocates: yes.
WEFT_API void notify(const chan<int>& c, std::initializer_list<int> signals);
/// c gets no signal any more, once this has returned. Those that no other channel asks for do again what they did at first.
/// Parks: no.    Threads: any.    Allocates: no.
WEFT_API void stop(const chan<int>& c);
/// The process takes no notice of these signals, and no channel gets them. Throws as notify().
WEFT_API void ignore(std::initializer_list<int> signals);
[[nodiscard]] WEFT_API bool ignored(int signal);
/// Undoes notify() and ignore() for these signals: they do what they did at first. Throws as notify().
WEFT_API void reset(std::initializer_list<int> signals);

}  // namespace weft::signal
