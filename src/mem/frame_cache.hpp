// mem/frame_cache.hpp: memory of coroutine frames that have ended, to be used again: one list for each size. Owned by a P.
// A block is from malloc and goes back there when there is enough of them, so it may be taken on one P and given on another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/sanitizers.hpp"

namespace weft {

class frame_cache {
 public:
  /// Blocks of 8, 24, 40 ... bytes: what malloc has no waste with.
  static constexpr std::size_t class_of(std::size_t bytes) noexcept { return (bytes + 7) / 16; }
  static constexpr std::size_t bytes_of(std::size_t cls) noexcept { return cls * 16 + 8; }
#if WEFT_ASAN
  static constexpr std::size_t classes = 1;  // AddressSanitizer finds who uses a frame that has ended, if malloc knows that it has
#else
  static constexpr std::size_t classes = 64;
#endif

  [[nodiscard]] void* take(std::size_t cls) noexcept {
    block* b = free_[cls];
    if (!b) return nullptr;
    free_[cls] = b->next;
    bytes_ -= static_cast<std::uint32_t>(bytes_of(cls));
    return b;
  }
  /// False when there are enough.
  [[nodiscard]] bool give(void* memory, std::size_t cls) noexcept {
    if (bytes_ > most) return false;
    auto* b = static_cast<block*>(memory);
    b->next = free_[cls];
    free_[cls] = b;
    bytes_ += static_cast<std::uint32_t>(bytes_of(cls));
    return true;
  }
  /// Back to malloc, all of them.
  void free_all() noexcept {
    for (block*& first : free_) {
      while (block* b = first) {
        first = b->next;
        std::free(b);
      }
    }
    bytes_ = 0;
  }
  [[nodiscard]] std::uint32_t bytes() const noexcept { return bytes_; }

 private:
  static constexpr std::uint32_t most = 256 * 1024;
  struct block {
    block* next;
  };
  block* free_[classes] = {};
  std::uint32_t bytes_ = 0;
};

}  // namespace weft
