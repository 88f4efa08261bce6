// pipeline.cpp: a fast producer, a few squarers and a slow consumer, joined by channels with room for a few values. When they
// are full the producer waits: nothing piles up, however much faster it is (back-pressure). The stages are tasks, whose
// results join() gives back.
#include <weft/weft.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr int values = 2000;
constexpr int squarers = 3;
constexpr int room = 4;

struct {
  std::atomic<int> made{0};
  std::atomic<int> used{0};
} counts;

/// Gives the largest number of values that were under way at once.
int produce(weft::sender<std::int64_t> to) {
  int most = 0;
  for (std::int64_t i = 1; i <= values; ++i) {
    to.send(i);
    most = std::max(most, ++counts.made - counts.used.load());
  }
  to.close();
  return most;
}

int square(weft::receiver<std::int64_t> from, weft::sender<std::int64_t> to) {
  int done = 0;
  for (std::int64_t i : from) {
    to.send(i * i);
    ++done;
  }
  return done;
}

std::int64_t add_up(weft::receiver<std::int64_t> from) {
  std::int64_t sum = 0;
  for (std::int64_t i : from) {
    sum += i;
    if (++counts.used % 100 == 0) weft::this_goroutine::sleep_for(1ms);  // slow, now and then
  }
  return sum;
}

int app() {
  const auto numbers = weft::make_chan<std::int64_t>(room);
  const auto squares = weft::make_chan<std::int64_t>(room);
  auto producer = weft::async(produce, weft::sender<std::int64_t>(numbers));
  std::vector<weft::task<int>> stage;
  for (int i = 0; i < squarers; ++i)
    stage.push_back(weft::async(square, weft::receiver<std::int64_t>(numbers), weft::sender<std::int64_t>(squares)));
  auto consumer = weft::async(add_up, weft::receiver<std::int64_t>(squares));

  const int most = producer.join();
  int squared = 0;
  for (auto& s : stage) squared += s.join();
  squares.close();  // all who send are done
  const std::int64_t sum = consumer.join();

  constexpr std::int64_t n = values;
  constexpr std::int64_t expected = n * (n + 1) * (2 * n + 1) / 6;
  // Both channels full, one value in the hands of each squarer, one of the consumer, and one that was sent but not counted yet.
  constexpr int bound = 2 * room + squarers + 2;
  std::printf("%d squares, sum %lld\n", squared, static_cast<long long>(sum));
  if (most > bound) return std::printf("%d values were under way at once, more than %d\n", most, bound), 1;
  return squared == values && sum == expected ? 0 : 1;
}

}  // namespace

int main() { return weft::run(app); }
