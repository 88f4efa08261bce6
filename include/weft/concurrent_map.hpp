// concurrent_map.hpp: a hash map for goroutines and threads, with Go's sync.Map's operations: each is one step for all others.
// Reading takes no lock and writes nothing that is shared. What user code runs (hash, equality, copying a value, a function given to range) runs
// under no lock, may call any method of the same map, and may park. Values are given out as copies: make V something that is cheap to copy, such
// as a number or a std::shared_ptr, or read it in place with visit().
// What is replaced or deleted is destroyed once no reader can be looking at it: some time later, in one of the next calls that
// change the map (up to about 1,000 of them may wait for that), in flush(), or with the map.
// A value that is as simple as a number and fits into a word is not replaced, but changed where it lies: that allocates nothing
// (detail/map_value.hpp says which those are).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>
#include <weft/detail/map_core.hpp>
#include <weft/detail/map_value.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

template <class K, class V, class Hash = std::hash<K>, class Equal = std::equal_to<K>>
class concurrent_map {
 public:
  concurrent_map() : core_(&destroy) {}
  explicit concurrent_map(Hash hash, Equal equal = Equal()) : core_(&destroy), hash_(std::move(hash)), equal_(std::move(equal)) {}
  concurrent_map(const concurrent_map&) = delete;
  concurrent_map& operator=(const concurrent_map&) = delete;

  /// The value of a key, or nothing.
  /// Parks: no, but as user code does.    Threads: any.    Allocates: no.
  [[nodiscard]] std::optional<V> load(const K& key) const {
    const detail::read_section section;
    const auto p = find(key);
    return p.entry ? std::optional<V>(value(p)) : std::nullopt;
  }
  [[nodiscard]] bool contains(const K& key) const {
    const detail::read_section section;
    return find(key).entry != nullptr;
  }
  /// Calls f(const V&) with the value of a key, where it lies (one that is changed there: with a copy); false when it is not there.
  /// As long as f runs, nothing that is deleted from any map can be destroyed.
  template <class F>
  bool visit(const K& key, F&& f) const {
    const detail::read_section section;
    const auto p = find(key);
    if (p.entry) std::invoke(std::forward<F>(f), value(p));
    return p.entry != nullptr;
  }
  /// Sets the value of a key.
  /// Parks: as a mutex does; and as user code does.    Threads: any.    Allocates: yes; a simple word only for a new key.
  void store(K key, V v) {
    poll();
    static_cast<void>(put(std::move(key), std::move(v), any_value()));
  }
  /// The value that is there, and true; or v, which is now, and false.
  std::pair<V, bool> load_or_store(K key, V v) {
    poll();
    const detail::read_section section;
    if (const auto p = find(key); p.entry) return {value(p), true};
    V given = v;
    const auto p = put(std::move(key), std::move(v), [](const auto& there) { return there.entry == nullptr; });
    return p.entry ? std::pair<V, bool>(value(p), true) : std::pair<V, bool>(std::move(given), false);
  }
  /// Sets the value of a key; what was there before, or nothing.
  std::optional<V> swap(K key, V v) {
    poll();
    const detail::read_section section;
    const auto p = put(std::move(key), std::move(v), any_value());
    return p.entry ? std::optional<V>(value(p)) : std::nullopt;
  }
  /// Sets the value to `desired` if the key is there with a value == expected.
  bool compare_and_swap(const K& key, const V& expected, V desired) {
    poll();
    const detail::read_section section;
    if (const auto p = find(key); !p.entry || !(value(p) == expected)) return false;
    bool done = false;
    static_cast<void>(
        put(key, std::move(desired), [&](const auto& there) { return done = there.entry && value(there) == expected; }));
    return done;
  }
  /// Deletes a key; what was there, or nothing.    Parks: as store().    Allocates: no.
  std::optional<V> load_and_delete(const K& key) {
    poll();
    const detail::read_section section;
    const auto p = take(key, any_value());
    return p.entry ? std::optional<V>(value(p)) : std::nullopt;
  }
  /// Whether it was there.
  bool erase(const K& key) {
    poll();
    const detail::read_section section;
    return take(key, any_value()).entry != nullptr;
  }
  /// Deletes the key if it is there with a value == expected.
  bool compare_and_delete(const K& key, const V& expected) {
    poll();
    const detail::read_section section;
    return take(key, [&](const auto& p) { return value(p) == expected; }).entry != nullptr;
  }
  /// Calls f(const K&, const V&) for each key, none of them twice, until it returns false (f may also return nothing). What is there from start to end
  /// is shown, with a value that it has meanwhile; what comes or goes may be.
  /// Parks: as f does.    Threads: any.    Allocates: a pointer for each key of a sixteenth of the map.
  template <class F>
  void range(F&& f) {
    for (unsigned i = 0; i < detail::map_root::shards_count; i++) {
      const detail::map_core::snapshot shard(core_, i);
      for (const detail::map_entry* e : shard.entries) {
        const auto* n = static_cast<const node*>(e);
        const V& v = n->value.get();
        if constexpr (std::is_void_v<std::invoke_result_t<F&, const K&, const V&>>) std::invoke(f, n->key, v);
        else if (!std::invoke(f, n->key, v)) return;
      }
    }
  }
  /// Deletes all keys, in one step.    Parks: as a mutex does.    Threads: any.    Allocates: 2 KiB.
  void clear() { core_.clear(); }
  /// How many keys there are, if nobody changes that now.
  [[nodiscard]] std::size_t size() const noexcept { return core_.size(); }
  /// Waits until no reader can be looking at what has been replaced or deleted so far, in a visit() for one, and destroys that, if no other
  /// thread is just doing so. Not to be called from visit(), or from what the map calls: hash, equality, copies, destructors.
  /// Parks: yes.    Threads: any.
  void flush() { core_.flush(); }

