// os/signals.hpp: signals from outside, handed to a thread where everything is allowed. The handler itself sets a bit and
// writes to an eventfd. Signals of one number that come faster than they are handed over are one, as the kernel has it too.
#pragma once

namespace weft::os {

using signal_function = void (*)(int signal);

/// From now on `signal` calls f on the thread for signals, which is started for the first one; null: whatever it did at first.
/// False with errno set: it cannot be caught, or there is no thread. Callers take turns.
bool relay_signal(int signal, signal_function f) noexcept;
[[nodiscard]] signal_function relayed_to(int signal) noexcept;
/// Threads of this file, which nobody else knows: 0 or 1.
[[nodiscard]] int signal_threads() noexcept;

}  // namespace weft::os
