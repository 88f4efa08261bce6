// model/explorer.cpp: see explorer.hpp and docs/design/0010-explorer.md; one file because search, memory and the threads of a model
// share one state at each step.
// Every thread of a model is a context of this one thread. An access of an atomic is a step; before it the explorer may go on with
// another thread. A search depth first over these choices: each execution repeats the choices of the last one up to the deepest that
// has an alternative left, takes that, and goes on by default. Bounded by the number of choices that differ from the default.
//
// Memory, as C++ has it but for cycles of loads that read later stores: each location keeps all values stored, in order. A thread
// has a view: which of them, of each location, it may no longer read behind. A release store takes the view along, an acquire load
// joins it; a seq_cst fence joins the view that all such fences share.
#include "explorer.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arch/gogo.hpp"
#include "lock/thread_state.hpp"

namespace weft::model {
namespace {

constexpr int max_threads = 8, max_locations = 128, max_stores = 250, max_steps = 20'000, patience = 300;
constexpr std::size_t stack_bytes = 256 * 1024;
constexpr std::int64_t never = INT64_MAX;

struct view {
  std::uint8_t seen[max_locations];   // the newest store of each location that is before us
  std::uint16_t clock[max_threads];   // and how far each thread had come: for races on plain variables
  void join(const view& o) {
    for (int i = 0; i < max_locations; i++) seen[i] = std::max(seen[i], o.seen[i]);
    for (int i = 0; i < max_threads; i++) clock[i] = std::max(clock[i], o.clock[i]);
  }
};

struct message {
  std::uint64_t value;
  view carries;
};

struct location {
  const void* at = nullptr;
  unsigned size = 0;
  unsigned readers = 0, writers = 0;  // bit sets of threads
  std::vector<message> stores;
};

enum class state { ready, relaxing, waiting, joining, settling, done };

struct thread {
  void* sp = nullptr;
  char* stack = nullptr;
  std::function<void()> body;
  state is = state::ready;
  view cur{}, rel{}, acq{};  // what it has seen; at its last release fence; with all that its relaxed loads would bring
  std::vector<std::pair<int, std::size_t>> looked_at;  // since its last relax(): location and which store
  const void* word = nullptr;
  std::int64_t deadline = never;
  bool in_time = true;
  thread_state weft{};
  const void* late = nullptr;  // what is to be counted down, see mutation
};

struct event {
  int thread;
  const char* what;
  int location;
  std::uint64_t value;
  order o;
  int behind;
  bool has_place;
  place p;
};

// One decision with more than one possibility. What is taken by default stands first.
struct choice {
  std::uint32_t ordinal;
  std::uint8_t count, taken;
  std::uint8_t values[max_threads];
  std::uint8_t cost[max_threads];
};

struct named {
  const char* at;
  std::size_t size;
  std::string text;
};

std::vector<test>& tests() {
  static std::vector<test> all;
  return all;
}
std::vector<void (*)()>& starters() {
  static std::vector<void (*)()> all;
  return all;
}

bool active = false;
void* root_sp;
thread threads[max_threads];
int thread_count, running;
std::vector<location> locations(max_locations);
int location_count;
constexpr int gone = -1;
std::unordered_map<const void*, int> by_address;
view fences;  // what seq_cst fences, and accesses of their location, have in common
std::vector<event> trace;
bool tracing;
std::vector<named> names;
std::string failure;
int steps;
int run_length;  // steps since somebody else ran
int in_vain;  // spins since the last store
std::int64_t clock_ns, tick_ns, horizon;

enum class mode { search, random, replay } how;
std::vector<choice> path;    // search: the choices of this execution
std::size_t depth;
std::uint32_t ordinal;
int preemptions_left, stale_left;
std::uint64_t random_state;
std::map<std::uint32_t, int> script;       // replay: what differs from the default
std::vector<std::pair<std::uint32_t, int>> departures;  // random, replay: the same of this execution
mutation broken;
int turned;  // set_knob()
std::set<std::pair<std::string, unsigned>> ordered_lines;  // those with an order stronger than relaxed
std::pair<std::string, unsigned> doubted;

// Addresses that two threads accessed, one of them writing, in any execution so far: only before those need a thread be stopped, for
// the steps between commute with what others do. When there were more than the search knew of, it is done again with all of them.
std::set<const void*> contended, contended_found;

std::uint64_t raw(const void* at, unsigned size) {
  std::uint64_t v = 0;
  std::memcpy(&v, at, size);
  return v;
}

std::uint64_t next_random() {
  random_state += 0x9e3779b97f4a7c15;
  std::uint64_t z = random_state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::string describe(const void* at) {
  const auto* a = static_cast<const char*>(at);
  const named* best = nullptr;
  for (const named& n : names)
    if (a >= n.at && a < n.at + n.size && (!best || n.size < best->size)) best = &n;
  char text[160];
  if (!best) std::snprintf(text, sizeof text, "%p", at);
  else if (a == best->at) std::snprintf(text, sizeof text, "%s", best->text.c_str());
  else std::snprintf(text, sizeof text, "%s+%d", best->text.c_str(), static_cast<int>(a - best->at));
  return text;
}

void note(const char* what, int at, std::uint64_t value, order o, int behind, const place* p) {
  if (tracing) trace.push_back({running, what, at, value, o, behind, p != nullptr, p ? *p : place{}});
}

// ---- contexts --------------------------------------------------------------------------------------------------------

void go_to(void*& save, void* load) {
  commit_fn none = nullptr;
  g* from = nullptr;
  arch::gogo(&save, load, none, from);
}
[[gnu::noinline]] void switch_to(int next) {
  if (next == running) return;
  thread& from = threads[running];
  thread& to = threads[next];
  from.weft = *self();
  *self() = to.weft;
  running = next;
  go_to(from.sp, to.sp);
}
[[noreturn]] void end_execution() {
  void* forgotten;
  go_to(forgotten, root_sp);
  std::abort();
}

void pick_next(bool can_stay, bool others_first = false);

[[noreturn]] void enter() {
  threads[running].body();
  if (running == 0) end_execution();
  threads[running].is = state::done;
  note("ends", -1, 0, order::relaxed, 0, nullptr);
  pick_next(false);
  std::abort();
}

void prepare(thread& t) {
  if (!t.stack) t.stack = static_cast<char*>(::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  auto* sp = reinterpret_cast<std::uintptr_t*>(t.stack + stack_bytes);
  *--sp = 0;  // enter()'s return address
  *--sp = 0;  // rbp
  *--sp = 0;  // rbx
  *--sp = reinterpret_cast<std::uintptr_t>(&enter);
  t.sp = sp;
  t.is = state::ready;
  t.looked_at.clear();
  t.late = nullptr;
  t.word = nullptr;
  t.deadline = never;
  t.weft = {};
}

// A broken world may crash: run a goroutine on two stacks, say. That is a failure like others.
void on_crash(int) {
  if (!active) std::_Exit(3);
  fail("crashed");
}
void catch_crashes() {
  static char memory[64 * 1024];
  const stack_t alternate{memory, 0, sizeof memory};
  ::sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_handler = &on_crash;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) ::sigaction(signal, &action, nullptr);
}

// ---- choices ---------------------------------------------------------------------------------------------------------

struct alternatives {
  int count = 0;
  std::uint8_t values[max_threads], cost[max_threads];
  void add(int value, int c) {
    if (count == max_threads) return;
    values[count] = static_cast<std::uint8_t>(value);
    cost[count++] = static_cast<std::uint8_t>(c);
  }
};

int choose(const alternatives& a, int& budget) {
  const std::uint32_t here = ordinal++;
  int taken = 0;
  switch (how) {
    case mode::search: {
      int n = 0;
      while (n < a.count && a.cost[n] <= budget) n++;  // the dear ones stand last
      if (n <= 1) return a.values[0];
      if (depth == path.size()) {
        choice c{here, static_cast<std::uint8_t>(n), 0, {}, {}};
        std::copy(a.values, a.values + n, c.values);
        std::copy(a.cost, a.cost + n, c.cost);
        path.push_back(c);
      }
      const choice& c = path[depth++];
      if (c.ordinal != here || c.count != n) fail("the model does not repeat itself: it depends on something that the explorer does not decide");
      taken = c.taken;
      break;
    }
    case mode::random:
      if (a.count > 1 && (a.cost[1] == 0 || next_random() % 6 == 0)) taken = static_cast<int>(next_random() % static_cast<unsigned>(a.count));
      break;
    case mode::replay:
      if (auto found = script.find(here); found != script.end())
        taken = static_cast<int>(std::find(a.values, a.values + a.count, found->second) - a.values) % std::max(a.count, 1);
      break;
  }
  budget -= a.cost[taken];
  if (taken != 0 && how != mode::search) departures.emplace_back(here, a.values[taken]);
  return a.values[taken];
}

bool can_go_on(const thread& t) {
  if (t.is == state::ready) return true;
  if (t.is != state::relaxing) return false;
  for (auto [l, index] : t.looked_at)
    if (locations[static_cast<std::size_t>(l)].stores.size() > index + 1) return true;
  return false;
}

void let_go_on(thread& t) {
  if (t.is == state::relaxing) t.looked_at.clear();
  t.is = state::ready;
}

std::string who_waits() {
  std::string s;
  for (int i = 0; i < thread_count; i++) {
    const thread& t = threads[i];
    s += "\n  T" + std::to_string(i) + ' ';
    switch (t.is) {
      case state::ready: s += "could go on"; break;
      case state::relaxing: s += "spins until one changes of:"; break;
      case state::waiting: s += "sleeps on " + (t.word ? describe(t.word) : "the clock"); break;
      case state::joining: s += "waits for the others to end"; break;
      case state::settling: s += "waits for the others to sleep"; break;
      case state::done: s += "has ended"; break;
    }
    if (t.is == state::relaxing)
      for (auto [l, index] : t.looked_at) s += ' ' + describe(locations[static_cast<std::size_t>(l)].at);
  }
  return s;
}

int next_spinner() {
  int spinners[max_threads], n = 0;
  for (int i = 0; i < thread_count; i++)
    if (threads[i].is == state::relaxing) spinners[n++] = i;
  if (n == 0 || in_vain >= 3 * n) return -1;
  return spinners[in_vain++ % n];
}

// Who runs next. By default the running thread, if it can.
void pick_next(bool can_stay, bool others_first) {
  alternatives a;
  thread& me = threads[running];
  if (can_stay) a.add(running, 0);
  bool all_done = true;
  for (int i = 0; i < thread_count; i++) {
    if (i != 0 && threads[i].is != state::done) all_done = false;
    if (i == running ? !can_stay && !others_first && can_go_on(me) : can_go_on(threads[i])) a.add(i, can_stay ? 1 : 0);
  }
  if (threads[0].is == state::joining && all_done) a.add(0, 0);
  // A time limit may run out before somebody who could go on does, and who spins may have spun enough: that costs, as a preemption does.
  int earliest = -1;
  const bool somebody = a.count > 0;
  for (int i = 0; i < thread_count; i++) {
    const thread& t = threads[i];
    if (somebody && t.is == state::relaxing && !can_go_on(t)) a.add(i, 1);
    if (t.is != state::waiting || t.deadline > horizon) continue;
    if (somebody) a.add(i, 1);
    else if (earliest < 0 || t.deadline < threads[earliest].deadline) earliest = i;
  }
  if (!somebody) {
    // Who spins in a loop that ends by itself goes on too, a few times; after that it waits for ever.
    if (const int spinner = next_spinner(); spinner >= 0) a.add(spinner, 0);
    else if (earliest >= 0) a.add(earliest, 0);
    else if (others_first) a.add(running, 0);
    else if (threads[0].is == state::settling) a.add(0, 0);
    else fail("deadlock: nobody can go on" + who_waits());
  }
  const int next = choose(a, preemptions_left);
  if (next != running || others_first) run_length = 0;
  thread& t = threads[next];
  if (t.is == state::waiting) {
    t.in_time = false;
    clock_ns = std::max(clock_ns, t.deadline);
  }
  let_go_on(t);
  switch_to(next);
}

// Before each access. Needs no stop where nobody else looks.
void step(const void* at) {
  if (++steps > max_steps) fail("no end after " + std::to_string(max_steps) + " steps" + who_waits());
  // Who goes round and round for something that another one must do, without saying so by relax(), lets it.
  if (++run_length > patience) return pick_next(false, true);
  if (how == mode::search && (preemptions_left == 0 || (at && !contended.count(at)))) {
    ordinal++;
    return;
  }
  pick_next(true);
}

// ---- memory ----------------------------------------------------------------------------------------------------------

int find(const void* at, unsigned size, bool writes) {
  auto [it, fresh] = by_address.try_emplace(at, location_count);
  if (fresh) {
    if (location_count == max_locations) fail("more than " + std::to_string(max_locations) + " atomics");
    location& l = locations[location_count++];
    l.at = at;
    l.size = size;
    l.readers = l.writers = 0;
    l.stores.clear();
    l.stores.push_back({raw(at, size), {}});
  }
  if (it->second == gone) fail("access of " + describe(at) + " after its end");
  location& l = locations[it->second];
  if (l.stores.size() > max_stores) fail("too many stores to " + describe(at));
  if (thread_count > 1 && !(running == 0 && threads[0].is != state::ready)) {
    (writes ? l.writers : l.readers) |= 1u << running;
    const unsigned both = l.readers | l.writers;
    if (l.writers && (both & (both - 1))) contended_found.insert(at);
  }
  return it->second;
}

order effective(order o, const place& p) {
  if (o == order::relaxed) return o;
  if (broken.weaken && std::strstr(p.function_name(), broken.weaken)) return order::relaxed;
  if (!doubted.first.empty() && doubted.second == p.line() && doubted.first == p.file_name()) return order::relaxed;
  if (tracing) ordered_lines.emplace(p.file_name(), p.line());
  return o;
}
bool acquires(order o) { return o == order::acquire || o == order::acq_rel || o == order::seq_cst || o == order::consume; }
bool releases(order o) { return o == order::release || o == order::acq_rel || o == order::seq_cst; }

// Reads the store number `index`.
std::uint64_t take(int at, std::size_t index, order o) {
  thread& t = threads[running];
  const message& m = locations[at].stores[index];
  t.cur.seen[at] = std::max(t.cur.seen[at], static_cast<std::uint8_t>(index));
  t.acq.join(m.carries);
  if (acquires(o)) t.cur.join(m.carries);
  if (o == order::seq_cst) fences.seen[at] = std::max(fences.seen[at], t.cur.seen[at]);
  auto before = std::find_if(t.looked_at.begin(), t.looked_at.end(), [at](auto& one) { return one.first == at; });
  if (before == t.looked_at.end()) t.looked_at.emplace_back(at, index);
  else before->second = index;
  return m.value;
}

// Which store a load reads: the newest, or for a price an older one that the thread's view allows.
std::size_t choose_store(int at, order o, const std::uint64_t* but_not = nullptr) {
  const location& l = locations[at];
  std::size_t oldest = threads[running].cur.seen[at];
  if (o == order::seq_cst) oldest = std::max<std::size_t>(oldest, fences.seen[at]);
  const std::size_t newest = l.stores.size() - 1;
  if (oldest == newest) return newest;
  alternatives a;
  a.add(0, 0);
  for (std::size_t back = 1; back <= newest - oldest && a.count < 4; back++)
    if (!but_not || l.stores[newest - back].value != *but_not) a.add(static_cast<int>(back), 1);
  return newest - static_cast<std::size_t>(choose(a, stale_left));
}

void append(int at, std::uint64_t value, order o, const view* continues) {
  thread& t = threads[running];
  location& l = locations[at];
  t.cur.seen[at] = static_cast<std::uint8_t>(l.stores.size());
  message m{value, releases(o) ? t.cur : t.rel};
  m.carries.seen[at] = t.cur.seen[at];
  if (continues) m.carries.join(*continues);  // a read-modify-write goes on with the release sequence
  if (o == order::seq_cst) fences.seen[at] = t.cur.seen[at];
  for (auto& [seen_at, index] : t.looked_at)
    if (seen_at == at && index + 1 == l.stores.size()) index++;  // its own store is no news to it
  l.stores.push_back(m);
  in_vain = 0;
  t.cur.clock[running]++;  // what it does from here on, nobody has seen
}

void fence(int i) {
  thread& t = threads[i];
  t.cur.join(t.acq);
  t.cur.join(fences);
  fences.join(t.cur);
  t.rel = t.cur;
  t.cur.clock[i]++;
}

const char* to_string(order o) {
  switch (o) {
    case order::relaxed: return "";
    case order::consume:
    case order::acquire: return "acquire";
    case order::release: return "release";
    case order::acq_rel: return "acq_rel";
    case order::seq_cst: return "seq_cst";
  }
  return "?";
}

}  // namespace

std::uint64_t load(const void* at, unsigned size, order o, place p) noexcept {
  if (!active) return raw(at, size);
  step(at);
  o = effective(o, p);
  const int l = find(at, size, false);
  const std::size_t index = choose_store(l, o);
  const std::uint64_t v = take(l, index, o);
  note("load", l, v, o, static_cast<int>(locations[l].stores.size() - 1 - index), &p);
  return v;
}

void store(void* at, unsigned size, std::uint64_t value, order o, place p) noexcept {
  if (active) {
    step(at);
    o = effective(o, p);
    const int l = find(at, size, true);
    append(l, value, o, nullptr);
    note("store", l, value, o, 0, &p);
  }
  std::memcpy(at, &value, size);
  if (thread& t = threads[running]; active && t.late && releases(o)) {
    auto* count = static_cast<int*>(const_cast<void*>(std::exchange(t.late, nullptr)));
    begin_update(count, sizeof *count, p);
    end_update(count, sizeof *count, static_cast<unsigned>(*count - 1), order::seq_cst, place::current());
  }
}

std::uint64_t begin_update(const void* at, unsigned size, place) noexcept {
  if (active) step(at);
  return raw(at, size);
}

void end_update(void* at, unsigned size, std::uint64_t value, order o, place p) noexcept {
  if (active && broken.late && std::strstr(p.function_name(), broken.late) && size == sizeof(int) && static_cast<int>(value) == static_cast<int>(raw(at, size)) - 1) {
    threads[running].late = at;
    return;
  }
  if (active) {
    o = effective(o, p);
    const int l = find(at, size, true);
    const std::size_t newest = locations[l].stores.size() - 1;
    take(l, newest, o);
    const view continues = locations[l].stores[newest].carries;
    append(l, value, o, &continues);
    note("update", l, value, o, 0, &p);
  }
  std::memcpy(at, &value, size);
}

bool try_update(void* at, unsigned size, std::uint64_t& expected, std::uint64_t wanted, order success, order failure, place p) noexcept {
  if (active) step(at);
  const std::uint64_t latest = raw(at, size);
  if (!active || latest == expected) {
    const bool done = latest == expected;
    if (done) end_update(at, size, wanted, success, p);
    expected = latest;
    return done;
  }
  failure = effective(failure, p);
  const int l = find(at, size, false);
  const std::size_t index = choose_store(l, failure, &expected);
  expected = take(l, index, failure);
  note("failed cas", l, expected, failure, static_cast<int>(locations[l].stores.size() - 1 - index), &p);
  return false;
}

void begins(const void* at) noexcept {
  if (active) by_address.erase(at);
}
void ends(const void* at) noexcept {
  if (active) by_address[at] = gone;
}

void full_fence(place p) noexcept {
  if (!active) return;
  if (broken.no_fence || (broken.weaken && std::strstr(p.function_name(), broken.weaken))) return;
  note("fence", -1, 0, order::seq_cst, 0, &p);
  fence(running);
}

void fence_on_all_threads() noexcept {
  if (!active || broken.no_barrier) return;
  step(nullptr);
  note("barrier on all", -1, 0, order::seq_cst, 0, nullptr);
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < thread_count; i++) fence(i);
}

void relax() noexcept {
  if (!active) return;
  thread& t = threads[running];
  if (++steps > max_steps) fail("no end after " + std::to_string(max_steps) + " steps" + who_waits());
  if (t.looked_at.empty()) return;
  note("relaxes", -1, 0, order::relaxed, 0, nullptr);
  t.is = state::relaxing;
  pick_next(false);
}

// ---- for models ------------------------------------------------------------------------------------------------------

registration::registration(const test& t) { tests().push_back(t); }
void at_start(void (*f)()) { starters().push_back(f); }

int on_thread(std::function<void()> f) {
  if (thread_count == max_threads) fail("more than " + std::to_string(max_threads) + " threads");
  thread& t = threads[thread_count];
  t.body = std::move(f);
  prepare(t);
  t.cur = t.rel = t.acq = threads[running].cur;
  threads[running].cur.clock[running]++;
  t.cur.clock[thread_count]++;
  return thread_count++;
}

void join() {
  threads[0].is = state::joining;
  horizon = never - 1;
  pick_next(false);
  for (int i = 1; i < thread_count; i++) threads[0].cur.join(threads[i].cur);
}

void settle(std::int64_t ns) {
  threads[0].is = state::settling;
  horizon = clock_ns + ns;
  pick_next(false);
  for (int i = 1; i < thread_count; i++) threads[0].cur.join(threads[i].cur);
}

void fail(const std::string& why) {
  if (failure.empty()) failure = why;
  end_execution();
}

void name(const void* at, std::size_t size, std::string text) {
  if (tracing) names.push_back({static_cast<const char*>(at), size, std::move(text)});
}
int current() noexcept { return active ? running : -1; }
int knob() noexcept { return turned ? turned : broken.knob; }
void set_knob(int k) noexcept { turned = k; }

bool wait(const void* word, std::uint32_t expected, std::int64_t deadline) {
  if (!active) std::abort();
  step(word);
  thread& t = threads[running];
  if (static_cast<std::uint32_t>(raw(word, 4)) != expected) return true;
  note("sleeps", find(word, 4, false), expected, order::relaxed, 0, nullptr);
  t.is = state::waiting;
  t.word = word;
  t.deadline = deadline;
  t.in_time = true;
  pick_next(false);
  t.word = nullptr;
  return t.in_time;
}

void wake(const void* word, int count) {
  if (!active) return;
  step(word);
  for (int i = 0; i < thread_count && count > 0; i++) {
    thread& t = threads[i];
    if (t.is != state::waiting || t.word != word) continue;
    note("wakes", -1, static_cast<std::uint64_t>(i), order::relaxed, 0, nullptr);
    let_go_on(t);
    count--;
  }
}

void sleep_until(std::int64_t deadline) {
  thread& t = threads[running];
  note("naps", -1, 0, order::relaxed, 0, nullptr);
  t.is = state::waiting;
  t.word = nullptr;
  t.deadline = deadline;
  pick_next(false);
}

void system_call() {
  if (active) step(nullptr);
}
std::int64_t now() noexcept { return clock_ns += tick_ns; }
void set_tick(std::int64_t ns) noexcept { tick_ns = ns; }

void plain_state::read(const char* what) const {
  const view& v = threads[running].cur;
  if (wrote_at_ > v.clock[writer_]) fail(std::string("data race: T") + std::to_string(running) + " reads " + what + ", which T" + std::to_string(writer_) + " writes");
  reads_[running] = v.clock[running];
}
void plain_state::write(const char* what) {
  read(what);
  view& v = threads[running].cur;
  for (int i = 0; i < max_threads; i++)
    if (reads_[i] > v.clock[i]) fail(std::string("data race: T") + std::to_string(running) + " writes " + what + ", which T" + std::to_string(i) + " reads");
  writer_ = static_cast<std::uint8_t>(running);
  wrote_at_ = v.clock[running];
}

// ---- the search ------------------------------------------------------------------------------------------------------

namespace {

struct outcome {
  bool failed = false;
  bool complete = false;
  std::uint64_t executions = 0;
};

void execute(const test& t) {
  thread_count = 1;
  running = 0;
  location_count = 0;
  by_address.clear();
  fences = {};
  trace.clear();
  names.clear();
  failure.clear();
  departures.clear();
  steps = in_vain = run_length = 0;
  clock_ns = 1'000'000'000;
  tick_ns = 0;
  horizon = 0;
  turned = 0;
  depth = 0;
  ordinal = 0;
  const thread_state outside = *self();
  thread& main = threads[0];
  main.body = t.body;
  for (auto f : starters()) f();
  prepare(main);
  main.cur = main.rel = main.acq = {};
  main.cur.clock[0] = 1;
  *self() = {};
  active = true;
  go_to(root_sp, main.sp);
  active = false;
  *self() = outside;
}

void print_schedule(const test& t, const char* program) {
  std::string s;
  if (how == mode::search) {
    for (const choice& c : path)
      if (c.taken != 0) s += (s.empty() ? "" : ",") + std::to_string(c.ordinal) + ':' + std::to_string(c.values[c.taken]);
  } else {
    for (auto [at, value] : departures) s += (s.empty() ? "" : ",") + std::to_string(at) + ':' + std::to_string(value);
  }
  std::printf("again: %s --filter %s.%s --replay %s\n", program, t.suite, t.name, s.empty() ? "0:0" : s.c_str());
}

void print_trace() {
  for (const event& e : trace) {
    std::printf("  T%d %*s%-14s", e.thread, 2 * e.thread, "", e.what);
    if (e.location >= 0) std::printf(" %-22s %llx", describe(locations[static_cast<std::size_t>(e.location)].at).c_str(), static_cast<unsigned long long>(e.value));
    else if (std::strcmp(e.what, "wakes") == 0) std::printf(" T%llu", static_cast<unsigned long long>(e.value));
    if (e.o != order::relaxed) std::printf(" %s", to_string(e.o));
    if (e.behind > 0) std::printf(" STALE by %d", e.behind);
    if (e.has_place) {
      const char* file = std::strrchr(e.p.file_name(), '/');
      std::printf("   %s:%u", file ? file + 1 : e.p.file_name(), e.p.line());
    }
    std::printf("\n");
  }
}

// The next path of the search: the deepest choice that has an alternative left takes it.
bool advance() {
  path.resize(depth);
  while (!path.empty() && path.back().taken + 1 >= path.back().count) path.pop_back();
  if (path.empty()) return false;
  path.back().taken++;
  return true;
}

outcome search(const test& t, const bounds& limits) {
  outcome r;
  how = mode::search;
  for (int level = 0; level <= std::max(limits.preemptions, limits.stale); level++) {
    do {
      contended = contended_found;
      path.clear();
      do {
        preemptions_left = std::min(level, limits.preemptions);
        stale_left = std::min(level, limits.stale);
        execute(t);
        r.executions++;
        if (!failure.empty()) return r.failed = true, r;
        if (r.executions >= limits.executions) return r;
      } while (advance());
    } while (contended.size() != contended_found.size());
  }
  r.complete = true;
  return r;
}

outcome wander(const test& t, std::uint64_t seed, std::uint64_t executions) {
  outcome r;
  how = mode::random;
  for (; r.executions < executions; r.executions++) {
    random_state = seed + r.executions * 0x632be59bd9b4e019;
    preemptions_left = stale_left = 1 << 20;
    execute(t);
    if (!failure.empty()) return r.failed = true, r;
  }
  return r;
}

// Once more, with the trace.
void explain(const test& t, const char* program) {
  const std::string why = failure;
  script.clear();
  if (how == mode::search) {
    for (const choice& c : path)
      if (c.taken != 0) script[c.ordinal] = c.values[c.taken];
  } else {
    for (auto [at, value] : departures) script[at] = value;
  }
  print_schedule(t, program);
  how = mode::replay;
  tracing = true;
  execute(t);
  tracing = false;
  std::printf("%s\n", failure.c_str());
  if (failure != why) std::printf("(the search said: %s)\n", why.c_str());
  print_trace();
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct arguments {
  std::string filter;
  int preemptions = -1, stale = -1;
  std::uint64_t executions = 0, random = 0, seed = 1;
  bool doubt = false, list = false, show = false, replay = false;
};

// Each order that the models use, made relaxed: which of them does no model miss?
int doubt(const std::vector<test>& chosen) {
  for (const test& t : chosen) {
    if (t.mutant) continue;
    broken = {};
    tracing = true;
    bounds few = t.limits;
    few.executions = 2000;
    static_cast<void>(search(t, few));
    tracing = false;
  }
  const auto lines = ordered_lines;
  for (const auto& line : lines) {
    doubted = line;
    const char* finder = nullptr;
    for (const test& t : chosen) {
      if (t.mutant || finder) continue;
      contended_found.clear();
      if (search(t, t.limits).failed) finder = t.name;
    }
    std::printf("%s:%u: %s\n", line.first.c_str(), line.second, finder ? finder : "no model needs this order");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int run_models(int argc, char** argv) {
  arguments a;
  if (const char* seed = std::getenv("WEFT_TEST_SEED")) {  // ./dev soak: another walk each round
    a.seed = std::strtoull(seed, nullptr, 10);
    a.random = 20'000;
  }
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    const auto value = [&] { return i + 1 < argc ? argv[++i] : ""; };
    if (word == "--filter") a.filter = value();
    else if (word == "--preemptions") a.preemptions = std::atoi(value());
    else if (word == "--stale") a.stale = std::atoi(value());
    else if (word == "--executions") a.executions = std::strtoull(value(), nullptr, 10);
    else if (word == "--random") a.random = std::strtoull(value(), nullptr, 10);
    else if (word == "--seed") a.seed = std::strtoull(value(), nullptr, 10);
    else if (word == "--doubt") a.doubt = true;
    else if (word == "--list") a.list = true;
    else if (word == "--show") a.show = true;
    else if (word == "--replay") {
      a.replay = true;
      for (const char* s = value(); *s;) {
        char* end;
        const auto at = static_cast<std::uint32_t>(std::strtoul(s, &end, 10));
        script[at] = static_cast<int>(std::strtol(end + (*end == ':'), &end, 10));
        s = end + (*end == ',');
      }
    } else {
      std::printf("usage: models [--filter SUITE.NAME] [--preemptions N] [--stale N] [--executions N] [--random N --seed S]\n"
                  "              [--replay SCHEDULE] [--doubt] [--list] [--show: how mutants fail]\n");
      return 2;
    }
  }
  std::vector<test> chosen;
  for (const test& t : tests())
    if ((std::string(t.suite) + '.' + t.name).find(a.filter) != std::string::npos) chosen.push_back(t);
  if (chosen.empty()) return std::printf("no model is called %s\n", a.filter.c_str()), 2;
  if (a.doubt) return doubt(chosen);

  catch_crashes();
  int bad = 0;
  for (const test& t : chosen) {
    if (a.list) {
      std::printf("%s.%s%s\n", t.suite, t.name, t.mutant ? " (mutant)" : "");
      continue;
    }
    broken = t.broken;
    contended_found.clear();
    bounds limits = t.limits;
    if (!t.mutant) {
      if (a.preemptions >= 0) limits.preemptions = a.preemptions;
      if (a.stale >= 0) limits.stale = a.stale;
      if (a.executions) limits.executions = a.executions;
    }
    if (a.replay) {
      how = mode::replay;
      tracing = true;
      execute(t);
      tracing = false;
      std::printf("%s\n", failure.empty() ? "holds" : failure.c_str());
      print_trace();
      return failure.empty() == t.mutant;
    }
    const double from = seconds();
    outcome r = search(t, limits);
    const std::uint64_t walks = std::max(a.random, limits.walks);
    if (!r.failed && walks) {
      const outcome walked = wander(t, a.seed, walks);
      r.failed = walked.failed;
      r.executions += walked.executions;
    }
    const bool ok = r.failed == t.mutant;
    std::printf("%s %s.%s: %llu executions, %s, %.2f s\n", ok ? "ok    " : "FAILED", t.suite, t.name, static_cast<unsigned long long>(r.executions),
                r.failed  ? (t.mutant ? "the mutant fails" : failure.c_str())
                : r.complete ? ("all with " + std::to_string(limits.preemptions) + " preemptions and " + std::to_string(limits.stale) + " stale loads").c_str()
                             : "not all",
                seconds() - from);
    if (!ok && t.mutant) std::printf("       nothing failed, and it should\n");
    if (r.failed && (!ok || a.show)) explain(t, argv[0]);
    std::fflush(stdout);
    bad += !ok;
  }
  return bad != 0;
}

}  // namespace weft::model

int main(int argc, char** argv) { return weft::model::run_models(argc, argv); }
