// attach_test.cpp: threads that weft did not make, and that it knows all the same. Row 52 of Go's runtime.main: needm and dropm.
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>

#include "os/clock.hpp"
#include "sched/attach.hpp"
#include "sched/traceback.hpp"
#include "support/support.hpp"

using namespace weft::test;

namespace {

std::string dumped() {
  std::ostringstream os;
  weft::debug::dump(os);
  return os.str();
}
bool shows(const std::string& part) { return dumped().find(part) != std::string::npos; }
std::string number(std::uint64_t id) { return "goroutine " + std::to_string(id) + " "; }
bool nobody_is_attached() { return weft::attached_threads() == 0; }

}  // namespace

WEFT_TEST(attach, gives_a_thread_an_id_of_its_own_until_it_is_destroyed) {
  std::mutex lock;
  std::set<std::uint64_t> ids{weft::this_goroutine::id()};
  const int threads = 4, rounds = 50;
  {
    std::vector<plain_thread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        EXPECT_EQ(weft::this_goroutine::id(), 0u);
        for (int k = 0; k < rounds; ++k) {
          const weft::attached_thread here;
          const auto id = weft::this_goroutine::id();
          EXPECT_NE(id, 0u);
          const std::lock_guard hold(lock);
          EXPECT_TRUE(ids.insert(id).second) << id << " is there twice";
        }
        EXPECT_EQ(weft::this_goroutine::id(), 0u);
      });
    }
  }
  std::uint64_t other = 0;
  weft::wait_group done;
  done.go([&] { other = weft::this_goroutine::id(); });
  done.wait();
  EXPECT_TRUE(ids.insert(other).second);
  EXPECT_TRUE(nobody_is_attached());
  EXPECT_TRUE(eventually([] { return weft::goroutines() == 1; })) << "a thread is no goroutine";
}

WEFT_TEST(attach, nests_and_the_outermost_counts) {
  plain_thread([] {
    const weft::attached_thread here({.name = "outer"});
    const auto id = weft::this_goroutine::id();
    {
      const auto inner = weft::attach({.name = "inner"});
      EXPECT_EQ(weft::this_goroutine::id(), id);
      EXPECT_EQ(weft::attached_threads(), 1);
      EXPECT_TRUE(shows(number(id) + "[running, foreign thread]: outer\n"));
    }
    EXPECT_EQ(weft::this_goroutine::id(), id);
    EXPECT_EQ(weft::attached_threads(), 1);
  });
  EXPECT_TRUE(nobody_is_attached());
}

WEFT_TEST(attach, does_nothing_in_a_goroutine) {
  const auto id = weft::this_goroutine::id();
  {
    const weft::attached_thread here({.name = "nobody"});
    for (int i = 0; i < 20; ++i) weft::this_goroutine::sleep_for(10us);  // perhaps on another thread now
    EXPECT_EQ(weft::this_goroutine::id(), id);
    EXPECT_TRUE(nobody_is_attached());
    weft::call_c([] {
      const weft::attached_thread there;
      EXPECT_TRUE(nobody_is_attached());
    });
  }
  EXPECT_EQ(weft::this_goroutine::id(), id);
}

// "Who holds this up?" has the answer "a thread of the audio library" now and then.
WEFT_TEST(attach, lists_the_thread_in_dumps_with_what_it_waits_for) {
  const auto c = weft::make_chan<int>();
  weft::mutex m;
  std::atomic<std::uint64_t> id{0};
  std::atomic<bool> seen{false};
  std::unique_lock hold(m);
  plain_thread t([&] {
    const weft::attached_thread here({.name = "audio"});
    id = weft::this_goroutine::id();
    static_cast<void>(c.recv());
    m.lock();
    m.unlock();
    weft::select(weft::on_recv(c), weft::on_recv(weft::chan<int>()));
    static_cast<void>(c.recv_for(1h));
    weft::this_goroutine::sleep_for(20ms);
    while (!seen) std::this_thread::yield();
  });
  const auto listed = [&](const std::string& state) {
    return eventually([&] { return shows("\n" + number(id) + "[" + state + ", foreign thread]: audio\n\tthread that weft did not make; stack unavailable\n"); });
  };
  EXPECT_TRUE(listed("chan receive"));
  c.send(1);
  EXPECT_TRUE(listed("sync.Mutex.Lock"));
  hold.unlock();
  EXPECT_TRUE(listed("select"));
  c.send(2);
  EXPECT_TRUE(listed("chan receive"));
  c.send(3);
  EXPECT_TRUE(listed("running"));
  seen = true;
  t.join();
  EXPECT_FALSE(shows("foreign thread"));
}

