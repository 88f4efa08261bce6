// detail/pool_core.hpp: what lies under pool<T>, without its type.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <weft/detail/config.hpp>

namespace weft::detail {

/// Items in a ring that grows. The newest at its head, the oldest at its tail. Any thread; a lock of its own.
class WEFT_API pool_ring {
 public:
  constexpr pool_ring() noexcept = default;
  /// All that is in o; o is empty then.
  pool_ring(pool_ring&& o) noexcept { take(o); }
  pool_ring(const pool_ring&) = delete;
  ~pool_ring() { delete[] items_; }

  void push_head(void* item);
  [[nodiscard]] void* pop_head() noexcept;  // null when it is empty
  [[nodiscard]] void* pop_tail() noexcept;
  /// This one is empty, and nobody puts anything into it: takes over all that is in o.
  void take(pool_ring& o) noexcept;

 private:
  std::atomic<std::uint32_t> lock_{0};
  std::atomic<std::uint32_t> size_{0};  // written under the lock; read without it, to pass by what is empty
  std::uint32_t tail_ = 0, capacity_ = 0;
  void** items_ = nullptr;
};

class WEFT_API pool_core {
 public:
  explicit pool_core(void (*destroy)(void*) noexcept);
  ~pool_core();
  pool_core(const pool_core&) = delete;

  void put(void* item);
  [[nodiscard]] void* take() noexcept;  // null: there is none

 private:
  friend struct pool_registry;
  struct local;
  [[nodiscard]] local& mine() const noexcept;
  static void clean_up_when_due() noexcept;

  void (*destroy_)(void*) noexcept;
  std::size_t locals_count_;  // a power of 2
  std::unique_ptr<local[]> locals_;
  pool_core* next_ = nullptr;  // of all pools, as previous_: guarded by the registry's lock
  pool_core* previous_ = nullptr;
};

}  // namespace weft::detail
