// defer.hpp: an action at the end of a scope, in reverse order, on every way out.
#pragma once

#include <utility>

namespace weft {

/// weft::defer d([&] { f.close(); });  runs when d goes out of scope, also by an exception.
template <class F>
class [[nodiscard]] defer {
 public:
  explicit defer(F f) : f_(std::move(f)) {}
  defer(const defer&) = delete;
  defer& operator=(const defer&) = delete;
  ~defer() noexcept(noexcept(std::declval<F&>()())) { f_(); }

 private:
  F f_;
};

}  // namespace weft
