// coro/net.cpp: see <weft/co/net.hpp>. The loops of net/socket.hpp and net/stream.cpp, with another way to wait.
// A turn that another reader (or writer) has is waited for by the carrier, with its stack: two on one direction are rare.
#include <weft/co/net.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <chrono>

#include <weft/co/sync.hpp>

#include "net/access.hpp"
#include "net/socket.hpp"
#include "sched/suspend.hpp"

namespace weft::co {

namespace {

using net::access;
using net::detail::socket;

class slot_wait {
 public:
  explicit slot_wait(atomic<std::uintptr_t>& slot) noexcept : slot_(slot) {}
  static bool await_ready() noexcept { return false; }
  template <weft::detail::co_promise_type P>
  bool await_suspend(std::coroutine_handle<P> h) noexcept {
    suspend(h.promise(), wait_reason::io_wait);
    return poll_park(slot_, &h.promise());
  }
  static void await_resume() noexcept {}

 private:
  atomic<std::uintptr_t>& slot_;
};

// As socket::wait().
task<bool> wait(socket& s, direction d, std::error_code& ec) {
  using step = socket::wait_step;
  for (step next = step::again; next == step::again;) {
    next = s.before_wait(d, ec);
    if (next == step::ready) co_return true;
    if (next == step::park) co_await slot_wait(s.slot(d));
    next = s.after_wait(d, ec);
    if (next == step::ready) co_return true;
  }
  co_return false;
}

// As socket::attempt_in_turn().
template <class Io>
task<ssize_t> attempt_in_turn(socket& s, direction d, std::error_code& ec, Io io) {
  if (!s.check(d, ec)) co_return -1;
  if (s.waits_first(d) && !co_await wait(s, d, ec)) co_return -1;
  for (;;) {
    const ssize_t n = net::detail::result_of(io, s.fd_in_turn());
    if (n >= 0) co_return n;
    if (n == -EINTR) continue;
    if (n != -EAGAIN && n != -EWOULDBLOCK) {
      ec = {static_cast<int>(-n), std::system_category()};
      co_return -1;
    }
    if (!co_await wait(s, d, ec)) co_return -1;
  }
}

auto sending(std::span<const std::byte> data) noexcept {
  return [data](int fd) { return ::send(fd, data.data(), data.size(), MSG_NOSIGNAL); };
}

}  // namespace

task<std::size_t> read_some(net::stream stream, std::span<std::byte> buffer, std::error_code& ec) {
  const auto& s = access::socket_of(stream);
  ec.clear();
  if (!s) co_return ec = errc::closed, 0;
  socket::turn turn(*s, direction::read, ec);
  if (ec || buffer.empty()) co_return 0;
  const ssize_t n = co_await attempt_in_turn(*s, direction::read, ec, [buffer](int fd) { return ::recv(fd, buffer.data(), buffer.size(), 0); });
  if (n < 0) co_return 0;
  if (n > 0 && static_cast<std::size_t>(n) < buffer.size()) s->set_drained();
  co_return static_cast<std::size_t>(n);
}

task<std::size_t> read_full(net::stream stream, std::span<std::byte> buffer, std::error_code& ec) {
  std::size_t got = 0;
  ec.clear();
  while (got < buffer.size()) {
    const std::size_t n = co_await read_some(stream, buffer.subspan(got), ec);
    if (ec) break;
    if (n == 0) {
      ec = errc::eof;
      break;
    }
    got += n;
  }
  co_return got;
}

task<std::size_t> write_some(net::stream stream, std::span<const std::byte> data, std::error_code& ec) {
  const auto& s = access::socket_of(stream);
  ec.clear();
  if (!s) co_return ec = errc::closed, 0;
  if (data.empty()) co_return 0;
  socket::turn turn(*s, direction::write, ec);
  if (ec) co_return 0;
  const ssize_t n = co_await attempt_in_turn(*s, direction::write, ec, sending(data));
  co_return n < 0 ? 0 : static_cast<std::size_t>(n);
}

task<std::size_t> write_all(net::stream stream, std::span<const std::byte> data, std::error_code& ec) {
  const auto& s = access::socket_of(stream);
  ec.clear();
  if (!s) co_return ec = errc::closed, 0;
  socket::turn turn(*s, direction::write, ec);
  std::size_t written = 0;
  while (!ec && written < data.size()) {
    const ssize_t n = co_await attempt_in_turn(*s, direction::write, ec, sending(data.subspan(written)));
    if (n < 0) break;
    written += static_cast<std::size_t>(n);
  }
  co_return written;
}

task<net::stream> accept(net::listener listener, std::error_code& ec) {
  using namespace std::chrono_literals;
  const auto& s = access::socket_of(listener);
  ec.clear();
  if (!s) co_return ec = errc::closed, net::stream();
  for (auto pause = 5ms;;) {
    net::detail::ip_address peer{};
    ssize_t fd = -1;
    {
      socket::turn turn(*s, direction::read, ec);
      if (!ec) fd = co_await attempt_in_turn(*s, direction::read, ec, [&peer](int l) { return net::detail::accept_call(l, peer); });
    }
    if (net::stream made = net::detail::accepted(*s, fd, peer, ec)) co_return made;
    const auto next = net::detail::after_accept(ec);
    if (next == net::detail::accept_next::fail) co_return net::stream();
    if (next == net::detail::accept_next::pause) {
      co_await sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::milliseconds(640));
    }
    ec.clear();
  }
}

// ---- the forms that throw ----

task<std::size_t> read_some(net::stream s, std::span<std::byte> buffer) {
  std::error_code ec;
  const std::size_t n = co_await read_some(s, buffer, ec);
  if (ec) net::detail::fail(ec, "read", access::socket_of(s).get());
  co_return n;
}

task<std::size_t> read_full(net::stream s, std::span<std::byte> buffer) {
  std::error_code ec;
  const std::size_t n = co_await read_full(s, buffer, ec);
  if (ec) net::detail::fail(ec, "read", access::socket_of(s).get());
  co_return n;
}

task<std::size_t> write_some(net::stream s, std::span<const std::byte> data) {
  std::error_code ec;
  const std::size_t n = co_await write_some(s, data, ec);
  if (ec) net::detail::fail(ec, "write", access::socket_of(s).get());
  co_return n;
}

task<std::size_t> write_all(net::stream s, std::span<const std::byte> data) {
  std::error_code ec;
  const std::size_t n = co_await write_all(s, data, ec);
  if (ec) net::detail::fail(ec, "write", access::socket_of(s).get());
  co_return n;
}

task<net::stream> accept(net::listener l) {
  std::error_code ec;
  net::stream s = co_await accept(l, ec);
  if (ec) net::detail::fail(ec, "accept", access::socket_of(l).get(), "accept4");
  co_return s;
}

}  // namespace weft::co
