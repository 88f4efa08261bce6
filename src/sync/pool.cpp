// sync/pool.cpp: see <weft/pool.hpp>. Source of the manner: Go's sync/pool.go, its victims: a clean-up destroys what the one before has
// set aside, and sets aside what is there; who finds nothing else takes from there. Go's is driven by its collector, this by the clock.
// By P, and under a lock of each: whoever runs without a P, or is moved from one in the middle, costs time and nothing else.
#include <weft/pool.hpp>

#include <bit>
#include <new>
#include <utility>
#include <vector>

#include "lock/lock.hpp"
#include "os/clock.hpp"
#include "sched/sched.hpp"

namespace weft {

namespace detail {

namespace {

constexpr std::int64_t between_cleanups_ns = 60'000'000'000;
constexpr std::uint32_t uses_between_looks = 256;  // at the clock

atomic<std::int64_t> next_cleanup{0};

}  // namespace

void pool_ring::push_head(void* item) {
  std::unique_ptr<void*[]> larger;
  std::uint32_t room = 0;
  for (;;) {
    lock_word(lock_);
    const std::uint32_t size = size_.load(std::memory_order_relaxed);
    if (size == capacity_ && room <= capacity_) {  // memory is got without the lock
      room = capacity_ ? capacity_ * 2 : 8;
      unlock_word(lock_);
      larger.reset(new void*[room]);
      continue;
    }
    void** old = nullptr;
    if (size == capacity_) {
      for (std::uint32_t i = 0; i < size; i++) larger[i] = items_[(tail_ + i) % capacity_];
      old = std::exchange(items_, larger.release());
      capacity_ = room;
      tail_ = 0;
    }
    items_[(tail_ + size) % capacity_] = item;
    size_.store(size + 1, std::memory_order_relaxed);
    unlock_word(lock_);
    delete[] old;
    return;
  }
}

void* pool_ring::pop_head() noexcept {
  if (size_.load(std::memory_order_relaxed) == 0) return nullptr;
  lock_word(lock_);
  const std::uint32_t size = size_.load(std::memory_order_relaxed);
  void* item = size ? items_[(tail_ + size - 1) % capacity_] : nullptr;
  if (item) size_.store(size - 1, std::memory_order_relaxed);
  unlock_word(lock_);
  return item;
}

void* pool_ring::pop_tail() noexcept {
  if (size_.load(std::memory_order_relaxed) == 0) return nullptr;
  lock_word(lock_);
  const std::uint32_t size = size_.load(std::memory_order_relaxed);
  void* item = size ? items_[tail_] : nullptr;
  if (item) {
    tail_ = (tail_ + 1) % capacity_;
    size_.store(size - 1, std::memory_order_relaxed);
  }
  unlock_word(lock_);
  return item;
}

void pool_ring::take(pool_ring& o) noexcept {
  lock_word(o.lock_);
  void** items = std::exchange(o.items_, nullptr);
  const std::uint32_t tail = std::exchange(o.tail_, 0), capacity = std::exchange(o.capacity_, 0), size = o.size_.load(std::memory_order_relaxed);
  o.size_.store(0, std::memory_order_relaxed);
  unlock_word(o.lock_);
  lock_word(lock_);
  std::swap(items_, items);
  tail_ = tail;
  capacity_ = capacity;
  size_.store(size, std::memory_order_relaxed);
  unlock_word(lock_);
  delete[] items;
}

struct alignas(64) pool_core::local {
  atomic<void*> first{nullptr};  // what was put when nothing lay here: taken first
  atomic<std::uint32_t> uses{0};
  pool_ring ring;
  pool_ring victims;
};

struct pool_registry {
  ranked_lock<rank::leaf> lock;
  pool_core* pools = nullptr;

  struct dropped {
    void (*destroy)(void*) noexcept;
    pool_ring items;
    void* first = nullptr;
  };

