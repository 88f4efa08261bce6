// concurrent_map.hpp: a hash map for goroutines and threads, with Go's sync.Map's operations: each is one step for all others.
// Reading takes no lock and writes nothing that is shared. What user code runs (hash, equality, copying a value, a function given to range) runs
// under no lock, may call any method of the same map, and may park. Values are given out as copies: make V something that is cheap to copy, such
// as a number or a std::shared_ptr, or read it in place with visit().
// What is replaced or deleted is destroyed once no reader can be looking at it: some time later, in one of the next calls that
// change the map (up to about 1,000 of them may wait for that), in flush(), or with the map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>
#include <weft/detail/map_core.hpp>
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
  /// Calls f(const V&) with the value of a key, where it lies; false when it is not there. As long as f runs, nothing that is
  /// deleted from any map can be destroyed.
  template <class F>
  bool visit(const K& key, F&& f) const {
    const detail::read_section section;
    const auto p = find(key);
    if (p.entry) std::invoke(std::forward<F>(f), value(p));
    return p.entry != nullptr;
  }
  /// Sets the value of a key.
  /// Parks: as a mutex does; and as user code does.    Threads: any.    Allocates: yes.
  void store(K key, V v) {
    poll();
    static_cast<void>(put(make(std::move(key), std::move(v)), [](const auto&) { return true; }));
  }
  /// The value that is there, and true; or v, which is now, and false.
  std::pair<V, bool> load_or_store(K key, V v) {
    poll();
    const detail::read_section section;
    if (const auto p = find(key); p.entry) return {value(p), true};
    auto mine = make(std::move(key), std::move(v));
    V given = mine->value;
    const auto p = put(std::move(mine), [](const detail::map_place& there) { return there.entry == nullptr; });
    return p.entry ? std::pair<V, bool>(value(p), true) : std::pair<V, bool>(std::move(given), false);
  }
  /// Sets the value of a key; what was there before, or nothing.
  std::optional<V> swap(K key, V v) {
    poll();
    const detail::read_section section;
    const auto p = put(make(std::move(key), std::move(v)), [](const auto&) { return true; });
    return p.entry ? std::optional<V>(value(p)) : std::nullopt;
  }
  /// Sets the value to `desired` if the key is there with a value == expected.
  bool compare_and_swap(const K& key, const V& expected, V desired) {
    poll();
    const detail::read_section section;
    if (const auto p = find(key); !p.entry || !(value(p) == expected)) return false;
    bool done = false;
    static_cast<void>(put(make(key, std::move(desired)), [&](const detail::map_place& there) { return done = there.entry && value(there) == expected; }));
    return done;
  }
  /// Deletes a key; what was there, or nothing.    Parks: as store().    Allocates: no.
  std::optional<V> load_and_delete(const K& key) {
    poll();
    const detail::read_section section;
    const auto p = take(key, [](const auto&) { return true; });
    return p.entry ? std::optional<V>(value(p)) : std::nullopt;
  }
  /// Whether it was there.
  bool erase(const K& key) {
    poll();
    const detail::read_section section;
    return take(key, [](const auto&) { return true; }).entry != nullptr;
  }
  /// Deletes the key if it is there with a value == expected.
  bool compare_and_delete(const K& key, const V& expected) {
    poll();
    const detail::read_section section;
    return take(key, [&](const detail::map_place& p) { return value(p) == expected; }).entry != nullptr;
  }
  /// Calls f(const K&, const V&) for each key, none of them twice, until it returns false (f may also return nothing). What is there from start to end
  /// is shown; what comes or goes meanwhile may be.
  /// Parks: as f does.    Threads: any.    Allocates: a pointer for each key of a sixteenth of the map.
  template <class F>
  void range(F&& f) {
    for (unsigned i = 0; i < detail::map_root::shards_count; i++) {
      const detail::map_core::snapshot shard(core_, i);
      for (const detail::map_entry* e : shard.entries) {
        const auto* n = static_cast<const node*>(e);
        if constexpr (std::is_void_v<std::invoke_result_t<F&, const K&, const V&>>) std::invoke(f, n->key, n->value);
        else if (!std::invoke(f, n->key, n->value)) return;
      }
    }
  }
  /// Deletes all keys, in one step.    Parks: as a mutex does.    Threads: any.    Allocates: 2 KiB.
  void clear() { core_.clear(); }
  /// How many keys there are, if nobody changes that now.
  [[nodiscard]] std::size_t size() const noexcept { return core_.size(); }
  /// Waits until all that has been replaced or deleted so far is destroyed. Not to be called from visit(), or from user code in load().
  /// Parks: yes.    Threads: any.
  void flush() { core_.flush(); }

 private:
  // What changes the map begins with poll(), outside its read_section: who computes on and on would else lose its processor (D3) in the middle
  // of one, and keep everybody's removed entries alive until its thread runs again.
  struct node : detail::map_entry {
    K key;
    V value;
    node(std::uint64_t h, K&& k, V&& v) : detail::map_entry(h), key(std::move(k)), value(std::move(v)) {}
  };
  static void destroy(detail::map_entry* e) noexcept { delete static_cast<node*>(e); }
  static const V& value(const detail::map_place& p) noexcept { return static_cast<const node*>(p.entry)->value; }

  // std::hash may be the identity; shard and slot want all bits to matter.
  [[nodiscard]] std::uint64_t mixed(const K& key) const {
    std::uint64_t h = static_cast<std::uint64_t>(hash_(key)) * 0x9e3779b97f4a7c15;
    return h ^ h >> 32;
  }
  [[nodiscard]] std::unique_ptr<node> make(K key, V v) const {
    const std::uint64_t h = mixed(key);
    return std::make_unique<node>(h, std::move(key), std::move(v));
  }
  [[nodiscard]] detail::map_place find(std::uint64_t hash, const K& key) const {
    return core_.find(hash, [&](const detail::map_entry& e) { return equal_(static_cast<const node&>(e).key, key); });
  }
  [[nodiscard]] detail::map_place find(const K& key) const { return find(mixed(key), key); }

  // Puts n where its key is or would be, if `wanted` of that place; the place as it was then.
  template <class Wanted>
  detail::map_place put(std::unique_ptr<node> n, Wanted wanted) {
    const detail::read_section section;
    for (;;) {
      const auto p = find(n->hash, n->key);
      if (!wanted(p)) return p;
      if (core_.put(p, n.get())) return static_cast<void>(n.release()), p;
    }
  }
  template <class Wanted>
  detail::map_place take(const K& key, Wanted wanted) {
    const std::uint64_t h = mixed(key);
    for (;;) {
      auto p = find(h, key);
      if (p.entry && !wanted(p)) p.entry = nullptr;
      if (!p.entry || core_.take(p)) return p;
    }
  }

  detail::map_core core_;
  [[no_unique_address]] Hash hash_;
  [[no_unique_address]] Equal equal_;
};

}  // namespace weft
