// sched/release_memory.cpp: what weft keeps for the next goroutines goes back. Source: Go's debug.FreeOSMemory.
// Each P's caches are emptied at a safe point of it, where that takes a few moves; what costs time, free() and madvise(), is done by the
// caller afterwards, as in a call that may block. Resting carriers (carrier.hpp) and records of ended goroutines stay: the ones have
// frames on their stacks, the others are never unmapped.
#include <algorithm>
#include <memory>
#include <new>

#include <weft/blocking.hpp>
#include <weft/run.hpp>

#include "sched/for_each_p.hpp"

namespace weft {

namespace {

struct taken {
  std::unique_ptr<frame_cache[]> frames;
  int room = 0, count = 0;
};

void take_caches(p* pp, void* arg) noexcept {
  auto& t = *static_cast<taken*>(arg);
  stacks_give(sched.stack_size_class, pp->stacks, pp->stack_count);
  pp->stack_count = 0;
  if (t.count == t.room) return;  // there are more Ps than a moment ago, or there was no memory
  t.frames[t.count++] = pp->frames;
  pp->frames = {};
}

}  // namespace

void release_memory() noexcept {
  taken t;
  t.frames.reset(new (std::nothrow) frame_cache[static_cast<std::size_t>(procs())]);
  if (t.frames) t.room = procs();
  static_cast<void>(for_each_p(&take_caches, &t));
  system_call([&] {
    for (int i = 0; i < t.count; i++) t.frames[i].free_all();
    // What was free when it was asked for, and not what others free meanwhile, or it might not end.
    for (std::size_t left = stacks_warm(); left > 0;) {
      const std::size_t before = stacks_warm();
      static_cast<void>(stacks_trim(0));
      const std::size_t gone = before - std::min(before, stacks_warm());
      if (gone == 0) break;
      left -= std::min(left, gone);
    }
  });
}

}  // namespace weft
