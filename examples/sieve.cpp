// sieve.cpp: the prime sieve that came with Go. Each prime gets a goroutine that passes on what it does not divide, so the
// numbers run through a chain of filters that grows at its end.   sieve [COUNT]
// weft-example: args=1000
#include <weft/weft.hpp>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

void generate(weft::sender<int> to) {
  for (int i = 2;; ++i) to.send(i);
}

void filter(weft::receiver<int> from, weft::sender<int> to, int prime) {
  for (int i : from)
    if (i % prime != 0) to.send(i);
}

/// The same without goroutines, to compare.
std::vector<int> plain_primes(std::size_t count) {
  std::vector<int> primes;
  for (int n = 2; primes.size() < count; ++n) {
    bool prime = true;
    for (int p : primes) {
      if (p * p > n) break;
      if (n % p == 0) prime = false;
    }
    if (prime) primes.push_back(n);
  }
  return primes;
}

int app(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000;
  const std::vector<int> expected = plain_primes(count);
  auto numbers = weft::make_chan<int>();
  weft::go(generate, weft::sender<int>(numbers));
  for (std::size_t i = 0; i < count; ++i) {
    const int prime = *numbers.recv();
    if (prime != expected[i]) {
      std::printf("prime %zu should be %d, not %d\n", i + 1, expected[i], prime);
      return 1;
    }
    auto passed = weft::make_chan<int>();
    weft::go(filter, weft::receiver<int>(numbers), weft::sender<int>(passed), prime);
    numbers = passed;
  }
  if (count > 0) std::printf("prime %zu is %d\n", count, expected[count - 1]);
  return 0;  // the chain is still waiting; it ends with the program
}

}  // namespace

int main(int argc, char** argv) { return weft::run(app, argc, argv); }
