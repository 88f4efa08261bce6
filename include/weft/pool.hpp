// pool.hpp: objects that are dear to make, kept for the next who needs one: Go's sync.Pool.
// Each processor has items of its own, and takes from the others' when it has none. What lies unused is dropped: an item that
// nobody has taken for one to two minutes goes, at a later use of any pool, or at pool_cleanup(). So a pool is for what can be made again, and
// nothing may depend on getting an item back.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include <weft/detail/config.hpp>
#include <weft/detail/pool_core.hpp>

namespace weft {

template <class T>
class pool {
 public:
  /// Without a maker get() may return nothing.
  explicit pool(std::function<std::unique_ptr<T>()> make = {}) : core_(&destroy), make_(std::move(make)) {}
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;

  /// An item that was put and that nobody else gets; else a new one, from the maker; else null.
  /// Parks: no, but as the maker does.    Threads: any.    Allocates: as the maker does.
  [[nodiscard]] std::unique_ptr<T> get() {
    if (void* item = core_.take()) return std::unique_ptr<T>(static_cast<T*>(item));
    return make_ ? make_() : nullptr;
  }
  /// Keeps an item for a later get(). Null is ignored.
  /// Parks: no.    Threads: any.    Allocates: now and then, when more lie here than ever before.
  void put(std::unique_ptr<T> item) {
    if (!item) return;
    core_.put(item.get());
    static_cast<void>(item.release());
  }

  struct give_back {
    pool* from = nullptr;
    void operator()(T* item) const { from->put(std::unique_ptr<T>(item)); }
  };
  /// As get(), but the item goes back by itself when the handle ends. Handles must not outlive the pool.
  using handle = std::unique_ptr<T, give_back>;
  [[nodiscard]] handle borrow() { return handle(get().release(), give_back{this}); }

 private:
  static void destroy(void* item) noexcept { delete static_cast<T*>(item); }

  detail::pool_core core_;
  std::function<std::unique_ptr<T>()> make_;
};

/// Ages all pools by one step: an item that has been through two of them untaken is destroyed. Happens by itself once a minute
/// while pools are in use.    Parks: as the items' destructors do.    Threads: any.
WEFT_API void pool_cleanup();

}  // namespace weft
