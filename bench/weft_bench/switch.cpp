// yield, pingpong, ring: what it costs to go from one goroutine to another.
// A switch leaves the processor's return predictor with the wrong stack of addresses, or with the right one, depending on
// how the runtime does it; a loop with nothing above the switch would not show the difference. So each operation here is
// called through some frames that return after it, and the two sides of a pair call from unlike places.
#include <optional>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"

#if defined(__clang__)
#define BENCH_A_REAL_CALL [[gnu::noinline]]
#else
#define BENCH_A_REAL_CALL [[gnu::noipa]]
#endif

namespace bench {
namespace {

/// Calls f() with `frames` (1 or more) frames of this function above it.
template <class F>
BENCH_A_REAL_CALL void at_depth(long frames, F& f) {
  if (frames > 1) at_depth(frames - 1, f);
  else f();
  asm volatile("");  // something to come back to, or the call above would be a jump
}

long frames_above() {
  const long frames = param("frames", 3);
  if (frames < 1 || frames > 100) fail("frames: " + std::to_string(frames) + " is not between 1 and 100");
  return frames;
}

}  // namespace

result yield(long n) {
  const long frames = frames_above();
  weft::wait_group wg;
  long first = 0, second = 0;
  wg.go([&, frames] {
    auto step = [&] { weft::this_goroutine::yield(), first++; };
    for (long i = 0; i < n / 2; i++) at_depth(frames, step);
  });
  wg.go([&, frames] {
    auto step = [&] { second++, weft::this_goroutine::yield(); };
    for (long i = 0; i < n / 2; i++) at_depth(frames, step);
  });
  wg.wait();
  check("switches", first + second, n / 2 * 2);
  return {n / 2 * 2};
}

result pingpong(long n) {
  const long frames = frames_above();
  auto ping = weft::make_chan<long>(), pong = weft::make_chan<long>();
  weft::go([ping, pong, frames] {
    std::optional<long> v;
    auto receive = [&] { v = ping.recv(); };
    auto answer = [&] { pong.send(*v + 1); };
    for (at_depth(frames, receive); v; at_depth(frames, receive)) at_depth(frames, answer);
    pong.close();
  });
  long token = 0;
  auto round_trip = [&] {
    ping.send(token);
    token = pong.recv().value();
  };
  for (long i = 0; i < n; i++) at_depth(frames, round_trip);
  ping.close();
  check("token", token, n);
  return {n};
}

result ring(long n) {
  constexpr long size = 503;
  const long frames = frames_above();
  std::vector<weft::chan<long>> links(size);
  for (auto& link : links) link = weft::make_chan<long>();
  auto done = weft::make_chan<long>();  // the goroutine at which the token ran out
  for (long i = 0; i < size; i++) {
    weft::go([in = links[i], out = links[(i + 1) % size], done, i, frames] {
      std::optional<long> token;
      auto take = [&] { token = in.recv(); };
      auto pass = [&] {
        if (*token == 0) done.send(i);
        else out.send(*token - 1);
      };
      for (at_depth(frames, take); token; at_depth(frames, take)) at_depth(frames, pass);
    });
  }
  links[0].send(n);
  const long last = done.recv().value();
  for (auto& link : links) link.close();
  check("last goroutine", last, n % size);
  return {n};
}

}  // namespace bench
