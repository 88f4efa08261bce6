// sync/map_core.cpp: see <weft/detail/map_core.hpp>.
//
// Linearizable: a reader's answer is that of the moment in which it loads a slot, or, from a table that has been replaced
// since it began, of the moment of that replacement. A key that a reader misses, because it is taken from a slot that the reader has not
// come to and put into one that it has passed, was absent in between. A writer's moment is its store, under the mutex.
// Where values change in their entries, a reader's moment is that in which it loads the value, if the entry is in the map then; if it was taken
// out after the reader found it, the value is its last: that of the moment in which it was found, or of the later one in which it was set. Who
// sets it holds the mutex and has made sure that the entry is in the map; who takes it out has read there what it was.
// clear() takes all mutexes and replaces all shards at once.
#include <weft/detail/map_core.hpp>

#include <utility>

#include "lock/lock.hpp"
#include "sync/thread_counts.hpp"

namespace weft::detail {

namespace {

// So many removals pay for one barrier on all threads (some microseconds), and so many changes for looking whether it was enough.
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
  }
  delete root;
  destroy(take_all_unlinked());
}

bool map_core::put(const map_place& p, map_entry* with) {
  map_node* old = p.entry;
  {
    const std::lock_guard hold(p.shard->lock);
    map_shard& s = *p.shard;
    if (!p.entry) {
      if (s.cleared || s.inserted.load(std::memory_order_relaxed) != p.inserted) return false;
      old = insert(s, with);
    } else {
      if (!is_there(p)) return false;
      p.table->slots[p.index].store(with, std::memory_order_release);  // [mo:map.slot]
    }
  }
  unlinked(old);
  return true;
}

void map_core::take_out(const map_place& p) noexcept {
  p.table->slots[p.index].store(gone(), std::memory_order_release);  // [mo:map.slot]
  p.shard->live.store(p.shard->live.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

/// The table that has been replaced, if there was no room.
map_table* map_core::insert(map_shard& s, map_entry* e) {
  map_table* t = s.table.load(std::memory_order_relaxed);
  map_table* old = nullptr;
  if (!t || (s.used + 1) * 2 > t->mask + 1) old = grow(s), t = s.table.load(std::memory_order_relaxed);
  std::size_t i = e->hash & t->mask;
  map_entry* there = nullptr;
  while ((there = t->slots[i].load(std::memory_order_relaxed)) != nullptr && there != gone()) i = (i + 1) & t->mask;
  s.used += there == nullptr;
  s.live.store(s.live.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  t->slots[i].store(e, std::memory_order_release);  // [mo:map.slot]
  s.inserted.store(s.inserted.load(std::memory_order_relaxed) + 1, std::memory_order_release);  // [mo:map.inserted]
  return old;
}

// A quarter full afterwards, at most: room for as many again, and no trace of those that are gone.
map_table* map_core::grow(map_shard& s) {
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
  return old;
}

void map_core::clear() {
  map_node* dead = nullptr;
  const auto add = [&dead](map_node* n) {
    n->next_unlinked = dead;
    dead = n;
  };
  auto* fresh = new map_root;
  {
    const read_section section;
    map_root* old = root_.load(std::memory_order_acquire);  // [mo:map.root]
    for (map_shard& s : old->shards) s.lock.lock();
    if (!old->shards[0].cleared) {
      for (map_shard& s : old->shards) {
        s.cleared = true;
        map_table* t = s.table.load(std::memory_order_relaxed);
        if (!t) continue;
        for (std::size_t i = 0; i <= t->mask; i++) {
          map_entry* e = t->slots[i].load(std::memory_order_relaxed);
          if (e && e != gone()) add(e);
        }
        add(t);
      }
      add(old);
      root_.store(fresh, std::memory_order_release);  // [mo:map.root]
      fresh = nullptr;
    }
    for (map_shard& s : old->shards) s.lock.unlock();
  }
  delete fresh;  // somebody else has cleared it, while we were about to
  if (grace_is_over(ask_for_grace())) return destroy(dead);
  while (dead) {  // somebody reads: with the next changes, then
    map_node* n = dead;
    dead = n->next_unlinked;
    unlinked(n);
  }
}

std::size_t map_core::size() const noexcept {
  const read_section section;
  std::size_t n = 0;
  for (const map_shard& s : root_.load(std::memory_order_acquire)->shards) n += s.live.load(std::memory_order_relaxed);  // [mo:map.root]
  return n;
}

/// Called with each change, without a lock; n may be null. Now and then destroys what waits no longer: here, and, in turn, what threads have left
/// behind that do not change this map any more.
void map_core::unlinked(map_node* n) noexcept {
  thread_counts* const mine = this_thread_counts();
  unlinked_list& l = unlinked_[mine->number % lists_count];
  if (n) {
    lock_word(l.lock);
    n->next_unlinked = l.first;
    l.first = n;
    l.count++;
    if (!l.waiting.load(std::memory_order_relaxed)) let_enough_wait(l);
    unlock_word(l.lock);
  }
  // By chance, for a thread that changes two maps in turn would else always look after the same one. (Numerical Recipes' generator; its high bits.)
  const std::uint32_t chance = mine->map_chance = mine->map_chance * 1664525u + 1013904223u;
  if ((chance >> 16) % changes_between_looks != 0) return;
  look_after(l);
  look_after(unlinked_[(chance >> 24) % lists_count]);
}

void map_core::look_after(unlinked_list& l) noexcept {
  if (!l.waiting.load(std::memory_order_relaxed)) return;  // a hint, without the lock
  lock_word(l.lock);
  const std::uint64_t grace = l.grace;
  unlock_word(l.lock);
  if (!grace_is_over(grace)) return;
  map_node* dead = nullptr;
  lock_word(l.lock);
  if (l.grace == grace) {
    dead = l.waiting.exchange(nullptr, std::memory_order_relaxed);
    let_enough_wait(l);
  }
  unlock_word(l.lock);
  destroy(dead);
}

void map_core::let_enough_wait(unlinked_list& l) noexcept {
  if (l.count < enough_unlinked) return;
  l.waiting.store(std::exchange(l.first, nullptr), std::memory_order_relaxed);
  l.count = 0;
  l.grace = ask_for_grace();
}

map_node* map_core::take_all_unlinked() noexcept {
  map_node* all = nullptr;
  for (unlinked_list& l : unlinked_) {
    lock_word(l.lock);
    map_node* lists[] = {std::exchange(l.first, nullptr), l.waiting.exchange(nullptr, std::memory_order_relaxed)};
    l.count = 0;
    unlock_word(l.lock);
    for (map_node* list : lists) {
      while (list) {
        map_node* n = list;
        list = n->next_unlinked;
        n->next_unlinked = all;
        all = n;
      }
    }
  }
  return all;
}

void map_core::flush() {
  map_node* dead = take_all_unlinked();
  wait_for_grace(ask_for_grace());
  destroy(dead);
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
