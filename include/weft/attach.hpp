// attach.hpp: a thread that weft did not make becomes somebody. Source of the idea: Go's needm and dropm (proc.go).
#pragma once

#include <cstdint>

#include <weft/detail/config.hpp>

namespace weft {

struct attach_options {
  const char* name = nullptr;  ///< shown in dumps; the characters are not copied and must live as long as the thread is attached
};

namespace detail {
WEFT_API std::uint64_t attach_thread(const attach_options& options) noexcept;  // 0: there is nothing to undo
WEFT_API void detach_thread(std::uint64_t id) noexcept;
}  // namespace detail

/// While it lives, weft knows the thread that made it: this_goroutine::id() gives a number that nobody else ever has; dumps list it
/// with what it waits for and for how many minutes, marked "foreign thread"; and no deadlock of the goroutines is reported, since this
/// thread may wake them. A thread needs none of this to use channels, mutexes, go() or call_weft(), and it stays a thread: it sleeps where
/// a goroutine parks. Its values of weft::local are the thread's, as before.
///
/// Nests: the outermost counts, with its name. Over a run() of the thread's own it rests, and goes on after it. In a goroutine it does
/// nothing, so code that may be called from both sides needs no case. A thread that ends is detached; so where a library only ever calls
/// back, `thread_local weft::attached_thread here;` in the callback attaches its thread for good.
/// Destroyed by another thread while its own is still attached: fatal.
/// Parks: no.    Threads: any.    Allocates: no.    Example: tests/unit/sched/attach_test.cpp
class [[nodiscard]] attached_thread {
 public:
  explicit attached_thread(const attach_options& options = {}) noexcept : id_(detail::attach_thread(options)) {}
  ~attached_thread() {
    if (id_ != 0) detail::detach_thread(id_);
  }
  attached_thread(const attached_thread&) = delete;
  attached_thread& operator=(const attached_thread&) = delete;

 private:
  std::uint64_t id_;
};

/// The same, to be kept in an `auto`.
[[nodiscard]] inline attached_thread attach(const attach_options& options = {}) noexcept { return attached_thread(options); }

}  // namespace weft
