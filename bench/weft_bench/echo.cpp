// echo --serve: a TCP echo server, a goroutine per connection, written in plain blocking style.
// bench/peers/loadgen drives it: busy connections for echo, silent ones for idle_conns.
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {
namespace {

void echo(weft::net::stream conn) {
  std::array<std::byte, 1024> buffer;
  for (std::error_code ec;;) {
    const std::size_t n = conn.read_some(buffer, ec);
    if (ec || n == 0) return;
    conn.write_all(std::span(buffer).first(n), ec);
    if (ec) return;
  }
}

}  // namespace

void serve() {
  const long port = param("port", 0);
  if (port < 0 || port > 65'535) fail("port: " + std::to_string(port) + " is not between 0 and 65535");
  std::error_code ec;
  auto listener = weft::net::listen("tcp", "127.0.0.1:" + std::to_string(port), {}, ec);
  if (ec) fail("cannot listen on 127.0.0.1:" + std::to_string(port) + ": " + ec.message());
  std::printf("%d\n", listener.port());
  std::fflush(stdout);

  weft::go([listener]() mutable {
    for (std::error_code failed;;) {
      auto conn = listener.accept(failed);
      if (failed) return;
      weft::go(echo, std::move(conn));
    }
  });
  // A read of standard input would hold a processor; so a thread of its own does that, and a channel tells.
  auto input_ended = weft::make_chan<void>();
  std::thread watcher([input_ended] {
    std::array<char, 256> ignored;
    while (read(STDIN_FILENO, ignored.data(), ignored.size()) > 0) {}
    input_ended.close();
  });
  input_ended.recv();
  watcher.join();
}

}  // namespace bench
