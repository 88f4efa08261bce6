// follow_test.cpp: the number of processors follows the machine's until somebody asks for another one. The machine is a folder
// of files and a made-up number of CPUs, and a thread of the test's is the monitor, whose clock runs fast.
// weft-test: procs=1
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <sched.h>

#include "os/clock.hpp"
#include "sched/procs.hpp"
#include "support/machine.hpp"
#include "support/support.hpp"

using namespace weft::test;

namespace {

// A look of the monitor's, as often as wanted.
void look() {
  static std::int64_t now = weft::os::now_ns();
  weft::follow_procs(now += 1'000'000'000);
}

// On a thread without a P, as the monitor is.
bool followed_to(int n) {
  std::atomic<bool> done{false};
  plain_thread monitor([&] {
    while (!done) look(), std::this_thread::sleep_for(1ms);
  });
  const bool well = eventually([&] { return weft::procs() == n; });
  done = true;
  monitor.join();
  return well;
}

bool stays(int n) {
  plain_thread monitor([&] {
    for (int i = 0; i < 10; ++i) look();
  });
  monitor.join();
  // The goroutine of a change is counted until its thread, which the kernel may hold up, has seen it off.
  return eventually([] { return weft::goroutines() == 1; }) && weft::procs() == n;
}

void quota(const fake_machine& machine, const char* text) { machine.file("sys/fs/cgroup/app/cpu.max", text); }

const child_options without_procs = {.env = {"WEFT_PROCS", "WEFT_DEBUG"}};

}  // namespace

WEFT_CHILD(follows_quota) {
  const fake_machine machine;
  machine.v2("/app");
  quota(machine, "250000 100000\n");
  weft::follow_machine(machine.root(), 8);
  return weft::run([&] {
    if (weft::procs() != 3) return 1;
    quota(machine, "600000 100000\n");
    if (!followed_to(6)) return 2;
    quota(machine, "50000 100000\n");
    if (!followed_to(2)) return 3;
    quota(machine, "max 100000\n");
    return followed_to(8) ? 0 : 4;
  });
}
// SCHED-19 SCHED-20
TEST(procs, follow_the_quota_while_nobody_has_asked_for_a_number) {
  EXPECT_TRUE(ended_with(child("follows_quota", without_procs), 0));
}

WEFT_CHILD(stops_to_follow) {
  const fake_machine machine;
  machine.v2("/app");
  quota(machine, "400000 100000\n");
  weft::follow_machine(machine.root(), 8);
  return weft::run([&] {
    if (weft::procs() != 4) return 1;
    if (weft::set_procs(0) != 4) return 2;
    quota(machine, "500000 100000\n");
    if (!followed_to(5)) return 3;  // a question stops nothing
    if (weft::set_procs(5) != 5) return 4;
    quota(machine, "700000 100000\n");
    if (!stays(5)) return 5;
    weft::set_default_procs();
    if (weft::procs() != 7) return 6;
    quota(machine, "300000 100000\n");
    return followed_to(3) ? 0 : 7;
  });
}
// SCHED-20. Even with the value that is there already: who calls it wants it to stay.
TEST(set_procs, stops_the_following_and_set_default_procs_starts_it_again) {
  EXPECT_TRUE(ended_with(child("stops_to_follow", without_procs), 0));
}

WEFT_CHILD(environment_is_kept) {
  const fake_machine machine;
  machine.v2("/app");
  quota(machine, "400000 100000\n");
  weft::follow_machine(machine.root(), 8);
  return weft::run([&] {
    if (!stays(3)) return 1;
    weft::set_default_procs();
    if (weft::procs() != 4) return 2;
    quota(machine, "500000 100000\n");
    return followed_to(5) ? 0 : 3;
  });
}
// SCHED-20
TEST(procs, of_the_environment_stay_until_set_default_procs) {
  EXPECT_TRUE(ended_with(child("environment_is_kept", {.env = {"WEFT_PROCS=3", "WEFT_DEBUG"}}), 0));
}

WEFT_CHILD(option_is_kept) {
  const fake_machine machine;
  machine.v2("/app");
  quota(machine, "400000 100000\n");
  weft::follow_machine(machine.root(), 8);
  int bad = weft::run([&] { return stays(3) ? 0 : 1; }, {.procs = 3});
  weft::set_default_procs();  // on a plain thread: for the next run()
  bad += weft::run([&] { return weft::procs() == 4 ? 0 : 2; });
  weft::set_procs(6);
  bad += weft::run([&] { return stays(6) ? 0 : 4; });
  return bad;
}
TEST(procs, of_run_options_stay_and_plain_threads_decide_for_the_next_run) {
  EXPECT_TRUE(ended_with(child("option_is_kept", without_procs), 0));
}

// Work goes on while the number changes under it, and none is lost.
WEFT_CHILD(changes_under_load) {
  const fake_machine machine;
  machine.v2("/app");
  quota(machine, "200000 100000\n");
  weft::follow_machine(machine.root(), 8);
  return weft::run([&] {
    std::atomic<bool> stop{false};
    std::atomic<int> ended{0};
    weft::wait_group done;
    auto c = weft::make_chan<int>(2);
    for (int i = 0; i < 20; ++i) {
      done.go([&] {
        while (!stop) c.send(1);
        ++ended;
      });
      weft::go([c]() mutable {
        while (c.recv()) weft::this_goroutine::yield();
      });
    }
    bool well = true;
    for (const auto& [text, n] : {std::pair{"700000 100000\n", 7}, {"200000 100000\n", 2}, {"max 100000\n", 8}, {"300000 100000\n", 3}}) {
      quota(machine, text);
      well = well && followed_to(n);
    }
    stop = true;
    done.wait();
    c.close();
    return well && ended == 20 ? 0 : 1;
  });
}
TEST(procs, change_while_everything_moves) {
  EXPECT_TRUE(ended_with(child("changes_under_load", without_procs), 0));
}

WEFT_CHILD(follows_affinity) {
  cpu_set_t all, one;
  sched_getaffinity(0, sizeof all, &all);
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
  const int cpus = CPU_COUNT(&all);
  const auto everywhere = [](const cpu_set_t& set) {  // as `taskset -ap` does, and a cpuset
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) sched_setaffinity(std::stoi(task.path().filename()), sizeof set, &set);
  };
  return weft::run([&] {
    if (weft::procs() != cpus) return 1;
    everywhere(one);
    if (!followed_to(1)) return 2;
    everywhere(all);
    return followed_to(cpus) ? 0 : 3;
  });
}
// SCHED-20, its half about the mask
TEST(procs, follow_the_affinity_mask) {
  EXPECT_TRUE(ended_with(child("follows_affinity", without_procs), 0));
}
