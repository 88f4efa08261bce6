// detail/sequence_core.hpp: a number that only grows, and who waits until it has: under broadcast, watch and single_flight.
#pragma once

#include <atomic>
#include <cstdint>

#include <weft/detail/config.hpp>
#include <weft/detail/wait_limit.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

struct sequence_core {
  std::atomic<std::uint64_t> value{0};  // changed under lock
  std::atomic<std::uint32_t> lock{0};
  wait_list waiters;
};

/// One more; all who wait go on.    Parks: no.    Threads: any.    Allocates: no.
WEFT_API void sequence_advance(sequence_core& s) noexcept;
/// Waits until it is no longer `seen`.    Parks: yes.    Threads: any.    Allocates: no.
WEFT_API wait_end sequence_wait(sequence_core& s, std::uint64_t seen, const wait_limit& limit);

}  // namespace weft::detail
