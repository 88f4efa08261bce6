// net/socket.hpp: a non-blocking descriptor with its poll_desc: each call is tried first, and parks the goroutine while the
// kernel says EAGAIN. stream and listener are handles to one.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include <weft/error.hpp>
#include <weft/net.hpp>

#include "net/address.hpp"
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

  /// Calls `io()` (a system call: 0 or more, or -1 and errno) until it does not say EAGAIN. In this direction's turn: operation.hpp.
  template <class Io>
  ssize_t attempt_in_turn(direction d, std::error_code& ec, Io io) {
    if (!check(d, ec)) return -1;
    if (waits_first(d) && !wait(d, ec)) return -1;
    for (;;) {
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
  /// In the reader's turn, after a short read: the stream is empty for now. Only TCP promises that, and not at an urgent byte.
  void set_drained() noexcept { drained_ = network_.starts_with("tcp"); }

  /// A turn in one direction, for operations of several calls.
  class turn {
   public:
    turn(socket& s, direction d, std::error_code& ec, const weft::detail::wait_limit& limit = {}) noexcept : d_(d) {
      const auto got = s.mutex_.lock(d, limit);
      if (got == fd_mutex::turn::taken) s_ = &s;
      else ec = got == fd_mutex::turn::closed ? errc::closed : errc::canceled;
    }
    ~turn() {
      if (s_ && s_->mutex_.unlock(d_)) s_->end();
    }
    turn(const turn&) = delete;

   private:
    socket* s_ = nullptr;
    direction d_;
  };
  /// Keeps the descriptor open for a system call outside of any turn. False when it is closed.
  class reference {
   public:
    explicit reference(socket& s) noexcept : s_(s.mutex_.add_ref() ? &s : nullptr) {}
    ~reference() {
      if (s_ && s_->mutex_.drop_ref()) s_->end();
    }
    reference(const reference&) = delete;
    explicit operator bool() const noexcept { return s_ != nullptr; }
    [[nodiscard]] int fd() const noexcept { return s_->fd_; }

   private:
    socket* s_;
  };

  void set_deadline(direction d, time_point t) noexcept;
  /// Fails the operation that is under way in this direction, and those that follow, with errc::canceled; until it is forgotten.
  void cancel(direction d) noexcept;
  void forget_cancel(direction d) noexcept;
  /// Returns when nobody is in an operation any more and the descriptor is closed. False at once when it was closed before.
  bool close() noexcept;
  [[nodiscard]] bool is_closed() const noexcept { return mutex_.is_closed(); }
  [[nodiscard]] int fd() const noexcept { return mutex_.is_closed() ? -1 : fd_; }
  /// For who has a turn: open until that ends.
  [[nodiscard]] int fd_in_turn() const noexcept { return fd_; }
  [[nodiscard]] const std::string& network() const noexcept { return network_; }
  /// As text, after close() too; empty when unknown.
  [[nodiscard]] std::string local_address();
  [[nodiscard]] std::string remote_address();
  /// What remote_address() is: the kernel forgets it when the peer resets the connection. Before others see the socket.
  void set_remote(const ip_address& a) noexcept { remote_ = a; }
  /// A path to remove when the socket is closed. Before others see the socket.
  void set_path(std::string path) noexcept { path_ = std::move(path); }
  /// Edge-triggered: after a short read the stream was empty, and what comes next makes a new event. So wait for that
  /// first, and save the call that would only say EAGAIN. Only once: a wait that fails may have taken that event.
  [[nodiscard]] bool waits_first(direction d) noexcept { return d == direction::read && std::exchange(drained_, false) && !always_tries(); }
  /// Whether an operation may begin; false with ec: closed, or past the deadline.
  [[nodiscard]] bool check(direction d, std::error_code& ec) noexcept;
  /// wait(), in steps: before it parks in the slot, if it must, and after.
  enum class wait_step : std::uint8_t { ready, park, failed, again };
  [[nodiscard]] wait_step before_wait(direction d, std::error_code& ec) noexcept;
  [[nodiscard]] wait_step after_wait(direction d, std::error_code& ec) noexcept;
  [[nodiscard]] atomic<std::uintptr_t>& slot(direction d) noexcept { return pd_->slot[static_cast<int>(d)]; }
  /// Waits until the kernel says that the direction is ready; false with ec: closed, or past the deadline. Who called it tries
  /// again before the next wait: the readiness is taken, also where it returns false.
  [[nodiscard]] bool wait(direction d, std::error_code& ec);

 private:
  bool wait_on_thread(direction d, std::error_code& ec) noexcept;
  bool always_tries() const noexcept { return (pd_->info.load(std::memory_order_relaxed) & (poll_desc::hung_up | poll_desc::urgent)) != 0; }
  void start_timer_locked(direction d, std::int64_t when, g_list& woken) noexcept;
  void start_late_timer(direction d) noexcept;
  void keep_addresses() noexcept;
  void wait_for_end() noexcept;
  void destroy() noexcept;
  void end() noexcept;

  struct addresses {
    socket_address local, remote;
  };

  fd_mutex mutex_;
  int fd_;
  bool drained_ = false;  // guarded by the reader's turn
  poll_desc* pd_ = nullptr;
  atomic<std::int64_t> deadline_ns_[2] = {};  // 0: none; written under pd_->lock
  std::string network_;                       // short: it allocates nothing
  std::string path_;
  ip_address remote_{};                       // its family is 0 when it was not set
  atomic<addresses*> kept_{nullptr};          // from before a close()
  weft::detail::semaphore_core ended_;        // a permit when another than close() closed the descriptor
};

/// "read tcp A->B" and the like, for messages.
std::string describe(const char* operation, socket* s);

}  // namespace weft::net::detail
