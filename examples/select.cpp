// select.cpp: waiting for several channels at once, in the ways that come up again and again.
// docs/guide/channels_and_select.md quotes the parts between the marks.
#include <weft/weft.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

// The first answer wins; who is slower sends into a buffer that nobody empties, and ends all the same.
void first_of_two() {
  // [first]
  const auto from_cache = weft::make_chan<std::string>(1), from_disk = weft::make_chan<std::string>(1);
  weft::go([from_disk] {
    weft::this_goroutine::sleep_for(50ms);
    from_disk.send("disk");
  });
  weft::go([from_cache] { from_cache.send("cache"); });

  const auto print = [](std::optional<std::string> v) { std::printf("first answer: %s\n", v.value().c_str()); };
  weft::select(weft::on_recv(from_cache, print), weft::on_recv(from_disk, print));
  // [first]
}

void not_for_ever() {
  // [timeout]
  const auto answers = weft::make_chan<int>();
  const int ran = weft::select(                                                           //
      weft::on_recv(answers, [](std::optional<int> v) { std::printf("got %d\n", v.value()); }),  //
      weft::on_timeout(20ms, [] { std::puts("no answer within 20 ms"); }));
  std::printf("case %d ran\n", ran);
  // [timeout]
}

// Values as they come, until told to stop.
void until_stopped() {
  const auto values = weft::make_chan<int>();
  const auto stop = weft::make_chan<void>();
  weft::go([values, stop] {
    for (int i = 1; i <= 4; i++) values.send(i);
    stop.close();  // a closed channel is ready for all who wait for it
  });
  // [loop]
  int sum = 0;
  for (bool going = true; going;) {
    weft::select(weft::on_recv(values, [&](std::optional<int> v) { sum += v.value(); }),  //
                 weft::on_recv(stop, [&] { going = false; }));
  }
  std::printf("sum until stopped: %d\n", sum);
  // [loop]
}

// A nil channel is never ready, so setting a handle to nil switches its case off.
void merge() {
  auto a = weft::make_chan<int>(), b = weft::make_chan<int>();
  for (auto c : {a, b}) {
    weft::go([c] {
      for (int i = 0; i < 3; i++) c.send(i);
      c.close();
    });
  }
  // [nil]
  int count = 0;
  while (a || b) {
    weft::select(  //
        weft::on_recv(a, [&](std::optional<int> v) { v ? void(count++) : void(a = {}); }),
        weft::on_recv(b, [&](std::optional<int> v) { v ? void(count++) : void(b = {}); }));
  }
  std::printf("merged %d values\n", count);
  // [nil]
}

void only_if_there_is_room() {
  // [default]
  const auto log = weft::make_chan<std::string>(2);
  int dropped = 0;
  for (const char* line : {"one", "two", "three"}) {
    weft::select(weft::on_send(log, line), weft::on_default([&] { dropped++; }));
  }
  std::printf("%zu lines kept, %d dropped\n", log.size(), dropped);
  // [default]
}

void as_many_as_there_are() {
  // [selector]
  std::vector<weft::chan<int>> workers;
  weft::selector s;
  std::optional<int> got;
  for (int i = 0; i < 100; i++) {
    workers.push_back(weft::make_chan<int>());
    s.recv(workers.back(), got);
    weft::go([c = workers.back(), i] { c.send(i * i); });
  }
  int right = 0;
  for (int i = 0; i < 100; i++) {
    const int k = s.wait();
    right += *got == k * k;
  }
  std::printf("%d of 100 workers answered\n", right);
  // [selector]
}

void app() {
  first_of_two();
  not_for_ever();
  until_stopped();
  merge();
  only_if_there_is_room();
  as_many_as_there_are();
}

}  // namespace

int main() { return weft::run(app); }
