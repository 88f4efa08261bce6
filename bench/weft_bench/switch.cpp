// yield, pingpong, ring: what it costs to go from one goroutine to another.
// A switch leaves the processor's return predictor with the wrong stack of addresses, or with the right one, depending on
// how the runtime does it; a loop with nothing above the switch would not show the difference. So each operation here is
// called through some frames that return after it, of the same function for all, and the two sides of a pair switch at unlike
// places. (Unlike frames above a switch cost a missed prediction each, in every runtime with stacks.)
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

/// What is done at the bottom: one of four, each inlined at a place of its own.
struct player {
  weft::chan<long> in, out;
  std::optional<long> token;
  long yields = 0;
};
enum class act { yield_here, yield_there, send, receive, answer, take };

BENCH_A_REAL_CALL void do_here(act what, player& p) {
  switch (what) {
    case act::yield_here: weft::this_goroutine::yield(), p.yields++; return;
    case act::yield_there: p.yields++, weft::this_goroutine::yield(); return;
    case act::send: p.out.send(*p.token); return;
    case act::receive: p.token = p.in.recv(); return;
    case act::answer: p.out.send(*p.token + 1); return;
    case act::take: p.token = p.in.recv(); return;
  }
}
BENCH_A_REAL_CALL void frame_above(long more, act what, player& p) {
  if (more > 0) frame_above(more - 1, what, p);
  else do_here(what, p);
  asm volatile("");  // something to come back to, or the call above would be a jump
}

/// Does it with `frames` (1 or more) frames that return after it.
inline void at_depth(long frames, act what, player& p) {
  if (frames > 1) frame_above(frames - 2, what, p);
  else do_here(what, p);
}

long frames_above() {
  const long frames = param("frames", 2);
  if (frames < 1 || frames > 100) fail("frames: " + std::to_string(frames) + " is not between 1 and 100");
  return frames;
}

}  // namespace

result yield(long n) {
  const long frames = frames_above();
  weft::wait_group wg;
  player players[2];
  for (const int i : {0, 1}) {
    wg.go([&p = players[i], what = i == 0 ? act::yield_here : act::yield_there, n, frames] {
      for (long k = 0; k < n / 2; k++) at_depth(frames, what, p);
    });
  }
  wg.wait();
  check("switches", players[0].yields + players[1].yields, n / 2 * 2);
  return {n / 2 * 2};
}

result pingpong(long n) {
  const long frames = frames_above();
  auto ping = weft::make_chan<long>(), pong = weft::make_chan<long>();
  weft::go([ping, pong, frames] {
    player p{ping, pong, {}};
    for (at_depth(frames, act::take, p); p.token; at_depth(frames, act::take, p)) at_depth(frames, act::answer, p);
    pong.close();
  });
  player p{pong, ping, 0};
  for (long i = 0; i < n; i++) {
    at_depth(frames, act::send, p);
    at_depth(frames, act::receive, p);
  }
  ping.close();
  check("token", *p.token, n);
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
      player p{in, out, {}};
      for (at_depth(frames, act::take, p); p.token; at_depth(frames, act::take, p)) {
        if (*p.token == 0) {
          done.send(i);
        } else {
          --*p.token;
          at_depth(frames, act::send, p);
        }
      }
    });
  }
  links[0].send(n);
  const long last = done.recv().value();
  for (auto& link : links) link.close();
  check("last goroutine", last, n % size);
  return {n};
}

}  // namespace bench
