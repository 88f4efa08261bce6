// chan_timeout.cpp: waiting on a channel, but not for ever.
#include <weft/weft.hpp>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

namespace {

void look(const char* when, const weft::result<int>& got) {
  if (got) std::printf("%s: %d\n", when, *got);
  else std::printf("%s: %s\n", when, got.error().message().c_str());
}

int app() {
  const auto c = weft::make_chan<int>(1);
  look("nothing there", c.try_recv());

  const auto start = std::chrono::steady_clock::now();
  look("nobody sends for 20 ms", c.recv_for(20ms));
  if (std::chrono::steady_clock::now() - start < 20ms) return std::puts("that was too early"), 1;

  weft::go([c] {
    weft::this_goroutine::sleep_for(10ms);
    c.send(42);
  });
  look("somebody sends in time", c.recv_for(1h));

  c.send(43);
  std::printf("no room to send for 20 ms: %s\n", c.send_for(44, 20ms) ? "sent" : "given up");
  c.close();
  look("closed, but one is left", c.recv_for(1h));
  look("closed and drained", c.recv_for(1h));
  return 0;
}

}  // namespace

int main() { return weft::run(app); }
