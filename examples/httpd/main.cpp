// httpd: a static file server. One goroutine per connection, written as if each had a thread of its own.
//   httpd [DIR] [--port N] [--procs N] [--quiet]      httpd --help tells the rest; docs/guide/httpd.md walks through it.
// main.cpp: what is the process's: its limits, its signals, its status.
#include "options.hpp"
#include "server.hpp"

#include <weft/weft.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <thread>

namespace {

/// Each connection needs a descriptor, and one more while it sends a file.
void raise_descriptor_limit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

/// Ctrl-C, or a polite kill, closes `stop`; a second one ends the process at once. The signals are blocked in this thread,
/// and so in all that come from it, and a plain thread waits for them: no handler, nothing to be careful about.
void watch_signals(weft::chan<void> stop) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, stop] {
    int signal = 0;
    sigwait(&signals, &signal);
    stop.close();  // any thread may
    sigwait(&signals, &signal);
    ::_exit(128 + signal);
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  const httpd::options settings = httpd::parse_options(argc, argv);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // each line at once, into a pipe too
  raise_descriptor_limit();
  const auto stop = weft::make_chan<void>();
  watch_signals(stop);
  return weft::run([&] { return httpd::serve(settings, stop); }, {.procs = settings.procs});
}
