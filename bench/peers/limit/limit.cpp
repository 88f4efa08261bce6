// The limits that the machine sets: what a runtime is made of, each measured bare, with no scheduler around it.
//
//   limit WORKLOAD [--n N] [key=value ...]
//
//   swap        a stack swap: 6 callee-saved registers and the stack pointer, `ret` to the other side
//   swap_jmp    the same, but leaving by an indirect jump, which the branch predictor can tell apart
//   swap_min    only the stack and frame pointers; the compiler saves what is live (a clobber list)
//   xchg        an uncontended atomic exchange
//   cacheline   a cache line's round trip between the two cores
//   futex       a wake/wait round trip between two threads (cores=2, or cores=1: both on one core)
//   getpid      a system call that does next to nothing
//   pipe        write one byte to a pipe and read it back, on one thread
//   pipe_pong   a byte to and fro between two threads over two pipes (cores=2 or 1)
//   page        the first touch of each 4 KiB of fresh memory, and its return (huge=1: with MADV_HUGEPAGE)
//   echo --serve  a TCP echo server: one thread, epoll
#include <arpa/inet.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <thread>

namespace {

std::map<std::string, long> params;

long param(const char* name, long otherwise) {
  auto found = params.find(name);
  return found == params.end() ? otherwise : found->second;
}

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "limit: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void check(long got, long want) {
  if (got == want) return;
  std::fprintf(stderr, "limit: wrong result: %ld, not %ld\n", got, want);
  std::exit(1);
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int other_cpu() { return param("cores", 2) == 1 ? 0 : 1; }

// ---- stack swaps ----

extern "C" void swap_ret(void** save_sp, void* load_sp);
extern "C" void swap_jmp(void** save_sp, void* load_sp);
asm(R"(
.text
.macro SAVE
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
.endm
.balign 64
swap_ret:
  SAVE
  ret
.balign 64
swap_jmp:
  SAVE
  pop %rcx
  jmp *%rcx
)");

// Leaves by a jump and names every register as lost, so that the compiler saves those that it needs and no others.
[[gnu::always_inline]] inline void swap_min(void** save_sp, void* load_sp) {
  asm volatile(
      "push %%rbp\n"
      "lea 1f(%%rip), %%rax\n"
      "push %%rax\n"
      "mov %%rsp, (%%rdi)\n"
      "mov %%rsi, %%rsp\n"
      "pop %%rax\n"
      "jmp *%%rax\n"
      "1: pop %%rbp\n"
      : "+D"(save_sp), "+S"(load_sp)
      :
      : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

void* main_sp;
void* other_sp;
long other_count;

enum class Swap { ret, jmp, min };

template <Swap S>
[[gnu::always_inline]] inline void swap(void** save_sp, void* load_sp) {
  if constexpr (S == Swap::ret) swap_ret(save_sp, load_sp);
  if constexpr (S == Swap::jmp) swap_jmp(save_sp, load_sp);
  if constexpr (S == Swap::min) swap_min(save_sp, load_sp);
}

template <Swap S>
void other_side() {
  for (;;) {
    other_count++;
    swap<S>(&other_sp, main_sp);
  }
}

template <Swap S>
void swap_stacks(long n) {
  alignas(64) static char stack[64 * 1024];
  void** top = reinterpret_cast<void**>(stack + sizeof stack);
  *--top = nullptr;  // keeps the stack aligned as a call would leave it
  *--top = reinterpret_cast<void*>(&other_side<S>);
  if (S != Swap::min) top -= 6;
  other_sp = top;
  other_count = 0;
  for (long i = 0; i < n; i += 2) swap<S>(&main_sp, other_sp);
  check(other_count, (n + 1) / 2);
}

// ---- atomics and threads ----

void exchange(long n) {
  alignas(64) static std::atomic<long> cell{0};
  cell = 0;
  for (long i = 1; i <= n; i++) cell.exchange(i, std::memory_order_acq_rel);
  check(cell, n);
}

// Two threads hand a turn to and fro n times: `wait(turn, v)` returns once the turn is v, `pass(turn, v)` makes it so.
template <class Wait, class Pass>
void two_threads(long n, Wait wait, Pass pass) {
  std::thread partner([&] {
    pin(other_cpu());
    for (long i = 0; i < n; i++) {
      wait(1);
      pass(0);
    }
  });
  for (long i = 0; i < n; i++) {
    pass(1);
    wait(0);
  }
  partner.join();
}

void cacheline(long n) {
  alignas(64) static std::atomic<int> turn{0};
  two_threads(
      n,
      [](int v) {
        while (turn.load(std::memory_order_acquire) != v) {}
      },
      [](int v) { turn.store(v, std::memory_order_release); });
}

void futex(long n) {
  alignas(64) static std::atomic<int> turn{0};
  two_threads(
      n,
      [](int v) {
        while (turn.load(std::memory_order_acquire) != v) syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 1 - v, nullptr, nullptr, 0);
      },
      [](int v) {
        turn.store(v, std::memory_order_release);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
      });
}

void pipe_pong(long n) {
  int fds[2][2];  // one pipe for each turn
  if (pipe(fds[0]) < 0 || pipe(fds[1]) < 0) fail("pipe");
  two_threads(
      n,
      [&](int v) {
        char byte;
        if (read(fds[v][0], &byte, 1) != 1) fail("read");
      },
      [&](int v) {
        if (write(fds[v][1], "x", 1) != 1) fail("write");
      });
  for (auto& p : fds) close(p[0]), close(p[1]);
}

// ---- system calls ----

void getpid_calls(long n) {
  long pid = getpid(), same = 0;
  for (long i = 0; i < n; i++) same += syscall(SYS_getpid) == pid;
  check(same, n);
}

void pipe_alone(long n) {
  int fds[2];
  if (pipe(fds) < 0) fail("pipe");
  for (long i = 0; i < n; i++) {
    char byte;
    if (write(fds[1], "x", 1) != 1 || read(fds[0], &byte, 1) != 1) fail("pipe");
  }
  close(fds[0]), close(fds[1]);
}

void touch_pages(long n) {
  constexpr long kPage = 4096;
  void* map = mmap(nullptr, n * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) fail("mmap");
  if (param("huge", 0)) madvise(map, n * kPage, MADV_HUGEPAGE);
  auto* bytes = static_cast<volatile char*>(map);
  for (long i = 0; i < n; i++) bytes[i * kPage] = 1;
  munmap(map, n * kPage);
}

// ---- echo ----

void serve() {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(param("port", 0));
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) < 0 || listen(listener, 4096) < 0) fail("listen");
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);

  int poll = epoll_create1(0);
  auto watch = [&](int fd) {
    epoll_event e{.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e);
  };
  watch(listener);
  watch(STDIN_FILENO);  // closed: stop
  epoll_event events[256];
  static char buf[1024];
  for (;;) {
    int ready = epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == STDIN_FILENO) {
        if (read(fd, buf, sizeof buf) <= 0) return;
      } else if (fd == listener) {
        int conn = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (conn < 0) continue;
        setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(conn);
      } else {
        ssize_t got = recv(fd, buf, sizeof buf, 0);
        if (got <= 0 || send(fd, buf, got, MSG_NOSIGNAL) != got) close(fd);
      }
    }
  }
}

