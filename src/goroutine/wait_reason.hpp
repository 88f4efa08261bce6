// goroutine/wait_reason.hpp: why a goroutine waits, in the words that dumps show (Go's).
#pragma once

#include <cstdint>
#include <string_view>

namespace weft {

enum class wait_reason : std::uint8_t {
  none,
  chan_receive,
  chan_send,
  chan_receive_nil,
  chan_send_nil,
  select,
  select_no_cases,
  sleep,
  io_wait,
  mutex_lock,
  wait_group_wait,
  rwmutex_rlock,
  rwmutex_lock,
  cond_wait,
  semaphore_acquire,
  latch_wait,
  barrier_wait,
  join,
  sequence,
  stopped,
  rest,
  synctest_run,
  synctest_wait,
};

inline std::string_view to_string(wait_reason r) noexcept {
  switch (r) {
    case wait_reason::none: return "";
    case wait_reason::chan_receive: return "chan receive";
    case wait_reason::chan_send: return "chan send";
    case wait_reason::chan_receive_nil: return "chan receive (nil chan)";
    case wait_reason::chan_send_nil: return "chan send (nil chan)";
    case wait_reason::select: return "select";
    case wait_reason::select_no_cases: return "select (no cases)";
    case wait_reason::sleep: return "sleep";
    case wait_reason::io_wait: return "IO wait";
    case wait_reason::mutex_lock: return "sync.Mutex.Lock";
    case wait_reason::wait_group_wait: return "sync.WaitGroup.Wait";
    case wait_reason::rwmutex_rlock: return "sync.RWMutex.RLock";
    case wait_reason::rwmutex_lock: return "sync.RWMutex.Lock";
    case wait_reason::cond_wait: return "sync.Cond.Wait";
    case wait_reason::semaphore_acquire: return "semaphore";
    case wait_reason::latch_wait: return "latch";
    case wait_reason::barrier_wait: return "barrier";
    case wait_reason::join: return "join";
    case wait_reason::sequence: return "sequence";
    case wait_reason::stopped: return "stopped";
    case wait_reason::rest: return "";  // not shown: a carrier of coroutines that has none
    case wait_reason::synctest_run: return "synctest.Run";
    case wait_reason::synctest_wait: return "synctest.Wait";
  }
  return "?";
}

}  // namespace weft
