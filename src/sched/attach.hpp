// sched/attach.hpp: threads that weft did not make: the G that stands for each, and the list of those that are attached.
#pragma once

#include <cstdint>

#include "goroutine/g.hpp"

namespace weft {

/// The G that stands for the calling thread, which is not one of weft's; lives as long as the thread.
[[nodiscard]] g* this_threads_g() noexcept;
/// The same if the thread is attached, else null; null also inside run().
[[nodiscard]] g* attached_g() noexcept;

/// Calls f for the attached thread with the least id above `after`: a walk that neither loses nor repeats one, whoever comes and goes.
/// Its record stays while f looks at it, under a lock: no user code there. The id; 0: there is none, or the lock is not to be had.
[[nodiscard]] std::uint64_t with_next_attached(std::uint64_t after, void (*f)(g*, void*), void* arg) noexcept;
[[nodiscard]] int attached_threads() noexcept;

/// For the time in which the calling thread is one of weft's.
class [[nodiscard]] attachment_rests {
 public:
  attachment_rests() noexcept;
  ~attachment_rests();
  attachment_rests(const attachment_rests&) = delete;
};

/// While the calling thread waits otherwise than in park_anyone(): for dumps.
class [[nodiscard]] thread_waits {
 public:
  explicit thread_waits(wait_reason why) noexcept : gp_(this_threads_g()) {
    gp_->set_why(why);
    gp_->status.store(g_status::waiting, std::memory_order_release);  // [mo:status]
  }
  ~thread_waits() { gp_->status.store(g_status::running, std::memory_order_relaxed); }
  thread_waits(const thread_waits&) = delete;

 private:
  g* gp_;
};

}  // namespace weft
