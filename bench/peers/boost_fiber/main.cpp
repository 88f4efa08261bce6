// The Boost.Fiber peer: stackful fibers, pooled stacks of a fixed size; round_robin on one thread, work_stealing (spinning,
// which is its quick mode) or shared_work (algo=shared) on more.
//
//   boost_fiber WORKLOAD [--procs P] [--n N] [launch=post|dispatch] [algo=stealing|shared] [stack=BYTES]
//
// `launch` says whether a new fiber is queued (post) or runs at once, its parent being queued (dispatch). Each workload has
// the quicker one as its default. Boost's own pooled_fixedsize_stack is not safe on several threads, hence StackPool.
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace fibers = boost::fibers;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

namespace {

std::map<std::string, std::string> params;

std::string param(const std::string& name, const std::string& otherwise) {
  auto found = params.find(name);
  return found == params.end() ? otherwise : found->second;
}

long number(const std::string& name, long otherwise) { return std::stol(param(name, std::to_string(otherwise))); }

void check(const char* what, long got, long want) {
  if (got == want) return;
  std::fprintf(stderr, "wrong %s: %ld, not %ld\n", what, got, want);
  std::exit(1);
}

// ---- stacks ----

// Stacks of one size: a cache on each thread, refilled from and spilled to one shared list in batches.
class StackPool {
 public:
  [[gnu::noinline]] static char* get() {
    std::vector<char*>& cache = cache_;
    if (cache.empty()) refill(cache);
    char* stack = cache.back();
    cache.pop_back();
    return stack;
  }
  [[gnu::noinline]] static void put(char* stack) {
    std::vector<char*>& cache = cache_;
    cache.push_back(stack);
    if (cache.size() >= 2 * kBatch && threads > 1) spill(cache);
  }
  static inline std::size_t stack_size = 16 * 1024;
  static inline int threads = 1;

 private:
  static constexpr std::size_t kBatch = 512;

  static void refill(std::vector<char*>& cache) {
    std::lock_guard lock(mutex_);
    if (shared_.empty()) {
      std::size_t bytes = stack_size * kBatch;
      void* slab = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (slab == MAP_FAILED) throw std::bad_alloc();
      for (std::size_t i = 0; i < kBatch; i++) shared_.push_back(static_cast<char*>(slab) + i * stack_size);
    }
    std::size_t k = std::min(kBatch, shared_.size());
    cache.insert(cache.end(), shared_.end() - k, shared_.end());
    shared_.resize(shared_.size() - k);
  }
  static void spill(std::vector<char*>& cache) {
    std::lock_guard lock(mutex_);
    shared_.insert(shared_.end(), cache.begin(), cache.begin() + kBatch);
    cache.erase(cache.begin(), cache.begin() + kBatch);
  }

  static inline thread_local std::vector<char*> cache_;
  static inline std::vector<char*> shared_;
  static inline std::mutex mutex_;
};

struct PooledStack {  // Boost.Context's StackAllocator
  boost::context::stack_context allocate() {
    boost::context::stack_context s;
    s.size = StackPool::stack_size;
    s.sp = StackPool::get() + s.size;
    return s;
  }
  void deallocate(boost::context::stack_context& s) { StackPool::put(static_cast<char*>(s.sp) - s.size); }
};

// ---- fibers ----

fibers::launch launch_policy = fibers::launch::post;

template <class F, class... Args>
fibers::fiber start(F&& f, Args&&... args) {
  return fibers::fiber(launch_policy, std::allocator_arg, PooledStack{}, std::forward<F>(f), std::forward<Args>(args)...);
}

template <class F, class... Args>
void go(F&& f, Args&&... args) {
  start(std::forward<F>(f), std::forward<Args>(args)...).detach();
}

class WaitGroup {
 public:
  void add(long n) { left_.fetch_add(n, std::memory_order_relaxed); }
  void done() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    std::lock_guard lock(mutex_);
    zero_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    zero_.wait(lock, [this] { return left_.load(std::memory_order_acquire) == 0; });
  }

 private:
  std::atomic<long> left_{0};
  fibers::mutex mutex_;
  fibers::condition_variable zero_;
};

