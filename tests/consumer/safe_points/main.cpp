// A program of a user's that computes: with one processor, main would not wake beside the other goroutine if that had no safe points
// and there were no membarrier. Here there may be: it shows that the points are called and do no harm.
#include <atomic>
#include <chrono>
#include <cstdio>

#include <weft/weft.hpp>

namespace {

[[gnu::noinline]] void step() { asm volatile(""); }

}  // namespace

int main() {
  return weft::run(
      [] {
        std::atomic<bool> stop{false};
        std::atomic<long> steps{0};
        weft::wait_group done;
        done.go([&] {
          while (!stop.load(std::memory_order_relaxed)) step(), ++steps;
        });
        weft::this_goroutine::sleep_for(std::chrono::milliseconds(30));
        stop = true;
        done.wait();
        std::printf("%d\n", steps > 0 ? 42 : 0);
        return 0;
      },
      {.procs = 1});
}