WEFT_TEST(attach, shows_sleeps_and_waits_for_the_network) {
  auto l = weft::net::listen("tcp", "127.0.0.1:0");
  std::atomic<bool> seen{false};
  plain_thread t([&] {
    const weft::attached_thread here({.name = "server"});
    static_cast<void>(l.accept());
    while (!seen) weft::this_goroutine::sleep_for(100ms);
  });
  EXPECT_TRUE(eventually([] { return shows("[IO wait, foreign thread]: server\n"); }));
  auto s = weft::net::dial("tcp", l.address());
  EXPECT_TRUE(eventually([] { return shows("[sleep, foreign thread]: server\n"); }));
  seen = true;
}

// DEADLOCK-12
WEFT_TEST(attach, shows_minutes_of_waiting_once_somebody_has_looked) {
  constexpr std::int64_t minute = 60'000'000'000;
  const auto c = weft::make_chan<int>();
  plain_thread t([c] {
    const weft::attached_thread here;
    for ([[maybe_unused]] const int i : c) {
    }
  });
  EXPECT_TRUE(eventually([&] {
    c.send(1);
    if (!eventually([] { return shows("[chan receive, foreign thread]:\n"); })) return false;  // this look counts
    c.send(1);  // another wait begins
    const auto now = weft::os::now_ns();
    for (int i = 0; i < 64; ++i) weft::note_waiting(now - 3 * minute - minute / 2);
    return shows(" [chan receive, 3 minutes, foreign thread]:\n");
  }));
  c.close();
}

WEFT_TEST(attach, lists_the_calling_thread_first_and_with_its_stack) {
  plain_thread([] {
    const weft::attached_thread here({.name = "asker"});
    const auto text = dumped();
    EXPECT_TRUE(starts_with(text, number(weft::this_goroutine::id()) + "[running, foreign thread]: asker\n"));
    EXPECT_FALSE(contains(text.substr(0, text.find("\n\n")), "stack unavailable"));
    EXPECT_EQ(text.find("foreign thread"), text.rfind("foreign thread")) << "once";
  });
}

// Who is listed must be there: a thread comes and goes as it likes, and nobody stops it for a look.
WEFT_TEST(attach, dumps_see_threads_that_come_and_go) {
  std::atomic<bool> stop{false};
  {
    std::vector<plain_thread> all;
    for (int i = 0; i < 4; ++i) {
      all.emplace_back([&] {
        const auto c = weft::make_chan<int>(1);
        while (!stop) {
          const weft::attached_thread here({.name = "guest"});
          c.send(1);
          static_cast<void>(c.recv());
          std::this_thread::yield();
        }
      });
    }
    EXPECT_TRUE(eventually([] { return shows(", foreign thread]: guest\n"); }));
    for (int i = 0; i < scale(50, 10); ++i) static_cast<void>(dumped());
    stop = true;
  }
  EXPECT_TRUE(nobody_is_attached());
}

WEFT_TEST(attach, keeps_the_threads_locals) {
  static weft::local<int> l;
  plain_thread([] {
    *l = 1;
    {
      const weft::attached_thread here;
      EXPECT_EQ(*l, 1);
      *l = 2;
      weft::call_weft([] { EXPECT_EQ(*l, 0); });
    }
    EXPECT_EQ(*l, 2);
  });
  EXPECT_FALSE(l.has_value());
}

// What must be a goroutine is one there too: a thread is none for having a name.
WEFT_TEST(attach, leaves_call_weft_a_call_of_a_goroutine) {
  plain_thread([] {
    const weft::attached_thread here;
    const auto id = weft::this_goroutine::id();
    const auto inside = weft::call_weft([] {
      EXPECT_GT(weft::goroutines(), 1);
      weft::this_goroutine::yield();
      return weft::this_goroutine::id();
    });
    EXPECT_NE(inside, id);
    EXPECT_NE(inside, 0u);
    EXPECT_EQ(weft::this_goroutine::id(), id);
  });
}

WEFT_TEST(attach, names_the_thread_as_creator_of_what_it_starts) {
  const auto c = weft::make_chan<int>();
  plain_thread t([c] {
    const weft::attached_thread here;
    weft::go(weft::go_options{.name = "child"}, [c] { static_cast<void>(c.recv()); });
    const auto by = " in goroutine " + std::to_string(weft::this_goroutine::id()) + "\n";
    EXPECT_TRUE(eventually([&] {
      const auto text = dumped();
      const auto at = text.find("[chan receive]: child\n");
      return at != std::string::npos && text.find(by, at) != std::string::npos;
    }));
  });
  t.join();
  c.send(1);
}

