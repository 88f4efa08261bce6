// timers.cpp: things that happen at a time. docs/guide/cancellation.md quotes it.
#include <cstdio>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

void after_a_time() {
  const auto answers = weft::make_chan<int>();
  weft::select(weft::on_recv(answers),  //
               weft::on_recv(weft::after(10ms), [] { std::puts("nobody answered"); }));
}

void again_and_again() {
  const weft::ticker every(2ms);
  for (int i = 0; i < 3; i++) static_cast<void>(every.c.recv());
  std::puts("three ticks");
}

// Ends what is not used for a while: each use sets the timer anew.
void when_idle() {
  const weft::timer idle(20ms);
  for (int use = 0; use < 3; use++) {
    weft::this_goroutine::sleep_for(1ms);
    idle.reset(20ms);  // whatever was due before is not received any more
  }
  static_cast<void>(idle.c.recv());
  std::puts("idle");
}

void a_function() {
  const auto done = weft::make_chan<void>();
  const weft::timer late = weft::after_func(1h, [] { std::puts("never seen"); });
  weft::after_func(1ms, [done] { done.send(); });
  done.recv();
  std::printf("stopped in time: %s\n", late.stop() ? "yes" : "no");
}

}  // namespace

int main() {
  return weft::run([] {
    after_a_time();
    again_and_again();
    when_idle();
    a_function();
  });
}