void use_algorithm(int procs) {
  if (procs == 1) fibers::use_scheduling_algorithm<fibers::algo::round_robin>();
  else if (param("algo", "stealing") == "shared") fibers::use_scheduling_algorithm<fibers::algo::shared_work>();
  else fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(procs);
}

// The threads beside the main one: each runs fibers until the end.
class Workers {
 public:
  explicit Workers(int procs) {
    for (int i = 1; i < procs; i++) {
      threads_.emplace_back([this, procs] {
        use_algorithm(procs);
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return end_; });
      });
    }
    use_algorithm(procs);
  }
  ~Workers() {
    {
      std::lock_guard lock(mutex_);
      end_ = true;
    }
    ended_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

 private:
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  fibers::condition_variable_any ended_;
  bool end_ = false;
};

// ---- the workloads: each runs n ops and says how many it did ----

struct Result {
  long ops;
  double wall = 0;  // 0: let the caller's clock count
  std::string more = {};
};

double seconds_since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

Result yield(long n) {
  WaitGroup wg;
  wg.add(2);
  for (int t = 0; t < 2; t++) {
    go([&] {
      for (long i = 0; i < n / 2; i++) boost::this_fiber::yield();
      wg.done();
    });
  }
  wg.wait();
  return {n / 2 * 2};
}

Result spawn(long n) {
  WaitGroup wg;
  for (long left = n; left > 0; left -= 1000) {
    long batch = std::min(left, 1000L);
    wg.add(batch);
    for (long i = 0; i < batch; i++) go([&wg] { wg.done(); });
    wg.wait();
  }
  return {n};
}

long tree(int depth) {
  if (depth == 1) return 1;
  long left, right;
  fibers::fiber a = start([&left, depth] { left = tree(depth - 1); });
  fibers::fiber b = start([&right, depth] { right = tree(depth - 1); });
  a.join();
  b.join();
  return 1 + left + right;
}

Result spawn_tree(long n) {  // floor(log2(n)) levels, so 2^levels - 1 tasks
  int depth = 63 - __builtin_clzl(n);
  long count;
  start([&] { count = tree(depth); }).join();
  check("tasks", count, (1L << depth) - 1);
  return {count};
}

Result pingpong(long n) {
  fibers::unbuffered_channel<long> ping, pong;
  long token = 0;
  fibers::fiber b = start([&] {
    long v;
    while (ping.pop(v) == fibers::channel_op_status::success) pong.push(v + 1);
  });
  fibers::fiber a = start([&] {
    for (long i = 0; i < n; i++) {
      ping.push(token);
      pong.pop(token);
    }
    ping.close();
  });
  a.join();
  b.join();
  check("token", token, n);
  return {n};
}

Result chan_spsc(long n) {
  fibers::buffered_channel<long> c(128);
  long sum = 0;
  fibers::fiber receiver = start([&] {
    long v;
    while (c.pop(v) == fibers::channel_op_status::success) sum += v;
  });
  fibers::fiber sender = start([&] {
    for (long i = 0; i < n; i++) c.push(i);
    c.close();
  });
  sender.join();
  receiver.join();
  check("sum", sum, n * (n - 1) / 2);
  return {n};
}

Result chan_mpmc(long n) {
  constexpr int kPairs = 8;
  const long each = n / kPairs;
  fibers::buffered_channel<long> c(64);
  std::vector<fibers::fiber> senders, receivers;
  std::atomic<long> sum{0};
  for (int t = 0; t < kPairs; t++) {
    receivers.push_back(start([&] {
      long v, mine = 0;
      while (c.pop(v) == fibers::channel_op_status::success) mine += v;
      sum += mine;
    }));
    senders.push_back(start([&, t] {
      for (long i = 0; i < each; i++) c.push(t * each + i);
    }));
  }
  for (auto& f : senders) f.join();
  c.close();
  for (auto& f : receivers) f.join();
  n = each * kPairs;
  check("sum", sum, n * (n - 1) / 2);
  return {n};
}

