// the_end.cpp: what happens before main, when a goroutine ends early, and when main returns.
#include <cstdio>
#include <string>

#include <weft/weft.hpp>

struct tells {
  std::string what;
  ~tells() { std::printf("%s\n", what.c_str()); }
};

static weft::chan<int> requests, replies;

WEFT_INIT(server, configuration) {
  requests = weft::make_chan<int>();
  replies = weft::make_chan<int>();
  weft::go([] {
    const tells t{"server: unwound"};
    for (const int r : requests) replies.send(r + 1);
  });
}

WEFT_INIT(configuration) { std::printf("configuration: read\n"); }

static void check(int n) {
  const tells t{"check: done"};
  if (n < 0) weft::this_goroutine::exit();  // ends the goroutine, not only this function
}

int main() {
  return weft::run(
      [] {
        weft::wait_group done;
        done.go([] {
          const tells t{"client: gone"};
          requests.send(5);
          std::printf("client: %d\n", *replies.recv());
          check(-1);
          requests.send(6);
        });
        done.wait();
        weft::at_exit([] { std::printf("hook\n"); });
        std::printf("main: returns\n");
      },
      {.at_exit = weft::at_exit_policy::unwind});
}
