// yield, pingpong, ring: what it costs to go from one goroutine to another.
// A switch leaves the processor's return predictor with the wrong stack of addresses, or with the right one, depending on
// how the runtime does it; a loop with nothing above the switch would not show the difference. So each operation here is
// called through some frames that return after it, the same for all, and the two sides of a pair switch at unlike places.
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

enum class side { one, other };

/// Calls one() or other() with `frames` (1 or more) frames of this function above it. Both are inlined into the last of them.
template <class One, class Other>
BENCH_A_REAL_CALL void at_depth(long frames, side s, One& one, Other& other) {
  if (frames > 1) {
    at_depth(frames - 1, s, one, other);
    asm volatile("");  // something to come back to, or the call above would be a jump
  } else if (s == side::one) {
    one();
    asm volatile("");
  } else {
    other();
    asm volatile("");
  }
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
  long counts[2] = {};
  for (const side s : {side::one, side::other}) {
    wg.go([&counts, n, frames, s] {
      long count = 0;
      auto one = [&] { weft::this_goroutine::yield(), count++; };
      auto other = [&] { count++, weft::this_goroutine::yield(); };
      for (long i = 0; i < n / 2; i++) at_depth(frames, s, one, other);
      counts[static_cast<int>(s)] = count;
    });
  }
  wg.wait();
  check("switches", counts[0] + counts[1], n / 2 * 2);
  return {n / 2 * 2};
}

result pingpong(long n) {
  const long frames = frames_above();
  auto ping = weft::make_chan<long>(), pong = weft::make_chan<long>();
  weft::go([ping, pong, frames] {
    std::optional<long> v;
    auto receive = [&] { v = ping.recv(); };
    auto answer = [&] { pong.send(*v + 1); };
    for (at_depth(frames, side::one, receive, answer); v; at_depth(frames, side::one, receive, answer))
      at_depth(frames, side::other, receive, answer);
    pong.close();
  });
  long token = 0;
  auto send = [&] { ping.send(token); };
  auto receive = [&] { token = pong.recv().value(); };
  for (long i = 0; i < n; i++) {
    at_depth(frames, side::one, send, receive);
    at_depth(frames, side::other, send, receive);
  }
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
      for (at_depth(frames, side::one, take, pass); token; at_depth(frames, side::one, take, pass))
        at_depth(frames, side::other, take, pass);
    });
  }
  links[0].send(n);
  const long last = done.recv().value();
  for (auto& link : links) link.close();
  check("last goroutine", last, n % size);
  return {n};
}

}  // namespace bench
