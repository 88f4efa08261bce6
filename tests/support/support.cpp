// support/support.cpp: see support.hpp. Has main(), so gtest_main's is not linked.
#include "support/support.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <poll.h>
#include <spawn.h>
#include <sstream>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/lap.hpp"

extern char** environ;

namespace weft::test {
namespace {

bool is_set(const char* name) {
  const char* v = std::getenv(name);
  return v && *v && std::strcmp(v, "0") != 0;
}

using scenario_fn = int (*)(const std::vector<std::string>&);
std::map<std::string, scenario_fn, std::less<>>& scenarios() {
  static std::map<std::string, scenario_fn, std::less<>> all;
  return all;
}

std::string proc_line(const char* file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return line.substr(key.size());
  return {};
}

}  // namespace

int scale(int n, int least) {
  int by = under_tsan ? 20 : under_asan ? 5 : 1;
  if (is_set("WEFT_TEST_QUICK")) by *= 10;
  return std::max(n / by, std::min(n, least));
}

int scale_alive(int n) {
  if (is_set("WEFT_TEST_QUICK")) n /= 10;
  if (under_asan) n = std::min(n, 50'000);
  if (under_tsan) n = std::min(n, 5'000);
  return n;
}

steady::duration limit(steady::duration d) {
  static const int factor = [] {
    const char* v = std::getenv("WEFT_TEST_TIME_SCALE");
    return v ? std::max(1, std::atoi(v)) : under_sanitizer ? 5 : 1;
  }();
  return d * factor;
}

int procs_asked() {
  const char* v = std::getenv("WEFT_PROCS");
  return v ? std::atoi(v) : 0;
}

void run_in_weft(const std::function<void()>& body, const run_options& options) {
  static int made_once = 6;  // the poller's own descriptors come with the first use
  const int before = descriptors();
  run(
      [&] {
        body();
        EXPECT_TRUE(eventually([] { return goroutines() == 1; }, 2s)) << goroutines() - 1 << " goroutines are left behind";
        return 70;  // the status, if somebody does not come to rest: the tests that follow are not run
      },
      options);
  // A plain thread's last descriptor may still be closing.
  if (eventually([&] { return descriptors() <= before; }, made_once > 0 ? 0s : 2s)) return;
  const int more = descriptors() - before;
  EXPECT_LE(more, made_once) << "descriptors are left behind";
  made_once -= std::min(more, made_once);
}

std::uint64_t seed() {
  static const std::uint64_t value = [] {
    if (const char* v = std::getenv("WEFT_TEST_SEED")) return static_cast<std::uint64_t>(std::strtoull(v, nullptr, 0));
    return static_cast<std::uint64_t>(steady::now().time_since_epoch().count()) % 1'000'000'000u;
  }();
  return value;
}

void spin(std::chrono::nanoseconds d) {
  for (const auto end = steady::now() + d; steady::now() < end;) {
  }
}

int descriptors() {
  int n = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n - 1;  // the directory's own
}
int threads() { return std::atoi(proc_line("/proc/self/status", "Threads:").c_str()); }
std::size_t resident_bytes() {
  std::size_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}
std::chrono::microseconds cpu_time() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return std::chrono::seconds(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + std::chrono::microseconds(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

child_process::child_process(std::string_view scenario, const child_options& options) : give_up_(steady::now() + limit(options.within)) {
  std::vector<std::string> env;
  const auto named = [](const std::string& entry) { return entry.substr(0, entry.find('=')); };
  for (char** e = environ; *e; ++e) {
    const std::string name = named(*e);
    const bool replaced = std::any_of(options.env.begin(), options.env.end(), [&](const std::string& o) { return named(o) == name; });
    if (!replaced && name != "WEFT_TEST_CHILD" && name != "ASAN_OPTIONS") env.emplace_back(*e);
  }
  for (const auto& o : options.env)
    if (o.find('=') != std::string::npos) env.push_back(o);
  env.push_back("WEFT_TEST_CHILD=" + std::string(scenario));
  // A process that ends in the middle of things leaves memory: that is its task here.
  const char* asan = std::getenv("ASAN_OPTIONS");
  env.push_back(std::string("ASAN_OPTIONS=") + (asan ? asan : "") + ":detect_leaks=0");

  // Under an emulator the kernel knows the emulator only.
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const char* emulator = std::getenv("WEFT_TEST_EMULATOR");
  std::vector<std::string> words;
  if (emulator) {
    std::istringstream in(emulator);
    for (std::string word; in >> word;) words.push_back(word);
  }
  words.push_back(self);
  words.insert(words.end(), options.args.begin(), options.args.end());
  const auto pointers = [](std::vector<std::string>& v) {
    std::vector<char*> p;
    for (auto& s : v) p.push_back(s.data());
    p.push_back(nullptr);
    return p;
  };

  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) std::abort();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  auto argv = pointers(words), envp = pointers(env);
  pid_t pid = -1;
  const std::string path = words.front();
  const int failed = posix_spawnp(&pid, path.c_str(), &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
  if (failed) ADD_FAILURE() << "cannot start " << path << ": " << std::strerror(failed);
  else pid_ = pid;
}

child_process::~child_process() {
  if (pid_ > 0) wait();
}

child_result child_process::wait() {
  child_result r;
  pollfd fds[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  std::string* texts[2] = {&r.out, &r.err};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(give_up_ - steady::now()).count();
    if (left <= 0 && !r.timed_out) {
      r.timed_out = true;
      if (pid_ > 0) kill(pid_, SIGKILL);
    }
    if (poll(fds, 2, r.timed_out ? 5'000 : static_cast<int>(left)) == 0 && r.timed_out) break;  // somebody else holds the pipe
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[65536];
      const ssize_t n = read(fds[i].fd, buffer, sizeof buffer);
      if (n > 0) texts[i]->append(buffer, static_cast<std::size_t>(n));
      else if (n == 0 || errno != EINTR) fds[i].fd = -1;
    }
  }
  close(out_);
  close(err_);
  if (pid_ > 0) {
    int status = 0;
    // Both pipes are closed, but it may go on for ever all the same.
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (steady::now() >= give_up_ && !r.timed_out) r.timed_out = true, kill(pid_, SIGKILL);
      std::this_thread::sleep_for(1ms);
    }
    if (WIFEXITED(status)) r.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) r.signal = WTERMSIG(status);
  }
  pid_ = -1;
  if (r.timed_out) ADD_FAILURE() << "a child process did not end and was killed; on its stderr:\n" << r.err;
  return r;
}

child_result child(std::string_view scenario, const child_options& options) { return child_process(scenario, options).wait(); }

testing::AssertionResult contains(const std::string& text, std::string_view part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no \"" << part << "\" in:\n" << text;
}
testing::AssertionResult starts_with(const std::string& text, std::string_view part) {
  if (text.starts_with(part)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no \"" << part << "\" at the start of:\n" << text;
}
testing::AssertionResult ended_with(const child_result& r, int status) {
  if (r.status == status && !r.timed_out) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "status " << r.status << ", signal " << r.signal << ", not status " << status << "; on stderr:\n" << r.err;
}

scenario::scenario(const char* name, int (*run)(const std::vector<std::string>&)) { scenarios()[name] = run; }

namespace {

// What to type to see a failure again.
class how_to_repeat : public testing::EmptyTestEventListener {
 public:
  explicit how_to_repeat(std::string program) : program_(std::move(program)) {}
  void OnTestEnd(const testing::TestInfo& info) override {
    if (!info.result()->Failed()) return;
    std::string env = "WEFT_TEST_SEED=" + std::to_string(seed());
    for (const char* name : {"WEFT_PROCS", "WEFT_DEBUG", "WEFT_TEST_QUICK", "WEFT_TEST_TIME_SCALE"})
      if (const char* v = std::getenv(name)) env += std::string(" ") + name + "='" + v + "'";
    std::cout << "again: " << env << " " << program_ << " --gtest_filter='" << info.test_suite_name() << "." << info.name() << "'" << std::endl;
  }

 private:
  std::string program_;
};

}  // namespace
}  // namespace weft::test

int main(int argc, char** argv) {
  using namespace weft::test;
  weft::grace_ns = 500'000'000;
  if (const char* name = std::getenv("WEFT_TEST_CHILD")) {
    const auto it = scenarios().find(std::string_view(name));
    if (it == scenarios().end()) {
      std::fprintf(stderr, "no scenario %s\n", name);
      return 99;
    }
    return it->second(std::vector<std::string>(argv + 1, argv + argc));
  }
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new how_to_repeat(argv[0]));
  std::cout << "WEFT_TEST_SEED=" << seed();
  if (const char* v = std::getenv("WEFT_DEBUG")) std::cout << " WEFT_DEBUG=" << v;
  std::cout << std::endl;
  return RUN_ALL_TESTS();
}