Result ring(long n) {
  constexpr int kSize = 503;
  std::deque<fibers::unbuffered_channel<long>> links(kSize);
  fibers::unbuffered_channel<long> done;  // the task at which the token ran out
  std::vector<fibers::fiber> tasks;
  for (int t = 0; t < kSize; t++) {
    tasks.push_back(start([&, t] {
      auto &in = links[t], &out = links[(t + 1) % kSize];
      long token;
      while (in.pop(token) == fibers::channel_op_status::success) {
        if (token == 0) done.push(t);
        else out.push(token - 1);
      }
    }));
  }
  links[0].push(n);
  long last = done.value_pop();
  for (auto& link : links) link.close();
  for (auto& f : tasks) f.join();
  check("last task", last, n % kSize);
  return {n};
}

using Up = fibers::buffered_channel<long>;

void skynet_node(Up& up, long first, long size) {
  if (size == 1) {
    up.push(first);
    return;
  }
  Up c(16);
  for (int i = 0; i < 10; i++) go([&c, first, i, size] { skynet_node(c, first + i * (size / 10), size / 10); });
  long sum = 0;
  for (int i = 0; i < 10; i++) sum += c.value_pop();
  up.push(sum);
}

Result skynet(long n) {
  long leaves = 1;
  while (leaves * 10 <= n) leaves *= 10;
  Up c(2);
  go([&] { skynet_node(c, 0, leaves); });
  check("sum", c.value_pop(), leaves * (leaves - 1) / 2);
  return {leaves};
}

long fib_of(long n) {
  if (n <= 1) return n;
  long above;
  fibers::fiber f = start([&above, n] { above = fib_of(n - 1); });
  long below = fib_of(n - 2);
  f.join();
  return above + below;
}

Result fib(long n) {
  long a = 0, b = 1;
  for (long i = 0; i < n; i++) std::swap(a, b), b += a;
  long value;
  start([&] { value = fib_of(n); }).join();
  check("fib", value, a);
  return {b - 1};  // tasks started: fib(n+1) - 1
}

Result mutex(long n) {
  constexpr int kTasks = 64;
  const long each = n / kTasks;
  fibers::mutex m;
  long count = 0;
  std::vector<fibers::fiber> tasks;
  for (int t = 0; t < kTasks; t++) {
    tasks.push_back(start([&] {
      for (long i = 0; i < each; i++) {
        m.lock();
        count++;
        m.unlock();
      }
    }));
  }
  for (auto& f : tasks) f.join();
  check("count", count, each * kTasks);
  return {count};
}

