// defer.hpp: an action at the end of a scope, in reverse order, on every way out.
#pragma once

#include <type_traits>
#include <utility>

namespace weft {

/// weft::defer d([&] { f.close(); });  calls the function when d goes out of scope: at its end, by return, by an exception that is
/// caught somewhere, and when the goroutine ends by this_goroutine::exit(). (An exception that nobody catches unwinds nothing.)
/// The last one made runs first. Whether it may throw is as for a destructor: to the caller, if the function is not noexcept; while
/// another exception is under way that ends the program.
/// Parks: no, but f may.    Threads: any.    Allocates: no.
template <class F>
class [[nodiscard]] defer {
 public:
  explicit defer(F f) noexcept(std::is_nothrow_move_constructible_v<F>) : f_(std::move(f)) {}
  defer(const defer&) = delete;
  defer& operator=(const defer&) = delete;
  ~defer() noexcept(noexcept(std::declval<F&>()())) { static_cast<void>(f_()); }

 private:
  F f_;
};

}  // namespace weft
