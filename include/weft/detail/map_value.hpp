// detail/map_value.hpp: how an entry of a concurrent_map has its value.
// Most values never change: a new one comes with a new entry. One that is as simple as a number and as long as a word or less is kept as
// its bits, which one instruction reads and another changes; no code of V's runs for that.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace weft::detail {

template <std::size_t size> struct unsigned_of { using type = void; };
template <> struct unsigned_of<1> { using type = std::uint8_t; };
template <> struct unsigned_of<2> { using type = std::uint16_t; };
template <> struct unsigned_of<4> { using type = std::uint32_t; };
template <> struct unsigned_of<8> { using type = std::uint64_t; };

/// Whether all bits of V, and none that is not there, make its value: so a copy has the same ones.
template <class V>
constexpr bool is_its_bits() {
  if constexpr (std::is_trivially_copyable_v<V> && !std::is_const_v<V> && !std::is_volatile_v<V>) {
    if constexpr (std::has_unique_object_representations_v<V> || std::is_floating_point_v<V>) return !std::is_void_v<typename unsigned_of<sizeof(V)>::type>;
  }
  return false;
}

template <class V, bool = is_its_bits<V>()>
class map_value {
 public:
  static constexpr bool changes = false;
  explicit map_value(V&& v) : value_(std::move(v)) {}
  const V& get() const noexcept { return value_; }

 private:
  V value_;
};

template <class V>
class map_value<V, true> {
 public:
  static constexpr bool changes = true;
  using bits_type = typename unsigned_of<sizeof(V)>::type;
  explicit map_value(V&& v) noexcept : bits_(std::bit_cast<bits_type>(v)) {}
  V get() const noexcept { return std::bit_cast<V>(bits()); }
  // [mo:map.value] acquire, pairs with the release in set(): what a pointer points to was written before.
  bits_type bits() const noexcept { return bits_.load(std::memory_order_acquire); }
  /// One at a time.
  void set(bits_type b) noexcept { bits_.store(b, std::memory_order_release); }  // [mo:map.value]

 private:
  std::atomic<bits_type> bits_;
};

}  // namespace weft::detail
