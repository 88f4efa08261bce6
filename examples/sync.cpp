// sync.cpp: what goroutines share, and what they wait on. docs/guide/sync.md quotes the parts between the marks.
#include <weft/weft.hpp>

#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

// [shared_mutex]
class settings {
 public:
  std::string get(const std::string& name) const {
    const std::shared_lock hold(mutex_);
    const auto found = values_.find(name);
    return found == values_.end() ? "" : found->second;
  }
  void set(const std::string& name, std::string value) {
    const std::lock_guard hold(mutex_);
    values_[name] = std::move(value);
  }

 private:
  mutable weft::shared_mutex mutex_;
  std::map<std::string, std::string> values_;
};
// [shared_mutex]

// [condition_variable]
class jobs {
 public:
  void add(int job) {
    {
      const std::lock_guard hold(mutex_);
      waiting_.push_back(job);
    }
    changed_.notify_one();
  }
  void close() {
    {
      const std::lock_guard hold(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }
  /// False when there will be no more.
  bool next(int& job) {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [this] { return closed_ || !waiting_.empty(); });
    if (waiting_.empty()) return false;
    job = waiting_.front();
    waiting_.pop_front();
    return true;
  }

 private:
  weft::mutex mutex_;
  weft::condition_variable changed_;
  std::deque<int> waiting_;
  bool closed_ = false;
};
// [condition_variable]

void share_settings() {
  settings s;
  s.set("colour", "green");
  weft::wait_group readers;
  for (int i = 0; i < 100; ++i) readers.go([&] { static_cast<void>(s.get("colour")); });
  readers.wait();
  std::printf("colour: %s\n", s.get("colour").c_str());
}

void work_through_jobs() {
  jobs j;
  weft::mutex m;
  int sum = 0;
  weft::wait_group workers;
  for (int i = 0; i < 4; ++i) {
    workers.go([&] {
      for (int job = 0; j.next(job);) {
        const std::lock_guard hold(m);
        sum += job;
      }
    });
  }
  for (int i = 1; i <= 100; ++i) j.add(i);
  j.close();
  workers.wait();
  std::printf("sum of all jobs: %d\n", sum);
}

void only_once() {
  // [once]
  const auto table = weft::once_value([] {
    std::puts("building the table");
    return std::vector<int>{1, 1, 2, 3, 5, 8};
  });
  weft::wait_group users;
  for (int i = 0; i < 10; ++i) users.go([table] { static_cast<void>(table().size()); });
  users.wait();
  std::printf("the last one is %d\n", table().back());
  // [once]
}

void not_too_much_at_once() {
  // [semaphore]
  weft::semaphore memory(100);  // MB
  weft::wait_group done;
  for (const int size : {60, 30, 80, 10}) {
    done.go([&memory, size] {
      memory.acquire(size);
      weft::this_goroutine::sleep_for(1ms);
      memory.release(size);
    });
  }
  done.wait();
  // [semaphore]
  std::printf("all memory is free: %s\n", memory.try_acquire(100) ? "yes" : "no");
}

void in_step() {
  // [barrier]
  constexpr int n = 3;
  int generation = 0;
  weft::latch ready(n);
  weft::barrier step(n, [&]() noexcept { ++generation; });
  weft::wait_group cells;
  for (int i = 0; i < n; ++i) {
    cells.go([&] {
      ready.count_down();
      for (int k = 0; k < 5; ++k) step.arrive_and_wait();
    });
  }
  ready.wait();
  cells.wait();
  std::printf("generation %d\n", generation);
  // [barrier]
}

void count_words() {
  // [concurrent_map]
  weft::concurrent_map<std::string, int> counts;
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&counts] {
      for (const char* word : {"to", "be", "or", "not", "to", "be"}) {
        for (int n = counts.load_or_store(word, 0).first; !counts.compare_and_swap(word, n, n + 1);) n = counts.load(word).value_or(0);
      }
    });
  }
  done.wait();
  std::printf("to: %d, not: %d\n", counts.load("to").value(), counts.load("not").value());
  // [concurrent_map]
}

void lend_buffers() {
  // [pool]
  weft::pool<std::string> buffers([] {
    auto b = std::make_unique<std::string>();
    b->reserve(1 << 16);
    return b;
  });
  weft::wait_group done;
  for (int i = 0; i < 100; ++i) {
    done.go([&buffers] {
      const auto buffer = buffers.borrow();
      buffer->assign("an answer");
    });  // the buffer goes back here
  }
  done.wait();
  // [pool]
  std::printf("a buffer has room for %d\n", buffers.borrow()->capacity() >= 1 << 16);
}

void app() {
  share_settings();
  work_through_jobs();
  only_once();
  not_too_much_at_once();
  in_step();
  count_words();
  lend_buffers();
}

}  // namespace

int main() { return weft::run(app); }