std::uint64_t splitmix(std::uint64_t& seed) {  // the same small generator in every peer
  std::uint64_t z = seed += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

double cpu_seconds() {
  rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

std::string field(const char* name, double value) {
  char text[64];
  std::snprintf(text, sizeof text, ",\"%s\":%.3f", name, value);
  return text;
}

double us(const std::vector<nanoseconds>& sorted, double q) { return sorted[std::size_t(q * (sorted.size() - 1))].count() / 1e3; }

Result timers(long n) {
  std::vector<nanoseconds> late(n);
  std::uint64_t seed = 42;
  WaitGroup wg;
  wg.add(n);
  double cpu = cpu_seconds();
  auto begin = Clock::now();
  for (long i = 0; i < n; i++) {
    nanoseconds d(splitmix(seed) % 1'000'000'000);
    go([&, i, d] {
      auto due = Clock::now() + d;
      boost::this_fiber::sleep_until(due);
      late[i] = Clock::now() - due;
      wg.done();
    });
  }
  wg.wait();
  double wall = seconds_since(begin);
  cpu = cpu_seconds() - cpu;
  std::sort(late.begin(), late.end());
  check("early wakes", std::min(0L, long(late[0].count())), 0);
  return {n, wall,
          field("cpu_s", cpu) + field("late_p50_us", us(late, 0.5)) + field("late_p99_us", us(late, 0.99)) +
              field("late_max_us", us(late, 1))};
}

long rss() {
  long size = 0, resident = 0;
  std::FILE* f = std::fopen("/proc/self/statm", "r");
  if (std::fscanf(f, "%ld %ld", &size, &resident) != 2) std::abort();
  std::fclose(f);
  return resident * sysconf(_SC_PAGESIZE);
}

Result parked(long n) {
  long before = rss();
  fibers::unbuffered_channel<int> gate;
  std::atomic<long> arrived{0};
  WaitGroup wg;
  wg.add(n);
  auto begin = Clock::now();
  for (long i = 0; i < n; i++) {
    go([&] {
      arrived.fetch_add(1, std::memory_order_relaxed);
      int v;
      gate.pop(v);
      wg.done();
    });
  }
  while (arrived.load(std::memory_order_relaxed) < n) boost::this_fiber::yield();
  double wall = seconds_since(begin);
  usleep(50'000);  // let the last one park; not timed
  double bytes = double(rss() - before) / n;
  auto closing = Clock::now();
  gate.close();
  wg.wait();
  double wake = seconds_since(closing);
  return {n, wall + wake, field("bytes_per_task", bytes) + field("start_ns", wall / n * 1e9) + field("wake_ns", wake / n * 1e9)};
}

// ---- the frame: arguments, warm-up, clock, one line of JSON ----

struct Workload {
  long n;
  Result (*run)(long n);
  const char* launch;
  long (*warm)(long n) = [](long n) { return n / 10; };
};

const std::map<std::string, Workload> workloads = {
    {"yield", {10'000'000, yield, "post"}},
    {"spawn", {2'000'000, spawn, "post"}},
    {"spawn_tree", {1 << 20, spawn_tree, "dispatch"}},
    {"pingpong", {2'000'000, pingpong, "post"}},
    {"chan_spsc", {10'000'000, chan_spsc, "post"}},
    {"chan_mpmc", {4'000'000, chan_mpmc, "post"}},
    {"ring", {5'000'000, ring, "post"}},
    {"skynet", {1'000'000, skynet, "dispatch"}},
    {"fib", {27, fib, "dispatch", [](long n) { return n - 5; }}},  // about a tenth of the calls
    {"mutex", {10'000'000, mutex, "post"}},
    {"timers", {1'000'000, timers, "dispatch"}},
    {"parked", {1'000'000, parked, "dispatch", [](long) { return 0L; }}},  // tasks left over would hide their memory
};

// VmHWM in kB: ru_maxrss would be inherited from whoever started this program.
long peak_rss_kb() {
  long kb = 0;
  if (std::FILE* f = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, f) && std::sscanf(line, "VmHWM: %ld", &kb) != 1) {}
    std::fclose(f);
  }
  return kb;
}

}  // namespace

int main(int argc, char** argv) {
  std::string name = argc > 1 ? argv[1] : "";
  for (int i = 2; i < argc; i++) {
    std::string arg = argv[i];
    if (auto eq = arg.find('='); eq != arg.npos) params[arg.substr(0, eq)] = arg.substr(eq + 1);
    else if (arg.starts_with("--") && i + 1 < argc) params[arg.substr(2)] = argv[++i];
  }
  auto found = workloads.find(name);
  if (found == workloads.end()) {
    std::fprintf(stderr, "boost_fiber: no workload \"%s\" here\n", name.c_str());
    return 1;
  }
  const Workload& w = found->second;
  int procs = int(number("procs", 1));
  long n = number("n", w.n);
  StackPool::stack_size = number("stack", StackPool::stack_size);
  StackPool::threads = procs;
  if (param("launch", w.launch) == "dispatch") launch_policy = fibers::launch::dispatch;
  Workers workers(procs);
  if (long warm = w.warm(n)) w.run(warm);
  auto begin = Clock::now();
  Result r = w.run(n);
  if (r.wall == 0) r.wall = seconds_since(begin);
  std::printf(
      "{\"runtime\":\"boost_fiber\",\"workload\":\"%s\",\"procs\":%d,\"n\":%ld,\"wall_s\":%.6f,\"ns_per_op\":%.2f,"
      "\"peak_rss_kb\":%ld%s}\n",
      name.c_str(), procs, n, r.wall, r.wall / double(r.ops) * 1e9, peak_rss_kb(), r.more.c_str());
}