namespace {
std::atomic<std::uint64_t> kept_id{0};
[[gnu::noinline]] void a_callback() {
  thread_local weft::attached_thread here({.name = "callback"});
  if (kept_id == 0) kept_id = weft::this_goroutine::id();
  EXPECT_EQ(weft::this_goroutine::id(), kept_id);
}
}  // namespace
// The ways in which threads of C libraries end do not come by the end of our scope.
WEFT_TEST(attach, ends_with_the_thread) {
  plain_thread([] {
    for (int i = 0; i < 3; ++i) a_callback();
    EXPECT_EQ(weft::attached_threads(), 1);
  });
  EXPECT_TRUE(nobody_is_attached());

  std::unique_ptr<weft::attached_thread> survivor;
  plain_thread([&] { survivor = std::make_unique<weft::attached_thread>(); });
  EXPECT_TRUE(nobody_is_attached());
  survivor.reset();  // nothing is left to do
  EXPECT_TRUE(nobody_is_attached());

  pthread_t exits;
  ASSERT_EQ(::pthread_create(
                &exits, nullptr,
                [](void*) -> void* {
                  const weft::attached_thread here;
                  weft::this_goroutine::exit();
                },
                nullptr),
            0);
  EXPECT_TRUE(eventually([&] { return ::pthread_tryjoin_np(exits, nullptr) == 0; }));
  EXPECT_TRUE(nobody_is_attached());
}

namespace {
struct late {
  bool used = false;
  ~late() {
    if (!used) return;
    const auto c = weft::make_chan<int>(1);
    const weft::attached_thread again;  // too late to be undone at the thread's end, so it is nothing
    EXPECT_EQ(weft::this_goroutine::id(), 0u);
    c.send(1);
    EXPECT_EQ(c.recv(), 1);
  }
};
}  // namespace
WEFT_TEST(attach, leaves_destructors_of_the_thread_a_plain_thread) {
  plain_thread([] {
    thread_local late l;
    l.used = true;
    auto* here = new weft::attached_thread;
    EXPECT_NE(weft::this_goroutine::id(), 0u);
    static_cast<void>(here);
    thread_local std::unique_ptr<weft::attached_thread> owner;
    owner.reset(here);
  });
  EXPECT_TRUE(nobody_is_attached());
}

WEFT_TEST(attach, counts_in_the_statistics) {
  const auto c = weft::make_chan<void>();
  plain_thread t([c] {
    const weft::attached_thread here;
    c.recv();
  });
  EXPECT_TRUE(eventually([] { return weft::stats().attached == 1; }));
  c.send();
  t.join();
  EXPECT_EQ(weft::stats().attached, 0u);
}

// A host's own thread may belong to weft for parts of its life.
TEST(attach, lasts_over_the_runs_of_others_and_rests_in_ones_own) {
  std::uint64_t id = 0;
  {
    const weft::attached_thread here({.name = "host"});
    id = weft::this_goroutine::id();
    EXPECT_NE(id, 0u);
    const auto c = weft::make_chan<int>();
    std::atomic<int> runs{0};
    std::thread guest([&] {
      const weft::attached_thread there({.name = "guest"});
      const auto mine = weft::this_goroutine::id();
      EXPECT_NE(mine, id);
      for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(c.recv(), i);
        EXPECT_EQ(weft::this_goroutine::id(), mine);
      }
    });
    for (int i = 0; i < 2; ++i) {
      weft::run([&] {
        EXPECT_NE(weft::this_goroutine::id(), id);
        c.send(i);
        const auto text = dumped();
        EXPECT_FALSE(contains(text, ": host\n")) << "its thread runs goroutines";
        ++runs;
        weft::call_c([] { EXPECT_EQ(weft::this_goroutine::id(), 0u); });
      });
      EXPECT_EQ(weft::this_goroutine::id(), id);
      EXPECT_TRUE(starts_with(dumped(), number(id) + "[running, foreign thread]: host\n"));
    }
    guest.join();
    EXPECT_EQ(runs, 2);
  }
  EXPECT_EQ(weft::this_goroutine::id(), 0u);
  EXPECT_TRUE(nobody_is_attached());
}
