// chan_spsc, chan_mpmc, sieve, select, mutex: goroutines that share something.
#include <array>
#include <mutex>
#include <optional>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {

result chan_spsc(long n) {
  auto c = weft::make_chan<long>(128);
  weft::go([c, n] {
    for (long i = 0; i < n; i++) c.send(i);
    c.close();
  });
  long sum = 0;
  for (long v : c) sum += v;
  check("sum", sum, n * (n - 1) / 2);
  return {n};
}

result chan_mpmc(long n) {
  constexpr int pairs = 8;
  const long each = n / pairs;
  auto c = weft::make_chan<long>(64);
  weft::wait_group senders, receivers;
  std::array<long, pairs> sums{};
  for (int i = 0; i < pairs; i++) {
    receivers.go([c, &mine = sums[i]] {
      long sum = 0;
      for (long v : c) sum += v;
      mine = sum;
    });
    senders.go([c, i, each] {
      for (long k = 0; k < each; k++) c.send(i * each + k);
    });
  }
  senders.wait();
  c.close();
  receivers.wait();
  long sum = 0;
  for (long s : sums) sum += s;
  n = each * pairs;
  check("sum", sum, n * (n - 1) / 2);
  return {n};
}

namespace {

long nth_prime(long n) {
  std::vector<long> primes;
  for (long v = 2; static_cast<long>(primes.size()) < n; v++) {
    bool is_prime = true;
    for (long p : primes) {
      if (p * p > v) break;
      if (v % p == 0) {
        is_prime = false;
        break;
      }
    }
    if (is_prime) primes.push_back(v);
  }
  return primes.back();
}

}  // namespace

// Leaves its blocked filters behind, as the well-known program does.
result sieve(long n) {
  auto c = weft::make_chan<long>();
  weft::go([c] {
    for (long v = 2;; v++) c.send(v);
  });
  long prime = 0;
  for (long i = 0; i < n; i++) {
    prime = c.recv().value();
    auto next = weft::make_chan<long>();
    weft::go([in = c, out = next, prime] {
      for (long v : in) {
        if (v % prime != 0) out.send(v);
      }
    });
    c = next;
  }
  check("prime", prime, nth_prime(n));
  return {n};
}

result select(long n) {
  const long each = n / 4;
  const auto send = [each](long i) {
    auto c = weft::make_chan<long>();
    weft::go([c, i, each] {
      for (long k = 0; k < each; k++) c.send(i * each + k);
    });
    return c;
  };
  const auto a = send(0), b = send(1), c = send(2), d = send(3);
  n = each * 4;
  long sum = 0;
  const auto add = [&sum](std::optional<long> v) { sum += *v; };
  for (long i = 0; i < n; i++) weft::select(weft::on_recv(a, add), weft::on_recv(b, add), weft::on_recv(c, add), weft::on_recv(d, add));
  check("sum", sum, n * (n - 1) / 2);
  return {n};
}

result mutex(long n) {
  constexpr int goroutines = 64;
  const long each = n / goroutines;
  weft::mutex mu;
  weft::wait_group wg;
  long count = 0;
  for (int i = 0; i < goroutines; i++) {
    wg.go([&] {
      for (long k = 0; k < each; k++) {
        std::lock_guard lock(mu);
        count++;
      }
    });
  }
  wg.wait();
  check("count", count, each * goroutines);
  return {count};
}

}  // namespace bench
