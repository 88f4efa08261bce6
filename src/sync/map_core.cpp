// sync/map_core.cpp: see <weft/detail/map_core.hpp>.
//
// Linearizable: a reader's answer is that of the moment in which it loads a slot, or, from a table that has been replaced
// since it began, of the moment of that replacement. A key that a reader misses, because it is taken from a slot that the reader has not
// come to and put into one that it has passed, was absent in between. A writer's moment is its store, under the mutex.
// clear() takes all mutexes and replaces all shards at once.
#include <weft/detail/map_core.hpp>

#include <algorithm>
#include <utility>

namespace weft::detail {

namespace {

// So many changes of a shard pay for one barrier on all threads (some microseconds), and so many for looking whether it was enough.
constexpr std::size_t enough_unlinked = 64;
constexpr unsigned changes_between_looks = 16;

}  // namespace

map_table::map_table(std::size_t size) : map_node(kind_t::table), mask(size - 1), slots(new std::atomic<map_entry*>[size]()) {}

map_core::map_core(void (*destroy_entry)(map_entry*) noexcept) : root_(new map_root), destroy_entry_(destroy_entry) {}

map_core::~map_core() {
  map_root* root = root_.load(std::memory_order_relaxed);
  for (map_shard& s : root->shards) {
    if (map_table* t = s.table.load(std::memory_order_relaxed)) {
      for (std::size_t i = 0; i <= t->mask; i++) {
        map_entry* e = t->slots[i].load(std::memory_order_relaxed);
        if (e && e != gone()) let_go(e);
      }
      delete t;
    }
    destroy(s.unlinked);
    destroy(s.waiting);
  }
  delete root;
}

bool map_core::put(const map_place& p, map_entry* with) {
  map_node* dead = nullptr;
  {
    const std::lock_guard hold(p.shard->lock);
    map_shard& s = *p.shard;
    if (s.cleared) return false;
    if (!p.entry) {
      if (s.inserted.load(std::memory_order_relaxed) != p.inserted) return false;
      insert(s, with);
    } else if (s.table.load(std::memory_order_relaxed) != p.table || p.table->slots[p.index].load(std::memory_order_relaxed) != p.entry) {
      return false;
    } else {
      p.table->slots[p.index].store(with, std::memory_order_release);  // [mo:map.slot]
      unlink(s, p.entry);
    }
    dead = collect(s);
  }
  destroy(dead);
  return true;
}

bool map_core::take(const map_place& p) {
  map_node* dead = nullptr;
  {
    const std::lock_guard hold(p.shard->lock);
    map_shard& s = *p.shard;
    if (s.cleared || s.table.load(std::memory_order_relaxed) != p.table || p.table->slots[p.index].load(std::memory_order_relaxed) != p.entry) return false;
    p.table->slots[p.index].store(gone(), std::memory_order_release);  // [mo:map.slot]
    s.live.store(s.live.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    unlink(s, p.entry);
    dead = collect(s);
  }
  destroy(dead);
  return true;
}

void map_core::insert(map_shard& s, map_entry* e) {
  map_table* t = s.table.load(std::memory_order_relaxed);
  if (!t || (s.used + 1) * 2 > t->mask + 1) grow(s), t = s.table.load(std::memory_order_relaxed);
  std::size_t i = e->hash & t->mask;
  map_entry* there = nullptr;
  while ((there = t->slots[i].load(std::memory_order_relaxed)) != nullptr && there != gone()) i = (i + 1) & t->mask;
  s.used += there == nullptr;
  s.live.store(s.live.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  t->slots[i].store(e, std::memory_order_release);  // [mo:map.slot]
  s.inserted.store(s.inserted.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // [mo:map.inserted]
}

// A quarter full afterwards, at most: room for as many again, and no trace of those that are gone.
void map_core::grow(map_shard& s) {
  std::size_t size = 8;
  const std::size_t live = s.live.load(std::memory_order_relaxed);
  while (size < (live + 1) * 4) size *= 2;
  auto* t = new map_table(size);
  map_table* old = s.table.load(std::memory_order_relaxed);
  for (std::size_t k = 0; old && k <= old->mask; k++) {
    map_entry* e = old->slots[k].load(std::memory_order_relaxed);
    if (!e || e == gone()) continue;
    std::size_t i = e->hash & t->mask;
    while (t->slots[i].load(std::memory_order_relaxed)) i = (i + 1) & t->mask;
    t->slots[i].store(e, std::memory_order_relaxed);
  }
  s.used = live;
  s.table.store(t, std::memory_order_release);  // [mo:map.table]
  if (old) unlink(s, old);
}

void map_core::clear() {
  map_shard dead;  // collects what goes
  auto* fresh = new map_root;
  {
    const read_section section;
    map_root* old = root_.load(std::memory_order_acquire);  // [mo:map.root]
    for (map_shard& s : old->shards) s.lock.lock();
    if (!old->shards[0].cleared) {
      for (map_shard& s : old->shards) {
        s.cleared = true;
        if (map_table* t = s.table.load(std::memory_order_relaxed)) {
          for (std::size_t i = 0; i <= t->mask; i++) {
            map_entry* e = t->slots[i].load(std::memory_order_relaxed);
            if (e && e != gone()) unlink(dead, e);
          }
          unlink(dead, t);
        }
        take_unlinked(s, dead);
      }
      unlink(dead, old);
      root_.store(fresh, std::memory_order_release);  // [mo:map.root]
      fresh = nullptr;
    }
    for (map_shard& s : old->shards) s.lock.unlock();
  }
  delete fresh;  // somebody else has cleared it, while we were about to
  while (dead.unlinked) {
    if (grace_is_over(ask_for_grace())) return destroy(std::exchange(dead.unlinked, nullptr));
    const read_section section;  // somebody reads: with the next changes, then
    map_shard& s = root_.load(std::memory_order_acquire)->shards[0];  // [mo:map.root]
    const std::lock_guard hold(s.lock);
    if (!s.cleared) take_unlinked(dead, s);
  }
}

std::size_t map_core::size() const noexcept {
  const read_section section;
  std::size_t n = 0;
  for (const map_shard& s : root_.load(std::memory_order_acquire)->shards) n += s.live.load(std::memory_order_relaxed);  // [mo:map.root]
  return n;
}

void map_core::take_unlinked(map_shard& from, map_shard& to) noexcept {
  for (map_node* list : {std::exchange(from.unlinked, nullptr), std::exchange(from.waiting, nullptr)}) {
    while (list) {
      map_node* n = list;
      list = n->next_unlinked;
      unlink(to, n);
    }
  }
  from.unlinked_count = 0;
}

void map_core::unlink(map_shard& s, map_node* n) noexcept {
  n->next_unlinked = s.unlinked;
  s.unlinked = n;
  s.unlinked_count++;
}

/// Called with each change; those that may be destroyed now, by whom holds no lock.
map_node* map_core::collect(map_shard& s) noexcept {
  map_node* dead = nullptr;
  if (s.waiting && ++s.changes % changes_between_looks == 0 && grace_is_over(s.grace)) dead = std::exchange(s.waiting, nullptr);
  if (!s.waiting && s.unlinked_count >= enough_unlinked) {
    s.waiting = std::exchange(s.unlinked, nullptr);
    s.unlinked_count = 0;
    s.grace = ask_for_grace();
  }
  return dead;
}

void map_core::flush() {
  map_shard dead;
  std::uint64_t grace = 0;
  {
    const read_section section;
    for (map_shard& s : root_.load(std::memory_order_acquire)->shards) {  // [mo:map.root]
      const std::lock_guard hold(s.lock);
      if (!s.cleared) take_unlinked(s, dead);  // else it has gone to the newer one
    }
    grace = ask_for_grace();
  }
  if (dead.unlinked) wait_for_grace(grace);
  destroy(dead.unlinked);
}

void map_core::destroy(map_node* list) noexcept {
  while (list) {
    map_node* n = list;
    list = n->next_unlinked;
    let_go(n);
  }
}

void map_core::let_go(map_node* n) noexcept {
  switch (n->kind) {
    case map_node::kind_t::table: delete static_cast<map_table*>(n); break;
    case map_node::kind_t::root: delete static_cast<map_root*>(n); break;
    case map_node::kind_t::entry:
      // [mo:map.holders] acq_rel: the last one destroys what the others have finished reading. Off the map nobody new takes hold
      // of it, so the only holder need not say so.
      if (n->holders.load(std::memory_order_acquire) == 1 || n->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy_entry_(static_cast<map_entry*>(n));
      break;
  }
}

map_core::snapshot::snapshot(map_core& m, unsigned shard) : map_(m) {
  const read_section section;
  map_shard& s = m.root_.load(std::memory_order_acquire)->shards[shard];  // [mo:map.root]
  const std::lock_guard hold(s.lock);
  map_table* t = s.table.load(std::memory_order_relaxed);
  if (!t || s.cleared) return;
  entries.reserve(s.live.load(std::memory_order_relaxed));
  for (std::size_t i = 0; i <= t->mask; i++) {
    map_entry* e = t->slots[i].load(std::memory_order_relaxed);
    if (!e || e == gone()) continue;
    e->holders.fetch_add(1, std::memory_order_relaxed);  // [mo:map.holders] the map still holds it
    entries.push_back(e);
  }
}

map_core::snapshot::~snapshot() {
  for (map_entry* e : entries) map_.let_go(e);
}

}  // namespace weft::detail
