// detail/atomic.hpp: the atomics of weft's own types. std::atomic; but the explorer's where the explorer tests these very headers
// (tests/model, which puts its own before everything).
#pragma once

#include <atomic>

namespace weft::detail {

#if WEFT_MODEL
template <class T>
using atomic = model::atomic<T>;
#else
template <class T>
using atomic = std::atomic<T>;
#endif

}  // namespace weft::detail
