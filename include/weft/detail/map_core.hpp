// detail/map_core.hpp: what lies under concurrent_map<K, V>, without its types.
// Shards of open-addressed tables of pointers to entries. A new value is a new entry in the same slot, or, where one instruction can write it, a
// change of the entry (map_value.hpp). Readers follow the pointers inside a read_section, without a lock; writers change a shard under its mutex,
// but run user code (hash, equality, values) before they take it: they look, decide, and under the mutex only make sure that what they decided
// upon is still so.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include <weft/detail/config.hpp>
#include <weft/detail/reclaim.hpp>
#include <weft/mutex.hpp>

namespace weft::detail {

/// What is unlinked goes to a list of the map's, to be destroyed when no reader can be looking at it.
struct map_node {
  map_node* next_unlinked = nullptr;
  enum class kind_t : std::uint8_t { entry, table, root } kind;
  std::atomic<std::uint32_t> holders{1};  // an entry's: the map, and range()s that are about to show it
  explicit map_node(kind_t k) noexcept : kind(k) {}
};

struct map_entry : map_node {
  std::uint64_t hash;
  explicit map_entry(std::uint64_t h) noexcept : map_node(kind_t::entry), hash(h) {}
};

struct map_table : map_node {
  std::size_t mask;
  std::atomic<map_entry*>* slots;
  explicit map_table(std::size_t size);
  ~map_table() { delete[] slots; }
  map_table(const map_table&) = delete;
};

struct alignas(64) map_shard {
  std::atomic<map_table*> table{nullptr};
  std::atomic<std::uint64_t> inserted{0};  // counts keys, after each is in the table: who found none looks whether one has come
  alignas(64) mutex lock;                  // guards what follows, and changing what precedes; readers need not see it change
  std::size_t used = 0;                    // slots that hold or held an entry
  std::atomic<std::size_t> live{0};
  bool cleared = false;                    // a newer root has taken its place
};

struct map_root : map_node {
  static constexpr unsigned shard_bits = 4, shards_count = 1u << shard_bits;
  map_shard shards[shards_count];
  map_root() noexcept : map_node(kind_t::root) {}
};

/// Where a key is, or would go. Good inside the read_section in which it was found.
struct map_place {
  map_shard* shard;
  map_table* table;
  std::size_t index;
  map_entry* entry;  // null: the key is not there
  std::uint64_t inserted;
};

class WEFT_API map_core {
 public:
  explicit map_core(void (*destroy_entry)(map_entry*) noexcept);
  ~map_core();
  map_core(const map_core&) = delete;

  /// Where an entry of that hash is of which is_it says that it is the one. Inside a read_section.
  template <class Is>
  [[nodiscard]] map_place find(std::uint64_t hash, Is&& is_it) const {
    map_shard& s = root_.load(std::memory_order_acquire)->shards[hash >> (64 - map_root::shard_bits)];  // [mo:map.root]
    // [mo:map.inserted] acquire, pairs with the release in insert(): before the table, which then has at least those.
    map_place p{&s, nullptr, 0, nullptr, s.inserted.load(std::memory_order_acquire)};
    p.table = s.table.load(std::memory_order_acquire);  // [mo:map.table]
    if (!p.table) return p;
    for (p.index = hash & p.table->mask;; p.index = (p.index + 1) & p.table->mask) {
      map_entry* e = p.table->slots[p.index].load(std::memory_order_acquire);  // [mo:map.slot]
      if (!e) return p;
      if (e != gone() && e->hash == hash && is_it(*e)) return p.entry = e, p;
    }
  }
  /// Puts `with` into p's place, unless the map has changed there: then false, and nothing has happened. Inside p's read_section.
  /// What it takes the place of is the map's to destroy.    Parks: yes.
  [[nodiscard]] bool put(const map_place& p, map_entry* with);
  /// Runs f() while p.entry is sure to stay where it is; as f() says, or false if it is there no longer. f may not run user code, nor park.
  template <class F>
  [[nodiscard]] bool change(const map_place& p, F&& f) {
    if (!while_there(p, f)) return false;
    unlinked(nullptr);
    return true;
  }
  /// Takes p.entry out, if it is in its place and f() says so.
  template <class F>
  [[nodiscard]] bool take(const map_place& p, F&& f) {
    if (!while_there(p, [&] { return f() && (take_out(p), true); })) return false;
    unlinked(p.entry);
    return true;
  }
  void clear();
  [[nodiscard]] std::size_t size() const noexcept;
  /// Waits until all sections are over that run now, and destroys what had been unlinked before. Not inside a read_section.    Parks: yes.
  void flush();

  /// All entries of a shard at one moment, held. Not inside a read_section.
  class WEFT_API snapshot {
   public:
    snapshot(map_core& m, unsigned shard);
    ~snapshot();
    snapshot(const snapshot&) = delete;
    std::vector<map_entry*> entries;

   private:
    map_core& map_;
  };

 private:
  static map_entry* gone() noexcept { return reinterpret_cast<map_entry*>(std::uintptr_t{1}); }  // where an entry was
  // Several lists, so that what one thread takes out is mostly destroyed by the same, whose cache has it.
  struct alignas(64) unlinked_list {
    std::atomic<std::uint32_t> lock{0};
    std::size_t count = 0;
    map_node* first = nullptr;                // unlinked since the last grace period was asked for,
    std::atomic<map_node*> waiting{nullptr};  // and those that wait for its end: changed under the lock
    std::uint64_t grace = 0;
  };
  static constexpr unsigned lists_count = 8;

  static bool is_there(const map_place& p) noexcept {
    return !p.shard->cleared && p.shard->table.load(std::memory_order_relaxed) == p.table &&
           p.table->slots[p.index].load(std::memory_order_relaxed) == p.entry;
  }
  template <class F>
  [[nodiscard]] static bool while_there(const map_place& p, F&& f) {
    const std::lock_guard hold(p.shard->lock);
    return is_there(p) && f();
  }
  static void take_out(const map_place& p) noexcept;
  [[nodiscard]] static map_table* insert(map_shard& s, map_entry* e);
  [[nodiscard]] static map_table* grow(map_shard& s);
  void unlinked(map_node* n) noexcept;
  static void let_enough_wait(unlinked_list& l) noexcept;
  void look_after(unlinked_list& l) noexcept;
  [[nodiscard]] map_node* take_all_unlinked() noexcept;
  void destroy(map_node* list) noexcept;
  void let_go(map_node* n) noexcept;

  std::atomic<map_root*> root_;
  unlinked_list unlinked_[lists_count];
  void (*destroy_entry_)(map_entry*) noexcept;
};

}  // namespace weft::detail
