#include "server.hpp"

#include "connection.hpp"
#include "files.hpp"

#include <weft/weft.hpp>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace httpd {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

/// The once-a-second line.
class reporter {
 public:
  explicit reporter(const service& s) : service_(s) {}

  void line() {
    const weft::scheduler_stats now = weft::stats();
    const std::uint64_t requests = service_.requests.load(std::memory_order_relaxed);
    const clock::time_point time = clock::now();
    const double seconds = std::chrono::duration<double>(time - time_).count();
    const auto rate = [&](std::uint64_t to, std::uint64_t from) { return static_cast<double>(to - from) / seconds; };
    std::printf("%7.0f req/s  connections %" PRId64 "  goroutines %" PRIu64 "  threads %" PRIu64
                "  switches %.0f/s  parks %.0f/s  steals %.0f/s  wake-ups %.0f/s\n",
                rate(requests, requests_), service_.connections.load(std::memory_order_relaxed), now.goroutines, now.threads,
                rate(now.switches, last_.switches), rate(now.parks, last_.parks), rate(now.steals, last_.steals),
                rate(now.wakeups, last_.wakeups));
    last_ = now;
    requests_ = requests;
    time_ = time;
  }

  void totals() const {
    const weft::scheduler_stats s = weft::stats();
    std::printf("httpd: %" PRIu64 " requests, %.1f MB in %.1f s; %" PRIu64 " switches, %" PRIu64 " parks, %" PRIu64
                " steals, %" PRIu64 " goroutines in all\n",
                service_.requests.load(std::memory_order_relaxed),
                static_cast<double>(service_.bytes.load(std::memory_order_relaxed)) / 1e6,
                std::chrono::duration<double>(clock::now() - start_).count(), s.switches, s.parks, s.steals, s.started);
  }

 private:
  const service& service_;
  weft::scheduler_stats last_ = weft::stats();
  std::uint64_t requests_ = 0;
  clock::time_point start_ = clock::now();
  clock::time_point time_ = start_;
};

}  // namespace

int serve(const options& settings, weft::chan<void> stop) {
  // What the connections use stays alive when this function ends: they are still there, stopped where they are.
  static const options kept = settings;
  static std::unique_ptr<root_directory> root;
  try {
    root = std::make_unique<root_directory>(kept.directory, kept.use_openat2);
  } catch (const std::system_error& e) {
    std::fprintf(stderr, "httpd: cannot serve %s\n", e.what());
    return 1;
  }
  static service shared{kept, *root};

  std::error_code ec;
  const std::string host = kept.host.find(':') != kept.host.npos ? '[' + kept.host + ']' : kept.host;
  weft::net::listener listener = weft::net::listen("tcp", host + ':' + std::to_string(kept.port), {}, ec);
  if (ec) {
    std::fprintf(stderr, "httpd: cannot listen on %s:%d: %s\n", host.c_str(), kept.port, ec.message().c_str());
    return 1;
  }
  std::printf("httpd: serving %s on http://%s:%d/\n", kept.directory.c_str(), host.c_str(), listener.port());

  static reporter report(shared);
  if (!kept.quiet) {
    weft::go({.name = "report"}, [] {
      for (;;) {
        weft::this_goroutine::sleep_for(1s);
        report.line();
      }
    });
  }
  weft::go({.name = "stop"}, [stop, listener]() mutable {
    stop.recv();
    shared.stopping.store(true, std::memory_order_relaxed);
    listener.close();
  });

  for (;;) {
    weft::net::stream stream = listener.accept(ec);
    if (ec) break;
    weft::go(
        {.name = "connection"}, [](weft::net::stream s) { std::make_unique<connection>(shared, std::move(s))->serve(); },
        std::move(stream));
  }
  const bool stopped = shared.stopping.load(std::memory_order_relaxed);
  if (!stopped) std::fprintf(stderr, "httpd: accept: %s\n", ec.message().c_str());

  // Short answers are out by now; files that are being sent get a second.
  for (const auto end = clock::now() + 1s; shared.transfers.load(std::memory_order_relaxed) > 0 && clock::now() < end;)
    weft::this_goroutine::sleep_for(10ms);
  report.totals();
  return stopped ? 0 : 1;
}

}  // namespace httpd
