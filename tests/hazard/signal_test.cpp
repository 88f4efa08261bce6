// signal_test.cpp: hazard 16. A runtime that sends signals to its threads makes system calls of its users fail with EINTR, in libraries
// that never heard of it. Here goroutines and plain threads make such calls while everything moves and the world is stopped.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "support/support.hpp"

using namespace weft::test;

namespace {

// A round of calls that block for a moment, as somebody else's code makes them. How many were interrupted.
int interrupted_calls(int pipe_fd) {
  int n = 0;
  const auto look = [&n](long result) { n += result < 0 && weft::on_this_thread([] { return errno; }) == EINTR; };
  const timespec moment{0, 300'000};
  look(::nanosleep(&moment, nullptr));
  timeval tv{0, 300};
  look(::select(0, nullptr, nullptr, nullptr, &tv));
  pollfd p{pipe_fd, POLLIN, 0};
  look(::poll(&p, 1, 1));
  char c;
  look(::read(pipe_fd, &c, 1));  // somebody writes at last
  return n;
}

}  // namespace

// PREEMPT-07: no signal preempts. Neither hogs that lose their processor nor the number of processors send any.
WEFT_TEST(signals, of_wefts_own_interrupt_nobodys_system_calls) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::atomic<bool> stop{false};
  std::atomic<int> interrupted{0}, rounds{0};
  const auto call_on = [&] {
    while (!stop) {
      interrupted += interrupted_calls(ends[0]);
      ++rounds;
      weft::this_goroutine::yield();
    }
  };
  plain_thread writer([&] {
    while (!stop) {
      static_cast<void>(!::write(ends[1], "xx", 2));
      std::this_thread::sleep_for(200us);
    }
    static_cast<void>(!::write(ends[1], "xxxx", 4));  // for who waits still
  });
  plain_thread other(call_on);
  weft::wait_group done;
  done.go(call_on);
  const auto c = weft::make_chan<int>(1);
  for (int i = 0; i < 4; ++i) {
    done.go([&] {
      for (auto to = c; !stop;) {
        static_cast<void>(to.try_send(1));
        static_cast<void>(to.try_recv());
        weft::this_goroutine::sleep_for(10us);
      }
    });
  }
  done.go([&] {
    while (!stop) spin(1ms), weft::this_goroutine::yield();
  });
  const int procs = weft::procs();
  for (int i = 0; i < 5 || rounds < 20; ++i) {
    weft::set_procs(1 + i % 4);
    weft::this_goroutine::sleep_for(2ms);
  }
  stop = true;
  done.wait();
  other.join();
  writer.join();
  weft::set_procs(procs);
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(interrupted, 0);
}

// PREEMPT-07: the one signal there is, stop_the_world()'s SIGURG, as its page says: reads go on, only sleeps and their like may end
// early, in goroutines; errno is what it was; and threads that are not weft's never see it.
WEFT_TEST(signals, of_a_stop_of_the_world_restart_reads_and_leave_errno_alone) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::atomic<bool> stop{false};
  std::atomic<int> bad_reads{0}, bad_sleeps{0}, bad_errno{0}, of_threads{0}, reads{0}, thread_rounds{0};
  plain_thread writer([&] {
    while (!stop) {
      static_cast<void>(!::write(ends[1], "x", 1));
      std::this_thread::sleep_for(1ms);
    }
    static_cast<void>(!::write(ends[1], "xxxx", 4));
  });
  plain_thread other([&] {
    for (; !stop; ++thread_rounds) of_threads += interrupted_calls(ends[0]);
  });
  weft::wait_group done;
  done.go([&] {  // waits in the kernel nearly all the time
    weft::blocking([&] {
      char c;
      while (!stop) bad_reads += ::read(ends[0], &c, 1) != 1, ++reads;
    });
  });
  done.go([&] {
    weft::blocking([&] {
      while (!stop) {
        const timespec moment{0, 500'000};
        errno = 0;
        if (::nanosleep(&moment, nullptr) == 0) continue;
        bad_sleeps += errno != EINTR;
      }
    });
  });
  done.go([&] {  // is stopped in the middle of a computation
    for (int code = 1; !stop; code = code % 100 + 1) {
      weft::on_this_thread([code] { errno = code; });
      spin(200us);
      bad_errno += weft::on_this_thread([] { return errno; }) != code;
    }
  });
  const auto more = [&, last = 0]() mutable {
    weft::stop_the_world([]() noexcept {});
    weft::this_goroutine::sleep_for(300us);
    return ++last >= 50 && reads >= 5 && thread_rounds >= 5;
  };
  EXPECT_TRUE(eventually(more));
  stop = true;
  done.wait();
  other.join();
  writer.join();
  ::close(ends[0]);
  ::close(ends[1]);
  EXPECT_EQ(bad_reads, 0);
  EXPECT_EQ(bad_sleeps, 0);
  EXPECT_EQ(bad_errno, 0);
  EXPECT_EQ(of_threads, 0);
  struct sigaction now {};
  ASSERT_EQ(::sigaction(SIGURG, nullptr, &now), 0);
  EXPECT_TRUE(now.sa_flags & SA_RESTART);
  EXPECT_TRUE(now.sa_flags & SA_ONSTACK);
}