struct Workload {
  const char* name;
  long n;
  void (*run)(long n);
};

constexpr Workload kWorkloads[] = {
    {"swap", 100'000'000, swap_stacks<Swap::ret>},
    {"swap_jmp", 100'000'000, swap_stacks<Swap::jmp>},
    {"swap_min", 100'000'000, swap_stacks<Swap::min>},
    {"xchg", 100'000'000, exchange},
    {"cacheline", 5'000'000, cacheline},
    {"futex", 200'000, futex},
    {"getpid", 10'000'000, getpid_calls},
    {"pipe", 2'000'000, pipe_alone},
    {"pipe_pong", 200'000, pipe_pong},
    {"page", 250'000, touch_pages},
};

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

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
  bool serving = false;
  for (int i = 2; i < argc; i++) {
    std::string arg = argv[i];
    if (arg == "--serve") serving = true;
    else if (arg.starts_with("--") && i + 1 < argc) params[arg.substr(2)] = std::atol(argv[++i]);
    else if (auto eq = arg.find('='); eq != arg.npos) params[arg.substr(0, eq)] = std::atol(arg.c_str() + eq + 1);
  }
  if (name == "echo" && serving) return serve(), 0;
  for (const Workload& w : kWorkloads) {
    if (name != w.name) continue;
    bool threads = name == "cacheline" || name == "futex" || name == "pipe_pong";
    if (threads) pin(0);
    long n = param("n", w.n);
    w.run(n / 10);
    double start = now();
    w.run(n);
    double wall = now() - start;
    std::printf(
        "{\"runtime\":\"limit\",\"workload\":\"%s\",\"procs\":%d,\"n\":%ld,\"wall_s\":%.6f,\"ns_per_op\":%.3f,\"peak_rss_kb\":%ld}"
        "\n",
        w.name, threads && other_cpu() ? 2 : 1, n, wall, wall / n * 1e9, peak_rss_kb());
    return 0;
  }
  std::fprintf(stderr, "limit: no workload \"%s\" here\n", name.c_str());
  return 1;
}
