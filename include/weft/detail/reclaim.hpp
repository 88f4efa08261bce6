// detail/reclaim.hpp: when may memory go that others may be reading? Readers mark the sections in which they look; who has
// unlinked something destroys it once all sections are over that ran when it did so.
// A section costs its reader two plain additions on its own thread. It may park, and go on on another thread; but whatever has been
// unlinked anywhere since it began waits for its end.
#pragma once

#include <cstdint>

#include <weft/detail/config.hpp>

namespace weft::detail {

WEFT_API unsigned enter_section() noexcept;
WEFT_API void leave_section(unsigned side) noexcept;

class read_section {
 public:
  read_section() noexcept : side_(enter_section()) {}
  ~read_section() { leave_section(side_); }
  read_section(const read_section&) = delete;
  read_section& operator=(const read_section&) = delete;

 private:
  unsigned side_;
};

/// A number for what has been unlinked so far; grace_is_over(that) says whether it may go.
[[nodiscard]] std::uint64_t ask_for_grace() noexcept;
/// Moves things on, too: somebody has to. Parks: no.
[[nodiscard]] bool grace_is_over(std::uint64_t number) noexcept;
/// Waits for it. Not inside a section.    Parks: yes.
void wait_for_grace(std::uint64_t number) noexcept;

}  // namespace weft::detail
