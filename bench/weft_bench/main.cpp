// weft-bench: every workload of docs/benchmarks.md on weft.
//
//   weft-bench WORKLOAD [--procs P] [--n N] [key=value ...]
//
// The programs in bench/peers/ take the same arguments and print the same line, so that tools/bench/compare can put them
// side by side.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <weft/weft.hpp>

#include "bench.hpp"

namespace bench {
namespace {

struct workload {
  const char* name;
  long n;                         // the default
  long least, most;               // what makes sense
  result (*run)(long n);          // null: a server
  long (*warm_up)(long n);        // how many operations go before; 0: none
  std::vector<const char*> keys;  // the key=value arguments that it knows, beside those of all
  result (*run_co)(long n) = nullptr;  // with tasks=co
};

constexpr auto a_tenth = [](long n) { return n / 10; };
constexpr auto five_less = [](long n) { return n - 5; };  // of fib: about a tenth of the calls
constexpr auto none = [](long) { return 0L; };            // goroutines left over would hide parked's memory; hog does not get quicker

constexpr long many = 1'000'000'000'000;  // operations
constexpr long a_few = 100'000'000;       // goroutines at once

// clang-format off
const std::vector<workload> workloads = {
    {"yield", 10'000'000, 2, many, yield, a_tenth, {"frames"}},
    {"spawn", 2'000'000, 1, many, spawn, a_tenth, {}, co_spawn},
    {"spawn_tree", 1 << 20, 2, many, spawn_tree, a_tenth, {}, co_spawn_tree},
    {"pingpong", 2'000'000, 1, many, pingpong, a_tenth, {"frames"}, co_pingpong},
    {"chan_spsc", 10'000'000, 1, many, chan_spsc, a_tenth, {}, co_chan_spsc},
    {"chan_mpmc", 4'000'000, 8, many, chan_mpmc, a_tenth, {}},
    {"ring", 5'000'000, 1, many, ring, a_tenth, {"frames"}, co_ring},
    {"sieve", 2'000, 1, 1'000'000, sieve, a_tenth, {}},
    {"skynet", 1'000'000, 1, many, skynet, a_tenth, {"buffer"}},
    {"fib", 27, 1, 90, fib, five_less, {}, co_fib},
    {"parallel_for", 10'000'000, 1, 10'000'000'000, parallel_for, a_tenth, {}},
    {"select", 2'000'000, 4, many, select, a_tenth, {}},
    {"mutex", 10'000'000, 64, many, mutex, a_tenth, {}},
    {"rwmutex", 10'000'000, 8, many, rwmutex, a_tenth, {}},
    {"map", 10'000'000, 80, many, map, a_tenth, {}},
    {"timers", 1'000'000, 1, a_few, timers, a_tenth, {}},
    {"after_func", 1'000'000, 1, many, after_func, a_tenth, {"window"}},
    {"parked", 1'000'000, 1, a_few, parked, none, {"linger_ms"}, co_parked},
    {"throw", 1'000'000, 1'024, many, throw_, a_tenth, {}},
    {"hog", 3'000, 1, 1'000'000, hog, none, {}},
    {"syscall", 6'400, 64, 1'000'000, syscall_blocking, a_tenth, {}},
    {"syscall_plain", 6'400, 64, 1'000'000, syscall_plain, a_tenth, {}},
    {"getpid", 5'000'000, 1, many, getpid, a_tenth, {}},
    {"lockthread", 100'000, 1, many, lockthread, a_tenth, {}},
    {"set_procs", 2'000, 2, a_few, set_procs, a_tenth, {"hogs"}},
    {"safepoints", 200'000, 1, many, safepoints, a_tenth, {}},
    {"echo", 0, 0, 0, nullptr, none, {"serve", "port"}},
    {"idle_conns", 0, 0, 0, nullptr, none, {"serve", "port"}},  // the same server
};
// clang-format on

std::map<std::string, long, std::less<>> params;

std::string names() {
  std::string all;
  for (const workload& w : workloads) all += (all.empty() ? "" : " ") + std::string(w.name);
  return all;
}

std::string usage() {
  return "usage: weft-bench WORKLOAD [--procs P] [--n N] [key=value ...]\n"
         "       weft-bench echo --serve [--procs P] [port=PORT]\n"
         "\n"
         "workloads: " +
         names() +
         "\n"
         "\n"
         "  --procs P      how many goroutines run at once (1)\n"
         "  --n N          how many operations; each workload has its own default\n"
         "  stack=BYTES    address space of a stack; weft's own default otherwise\n"
         "  tasks=co       C++20 coroutines instead of goroutines, where a workload has that form\n"
         "  frames=F       yield, pingpong, ring: calls above each switch that return after it (3)\n"
         "  buffer=B       skynet: capacity of its channels (0)\n"
         "  hogs=H         set_procs: how many more goroutines compute and never call weft (0)\n"
         "  linger_ms=MS   parked: how long after the end its memory is looked at (500)\n"
         "\n"
         "It prints one line of JSON. echo and idle_conns are servers: `echo --serve` prints its port and serves until\n"
         "standard input ends; bench/peers/loadgen drives it.\n";
}

long number(const std::string& key, std::string_view text) {
  long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) fail(key + ": " + std::string(text) + " is out of range");
  if (error != std::errc{} || end != text.data() + text.size()) fail(key + ": \"" + std::string(text) + "\" is not a whole number");
  return value;
}

void parse(const workload& w, int argc, char** argv) {
  std::vector<const char*> known = {"procs", "n", "stack"};
  known.insert(known.end(), w.keys.begin(), w.keys.end());
  if (w.run_co) known.push_back("tasks");
  for (int i = 2; i < argc; i++) {
    std::string key = argv[i];
    std::string value = "1";
    const bool dashed = key.starts_with("--");
    if (dashed) key.erase(0, 2);
    if (const auto equals = key.find('='); equals != key.npos) {
      value = key.substr(equals + 1);
      key.resize(equals);
    } else if (!dashed) {
      fail("what is \"" + key + "\"? Arguments are --procs P, --n N and key=value; see weft-bench --help");
    } else if (key != "serve") {
      if (i + 1 == argc) fail("--" + key + " needs a number after it");
      value = argv[++i];
    }
    bool is_known = false;
    std::string list;
    for (const char* k : known) is_known = is_known || key == k, (list += ' ') += k;
    if (!is_known) fail(std::string(w.name) + " has no argument \"" + key + "\"; it knows:" + list);
    if (key == "tasks" && value != "go" && value != "co") fail("tasks: \"" + value + "\" is neither go nor co");
    params.insert_or_assign(key, key == "tasks" ? value == "co" : number(key, value));
  }
}

long in_range(std::string_view key, long otherwise, long least, long most) {
  const long value = param(key, otherwise);
  if (value < least || value > most) {
    fail(std::string(key) + ": " + std::to_string(value) + " is not between " + std::to_string(least) + " and " +
         std::to_string(most));
  }
  return value;
}

void measure(const workload& w, long procs, long n) {
  const bool coroutines = param("tasks", 0);
  const auto run = coroutines ? w.run_co : w.run;
  if (const long warm = w.warm_up(n); warm >= w.least) run(warm);
  const auto begin = clock::now();
  result r = run(n);
  if (r.wall_s == 0) r.wall_s = seconds_since(begin);
  std::printf("{\"runtime\":\"%s\",\"workload\":\"%s\",\"procs\":%ld,\"n\":%ld,\"wall_s\":%.6f,\"ns_per_op\":%.2f,",
              coroutines ? "weft-co" : "weft", w.name, procs, n, r.wall_s, r.wall_s / static_cast<double>(r.ops) * 1e9);
  std::printf("\"peak_rss_kb\":%ld%s}\n", status_kb("VmHWM"), r.more.c_str());
  std::fflush(stdout);  // goroutines that stay behind may have the program end by _exit
}

int program(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") return std::fputs(usage().c_str(), stdout), 0;
  if (name.empty()) return std::fputs(usage().c_str(), stderr), 1;
  for (const workload& w : workloads) {
    if (name != w.name) continue;
    parse(w, argc, argv);
    const long procs = in_range("procs", 1, 1, 1024);
    const long n = in_range("n", w.n, w.least, w.most);
    const long stack = in_range("stack", 0, 0, 1L << 40);
    const weft::run_options options{.procs = static_cast<int>(procs), .stack_size = static_cast<std::size_t>(stack)};
    if (!w.run) {
      if (!param("serve", 0))
        fail(name + " is a server: start it with `weft-bench " + name + " --serve` and drive it with bench/peers/loadgen");
      return weft::run(serve, options);
    }
    return weft::run([&] { measure(w, procs, n); }, options);
  }
  fail("no workload \"" + name + "\" here; there are: " + names());
}

}  // namespace

long param(std::string_view key, long otherwise) {
  const auto found = params.find(key);
  return found == params.end() ? otherwise : found->second;
}

void fail(const std::string& message) {
  std::fprintf(stderr, "weft-bench: %s\n", message.c_str());
  weft::exit(1);
}

void check(const char* what, long got, long want) {
  if (got != want) fail(std::string("wrong ") + what + ": " + std::to_string(got) + ", not " + std::to_string(want));
}

std::string field(const char* name, double value) {
  char text[96];
  std::snprintf(text, sizeof text, ",\"%s\":%.3f", name, value);
  return text;
}

long status_kb(std::string_view name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':')
      return std::strtol(line.c_str() + name.size() + 1, nullptr, 10);
  }
  return 0;
}

}  // namespace bench

int main(int argc, char** argv) { return bench::program(argc, argv); }
