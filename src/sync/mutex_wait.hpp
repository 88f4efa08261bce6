// sync/mutex_wait.hpp: one wait for a mutex that was found locked, in steps: goroutines and coroutines wait in different ways.
#pragma once

#include <cstdint>

#include <weft/mutex.hpp>

#include "sync/semaphore.hpp"

namespace weft::detail {

class mutex_wait {
 public:
  explicit mutex_wait(mutex& m) noexcept : m_(m) {}
  /// Locks it, or counts the caller as one that is to wait: it must then acquire the semaphore, at that end. One that is not in
  /// time does not wait again.
  enum class next : std::uint8_t { locked, wait, too_late };
  [[nodiscard]] next attempt(bool in_time = true) noexcept;
  [[nodiscard]] semaphore_core& semaphore() const noexcept { return m_.sema_; }
  [[nodiscard]] queue_end where() const noexcept { return where_; }
  /// It has acquired the semaphore. True: the mutex was handed over; else another attempt.
  [[nodiscard]] bool woken() noexcept;

 private:
  mutex& m_;
  std::int64_t since_ = 0;
  queue_end where_ = queue_end::back;
  bool starved_ = false, awoke_ = false;
};

}  // namespace weft::detail
