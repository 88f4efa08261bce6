// detail/exception_of.hpp: calls a function and keeps what it throws, but lets pass what ends the goroutine in it.
#pragma once

#include <exception>
#include <memory>

#include <weft/detail/config.hpp>

namespace weft::detail {

/// What call(arg) threw, or null. this_goroutine::exit() and pthread_exit() go through. Not a template: g++'s UBSan, which takes
/// the reference in a handler of abi::__forced_unwind& for null, cannot be told otherwise in one.
WEFT_API std::exception_ptr exception_of(void (*call)(void* arg), void* arg);

template <class F>
std::exception_ptr exception_of(F f) {
  return exception_of([](void* arg) { (*static_cast<F*>(arg))(); }, std::addressof(f));
}

}  // namespace weft::detail