  // Without memory for the list it is left to the next time.
  void clean_up() noexcept {
    std::vector<dropped> all;
    {
      lock_guard hold(lock);  // once a minute, and no pool ends meanwhile
      if (!make_room(all)) return;
      for (pool_core* p = pools; p; p = p->next_) {
        for (std::size_t i = 0; i < p->locals_count_; i++) {
          pool_core::local& l = p->locals_[i];
          all.push_back({p->destroy_, std::move(l.victims)});
          l.victims.take(l.ring);
          // [mo:pool.first] as in take()
          if (void* item = l.first.exchange(nullptr, std::memory_order_acq_rel)) {
            try {
              l.victims.push_head(item);
            } catch (const std::bad_alloc&) {
              all.back().first = item;
            }
          }
        }
      }
    }
    for (dropped& d : all) {
      while (void* item = d.items.pop_tail()) d.destroy(item);
      if (d.first) d.destroy(d.first);
    }
  }

  bool make_room(std::vector<dropped>& all) const noexcept {
    std::size_t n = 0;
    for (const pool_core* p = pools; p; p = p->next_) n += p->locals_count_;
    try {
      all.reserve(n);
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }
};

namespace {
pool_registry& registry() noexcept {
  static auto* the = new pool_registry;  // never destroyed: pools may be static
  return *the;
}
}  // namespace

pool_core::pool_core(void (*destroy)(void*) noexcept) : destroy_(destroy) {
  const auto procs = static_cast<unsigned>(sched.procs.load(std::memory_order_relaxed));
  locals_count_ = std::bit_ceil(procs < 4 ? 4 : procs);  // more Ps than that, later on, share
  locals_ = std::make_unique<local[]>(locals_count_);
  pool_registry& r = registry();
  lock_guard hold(r.lock);
  next_ = r.pools;
  if (next_) next_->previous_ = this;
  r.pools = this;
}

pool_core::~pool_core() {
  {
    pool_registry& r = registry();
    lock_guard hold(r.lock);
    (previous_ ? previous_->next_ : r.pools) = next_;
    if (next_) next_->previous_ = previous_;
  }
  for (std::size_t i = 0; i < locals_count_; i++) {
    if (void* item = locals_[i].first.load(std::memory_order_relaxed)) destroy_(item);
    while (void* item = locals_[i].ring.pop_tail()) destroy_(item);
    while (void* item = locals_[i].victims.pop_tail()) destroy_(item);
  }
}

pool_core::local& pool_core::mine() const noexcept {
  const m* mp = this_m();
  const p* pp = mp ? +mp->pp : nullptr;  // read once: it may be taken away
  return locals_[pp ? static_cast<std::size_t>(pp->id) & (locals_count_ - 1) : 0];
}

void pool_core::put(void* item) {
  local& l = mine();
  void* nothing = nullptr;
  // [mo:pool.first] release, pairs with the acquire in take(): what was done to the item is seen by who gets it.
  if (!l.first.compare_exchange_strong(nothing, item, std::memory_order_release, std::memory_order_relaxed)) l.ring.push_head(item);
  bump(l.uses);
  if (l.uses.load(std::memory_order_relaxed) % uses_between_looks == 0) clean_up_when_due();
}

void* pool_core::take() noexcept {
  local& l = mine();
  // [mo:pool.first] acquire
  if (l.first.load(std::memory_order_relaxed)) {
    if (void* item = l.first.exchange(nullptr, std::memory_order_acquire)) return item;
  }
  if (void* item = l.ring.pop_head()) return item;
  const auto begin = static_cast<std::size_t>(&l - locals_.get());
  for (std::size_t i = 1; i < locals_count_; i++) {
    local& other = locals_[(begin + i) & (locals_count_ - 1)];
    if (void* item = other.ring.pop_tail()) return item;
    if (other.first.load(std::memory_order_relaxed)) {
      if (void* item = other.first.exchange(nullptr, std::memory_order_acquire)) return item;  // [mo:pool.first]
    }
  }
  for (std::size_t i = 0; i < locals_count_; i++) {
    if (void* item = locals_[(begin + i) & (locals_count_ - 1)].victims.pop_tail()) return item;
  }
  return nullptr;
}

void pool_core::clean_up_when_due() noexcept {
  const std::int64_t now = os::now_ns();
  std::int64_t due = next_cleanup.load(std::memory_order_relaxed);
  if (due > now || !next_cleanup.compare_exchange_strong(due, now + between_cleanups_ns, std::memory_order_relaxed, std::memory_order_relaxed)) return;
  if (due != 0) registry().clean_up();  // else this is the first look of all
}

}  // namespace detail

void pool_cleanup() { detail::registry().clean_up(); }

}  // namespace weft
