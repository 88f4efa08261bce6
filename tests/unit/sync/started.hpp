// started.hpp: goroutines of which one can tell whether they have ended: for things that should wait and things that should not.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "support/support.hpp"

namespace {

/// Starts f and gives back whether it has ended.
template <class F>
std::shared_ptr<std::atomic<bool>> started(F f) {
  auto ended = std::make_shared<std::atomic<bool>>(false);
  weft::go([f = std::move(f), ended]() mutable { f(), *ended = true; });
  return ended;
}
inline bool ends(const std::shared_ptr<std::atomic<bool>>& what) {
  return weft::test::eventually([&] { return what->load(); });
}
/// Lets others run for a while that would be enough to block, or to end.
inline void give_way() {
  for (int i = 0; i < 20; ++i) weft::this_goroutine::yield();
  weft::this_goroutine::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace
