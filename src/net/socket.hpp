// net/socket.hpp: a non-blocking descriptor with its poll_desc: each call is tried first, and parks the goroutine while the
// kernel says EAGAIN. stream and listener are handles to one.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

#include <weft/error.hpp>
#include <weft/net.hpp>

#include "net/fd_mutex.hpp"
#include "work/netpoll.hpp"

namespace weft::net::detail {

/// What a system call gave, or -errno. A function that parks may not name errno, whose address compilers keep over a change of
/// threads (design D5).
template <class Call>
[[gnu::noinline]] ssize_t result_of(Call& call, int fd) {
  const ssize_t n = call(fd);
  return n >= 0 ? n : -errno;
}

class socket {
 public:
  /// Takes fd over. On failure ec is set, and fd is closed with the object.
  socket(int fd, std::string_view network, std::error_code& ec) noexcept;
  ~socket();
  socket(const socket&) = delete;
  socket& operator=(const socket&) = delete;

  /// Calls `io()` (a system call: 0 or more, or -1 and errno) in this direction's turn until it does not say EAGAIN.
  template <class Io>
  ssize_t attempt(direction d, std::error_code& ec, Io io) {
    turn t(*this, d, ec);
    return ec ? -1 : attempt_in_turn(d, ec, io);
  }
  template <class Io>
  ssize_t attempt_in_turn(direction d, std::error_code& ec, Io io) {
    // Edge-triggered: after a short read the stream was empty, and what comes next makes a new event. So wait for that
    // first, and save the call that would only say EAGAIN.
    if (d == direction::read && drained_ && (pd_->info.load(std::memory_order_relaxed) & poll_desc::hung_up) == 0 && !wait(d, ec)) return -1;
    drained_ = d == direction::read ? false : drained_;
    for (;;) {
      if (!check(d, ec)) return -1;
      const ssize_t n = result_of(io, fd_);
      if (n >= 0) return n;
      if (n == -EINTR) continue;
      if (n != -EAGAIN && n != -EWOULDBLOCK) {
        ec = {static_cast<int>(-n), std::system_category()};
        return -1;
      }
      if (!wait(d, ec)) return -1;
    }
  }
  /// In the reader's turn, after a short read: the stream is empty for now. Only TCP promises that.
  void set_drained() noexcept { drained_ = network_.starts_with("tcp"); }

  /// A turn in one direction, for operations of several calls.
  class turn {
   public:
    turn(socket& s, direction d, std::error_code& ec) noexcept : s_(s.mutex_.lock(d) ? &s : nullptr), d_(d) {
      if (!s_) ec = errc::closed;
    }
    ~turn() {
      if (s_ && s_->mutex_.unlock(d_)) s_->destroy();
    }
    turn(const turn&) = delete;

   private:
    socket* s_;
    direction d_;
  };

  void set_deadline(direction d, time_point t) noexcept;
  /// False when it was closed before.
  bool close() noexcept;
  [[nodiscard]] bool is_closed() const noexcept { return mutex_.is_closed(); }
  [[nodiscard]] int fd() const noexcept { return mutex_.is_closed() ? -1 : fd_; }
  [[nodiscard]] const std::string& network() const noexcept { return network_; }
  /// As text; empty when closed or unknown.
  [[nodiscard]] std::string local_address() noexcept;
  [[nodiscard]] std::string remote_address() noexcept;
  /// Waits until the kernel says that the direction is ready; false with ec: closed, or past the deadline.
  [[nodiscard]] bool wait(direction d, std::error_code& ec) noexcept;

 private:
  bool check(direction d, std::error_code& ec) noexcept;
  bool wait_on_thread(direction d, std::error_code& ec) noexcept;
  void destroy() noexcept;

  fd_mutex mutex_;
  int fd_;
  bool drained_ = false;  // guarded by the reader's turn
  poll_desc* pd_ = nullptr;
  atomic<std::int64_t> deadline_ns_[2] = {};  // 0: none
  std::string network_;
};

/// "read tcp A->B" and the like, for messages.
std::string describe(const char* operation, socket* s);

}  // namespace weft::net::detail