 private:
  // What changes the map begins with poll(), outside its read_section: who computes on and on would else lose its processor (D3) in the middle
  // of one, and keep everybody's removed entries alive until its thread runs again.
  struct node : detail::map_entry {
    K key;
    detail::map_value<V> value;
    node(std::uint64_t h, K&& k, V&& v) : detail::map_entry(h), key(std::move(k)), value(std::move(v)) {}
  };
  static void destroy(detail::map_entry* e) noexcept { delete static_cast<node*>(e); }
  static auto& value_of(const detail::map_place& p) noexcept { return static_cast<node*>(p.entry)->value; }

  // Where a key is, and the bits that its value had there, if those can change.
  template <class Bits>
  struct place_with_bits : detail::map_place {
    Bits bits;
  };
  static const V& value(const detail::map_place& p) noexcept { return value_of(p).get(); }
  template <class Bits>
  static V value(const place_with_bits<Bits>& p) noexcept {
    return std::bit_cast<V>(p.bits);
  }

  // std::hash may be the identity; shard and slot want all bits to matter.
  [[nodiscard]] std::uint64_t mixed(const K& key) const {
    std::uint64_t h = static_cast<std::uint64_t>(hash_(key)) * 0x9e3779b97f4a7c15;
    return h ^ h >> 32;
  }
  [[nodiscard]] auto find(std::uint64_t hash, const K& key) const {
    const auto p = core_.find(hash, [&](const detail::map_entry& e) { return equal_(static_cast<const node&>(e).key, key); });
    if constexpr (detail::map_value<V>::changes) {
      using bits = typename detail::map_value<V>::bits_type;
      return place_with_bits<bits>{p, p.entry ? value_of(p).bits() : bits{}};
    } else {
      return p;
    }
  }
  [[nodiscard]] auto find(const K& key) const { return find(mixed(key), key); }

  // For put() and take(), of a place: whatever is there.
  struct any_value {
    bool operator()(const auto&) const noexcept { return true; }
  };
  // While the entry is sure to stay there: whether its value is still as it was seen, or else does not matter, and is seen now.
  template <class Wanted, class Place>
  static bool is_as_seen(Place& p, const Wanted&) noexcept {
    if constexpr (detail::map_value<V>::changes) {
      const auto now = value_of(p).bits();
      if (!std::is_same_v<Wanted, any_value> && now != p.bits) return false;
      p.bits = now;
    }
    return true;
  }

  // Sets the value of a key, if `wanted` of the place where it is or would be; the place as it was then.
  template <class Key, class Wanted>
  auto put(Key&& key, V v, Wanted wanted) {
    const detail::read_section section;
    const std::uint64_t h = mixed(key);
    std::unique_ptr<node> mine;
    for (;;) {
      auto p = find(h, mine ? mine->key : key);
      if (!wanted(p)) return p;
      if constexpr (detail::map_value<V>::changes) {
        if (p.entry) {
          const auto bits = mine ? mine->value.bits() : std::bit_cast<decltype(p.bits)>(v);
          if (core_.change(p, [&] { return is_as_seen(p, wanted) && (value_of(p).set(bits), true); })) return p;
          continue;
        }
      }
      if (!mine) mine = std::make_unique<node>(h, K(std::forward<Key>(key)), std::move(v));
      if (core_.put(p, mine.get())) return static_cast<void>(mine.release()), p;
    }
  }
  template <class Wanted>
  auto take(const K& key, Wanted wanted) {
    const std::uint64_t h = mixed(key);
    for (;;) {
      auto p = find(h, key);
      if (p.entry && !wanted(p)) p.entry = nullptr;
      if (!p.entry || core_.take(p, [&] { return is_as_seen(p, wanted); })) return p;
    }
  }

  detail::map_core core_;
  [[no_unique_address]] Hash hash_;
  [[no_unique_address]] Equal equal_;
};

}  // namespace weft
