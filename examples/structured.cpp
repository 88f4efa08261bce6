// structured.cpp: concurrency that ends where its scope ends: a group of goroutines with a first failure, a loop over all processors,
// stages with back-pressure, an action at the end of a scope, and a value of each goroutine's own.
#include <weft/weft.hpp>

#include <cctype>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

// The first that fails ends the others, and wait() says how.
void mirrors() {
  weft::task_group group;
  for (int i = 0; i < 2; ++i) {
    group.go([&group] {
      while (!group.cancelled()) weft::this_goroutine::sleep_for(1ms);
    });
  }
  group.go([] {
    weft::this_goroutine::sleep_for(5ms);
    throw std::runtime_error("broken.example: no route");
  });
  try {
    group.wait();
  } catch (const std::runtime_error& e) {
    std::printf("all have ended: %s\n", e.what());
  }
}

// As many at a time as may be; go() waits while there are that many.
void at_most_two_at_a_time() {
  int done = 0;
  weft::mutex mutex;
  weft::task_group group(weft::task_group_options{.limit = 2});
  for (int i = 0; i < 10; ++i) {
    group.go([&] {
      weft::this_goroutine::sleep_for(1ms);
      const std::lock_guard hold(mutex);
      ++done;
    });
  }
  group.wait();
  std::printf("%d done\n", done);
}

void loops() {
  std::vector<double> v(100'000);
  weft::parallel_for(std::size_t{0}, v.size(), [&](std::size_t i) { v[i] = static_cast<double>(i) / 2; });
  const double sum = weft::parallel_reduce(v, 0.0);
  std::printf("sum %.1f\n", sum);
}

std::string shout(std::string s) {
  for (char& c : s) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return s;
}

void stages() {
  const std::vector<std::string> words = {"few", "values", "are", "under", "way", "at", "once"};
  weft::pipeline::from(words)                                                      //
      | weft::pipeline::filter([](const std::string& w) { return w.size() > 2; })  //
      | weft::pipeline::transform(shout, {.workers = 4, .ordered = true})          //
      | weft::pipeline::for_each([](const std::string& w) { std::printf("%s ", w.c_str()); });
  std::printf("\n");
}

weft::local<int> depth;

void nested(const char* name) {
  ++*depth;
  const weft::defer leave([name] {
    std::printf("%*s/%s\n", *depth, "", name);
    --*depth;
  });
  std::printf("%*s%s\n", *depth, "", name);
  if (*depth < 3) nested("inner");
}

}  // namespace

int main() {
  return weft::run([] {
    mirrors();
    at_most_two_at_a_time();
    loops();
    stages();
    nested("outer");
  });
}
