// pingpong.cpp: two goroutines hand a ball to each other over two unbuffered channels, and how long that takes.
//   pingpong [ROUNDS]
#include <weft/weft.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

int app(int argc, char** argv) {
  const std::int64_t rounds = argc > 1 ? std::strtoll(argv[1], nullptr, 10) : 200'000;
  const auto ping = weft::make_chan<std::int64_t>();
  const auto pong = weft::make_chan<std::int64_t>();
  weft::go([ping, pong] {
    for (std::int64_t ball : ping) pong.send(ball + 1);
    pong.close();
  });

  const auto start = std::chrono::steady_clock::now();
  std::int64_t ball = 0;
  for (std::int64_t i = 0; i < rounds; ++i) {
    ping.send(ball + 1);
    ball = pong.recv().value();
  }
  const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
  ping.close();
  if (pong.recv()) return std::puts("pong is still open"), 1;
  if (ball != 2 * rounds)
    return std::printf("the ball was hit %lld times, not %lld\n", static_cast<long long>(ball), 2LL * rounds), 1;

  std::printf("%lld rounds, %.0f ns each\n", static_cast<long long>(rounds), time.count() / static_cast<double>(rounds));
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return weft::run(app, argc, argv); }
