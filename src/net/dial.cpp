// net/dial.cpp: see dial() in <weft/net.hpp>.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <weft/detail/context_wait.hpp>
#include <weft/net.hpp>
#include <weft/this_goroutine.hpp>

#include "net/access.hpp"
#include "net/address.hpp"
#include "net/operation.hpp"
#include "net/socket.hpp"

namespace weft::net {

using namespace std::chrono_literals;

namespace {

// Why an attempt failed, for messages too.
struct failure {
  std::error_code ec;
  const char* call = nullptr;  // the system call, if it was one
};

// connect() parks, so it may not name errno (design D5): these two do.

// A socket on which connect() has begun; `under_way` when it has not ended yet. -1 with why.
[[gnu::noinline]] int begin_connect(const detail::socket_address& a, const dial_options& options, bool& under_way, failure& why) noexcept {
  const int fd = ::socket(a.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return why = {{errno, std::system_category()}, "socket"}, -1;
  const int on = 1;
  if (options.no_delay && a.family() != AF_UNIX) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (a.family() != AF_UNIX) detail::set_keep_alive(fd);
  under_way = ::connect(fd, a.get(), a.size) != 0;
  if (!under_way || errno == EINPROGRESS || errno == EINTR) return fd;
  why = {{errno, std::system_category()}, "connect"};
  ::close(fd);
  return -1;
}

// The result of a connect() that was under way.
[[gnu::noinline]] void pending_error(int fd, std::error_code& ec) noexcept {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error) ec = {error, std::system_category()};
}

// One attempt.
stream connect(const detail::socket_address& a, std::string_view network, const dial_options& options, time_point deadline, const context* ctx, failure& why) {
  bool under_way = false;
  const int fd = begin_connect(a, options, under_way, why);
  if (fd < 0) return {};
  std::error_code& ec = why.ec;
  auto s = detail::adopt(fd, network, ec);
  if (!s) return {};
  detail::socket_address peer;
  if (under_way) {
    why.call = "connect";
    s->set_deadline(direction::write, deadline);
    const detail::cancellation cancellation(*s, direction::write, ctx ? weft::detail::canceller_of(*ctx) : nullptr);
    do {  // a first event may come before the connection stands: the peer's address tells
      if (!s->wait(direction::write, ec)) return {};
      pending_error(fd, ec);
      if (ec) return {};
    } while (!get_address(fd, detail::end_of_connection::remote, peer));
    s->set_deadline(direction::write, no_deadline);
  }
  detail::ip_address remote{};
  std::memcpy(&remote, &peer.storage, sizeof remote);
  if (peer.family() == AF_INET || peer.family() == AF_INET6) s->set_remote(remote);
  return access::make_stream(std::move(s));
}

// TCP lets a socket connect to itself when the kernel happens to give it the very port that it dials, on which nobody listens.
bool is_connected_to_itself(int fd, const detail::socket_address& dialed) {
  detail::socket_address local, remote;
  if (!get_address(fd, detail::end_of_connection::local, local) || port_of(local) == 0 || port_of(local) != port_of(dialed)) return false;
  return get_address(fd, detail::end_of_connection::remote, remote) && to_string(local) == to_string(remote);
}

// Attempts on one address: a second and a third when the kernel's choice of a port was bad, as many as there is time for
// while a Unix listener's queue is full.
stream dial_one(const detail::socket_address& a, std::string_view network, const dial_options& options, time_point deadline, const context* ctx,
                failure& why) {
  std::chrono::nanoseconds pause = 100us;
  for (int bad_ports = 0;;) {
    why = {};
    std::error_code& ec = why.ec;
    stream s = connect(a, network, options, deadline, ctx, why);
    if (a.family() == AF_UNIX) {
      if (ec != std::errc::resource_unavailable_try_again) return s;
      const auto left = deadline == no_deadline ? pause : deadline - std::chrono::steady_clock::now();
      if (left <= 0s) return ec = errc::timed_out, stream();
      if (!ctx) this_goroutine::sleep_for(std::min(pause, left));
      else if (const auto slept = this_goroutine::sleep_for(std::min(pause, left), *ctx); !slept) return ec = slept.error(), stream();
      pause = std::min<std::chrono::nanoseconds>(pause * 2, 20ms);
      continue;
    }
    const bool to_itself = !ec && is_connected_to_itself(s.native_handle(), a);
    if (!to_itself && ec != std::errc::address_not_available) return s;
    if (++bad_ports < 3) continue;
    if (to_itself) why = {{ECONNREFUSED, std::system_category()}, "connect"};
    return {};
  }
}

// How long one address may take: its share of the time for all that are left, but at least two seconds. Source: Go's
// partialDeadline.
time_point share_of(time_point deadline, time_point now, std::size_t left) noexcept {
  if (deadline == no_deadline) return no_deadline;
  return std::min(deadline, now + std::max<std::chrono::nanoseconds>((deadline - now) / static_cast<std::int64_t>(left), 2s));
}

stream dial(std::string_view network, std::string_view address, const dial_options& options, const context* ctx, failure& why) {
  why = {};
  const auto start = std::chrono::steady_clock::now();
  weft::detail::wait_limit limit = ctx ? weft::detail::limit_of(*ctx) : weft::detail::wait_limit();
  if (weft::detail::is_over(limit)) return why.ec = ctx->err(), stream();
  // A timeout beyond the clock's range is none.
  const bool limited = options.timeout.count() > 0 && options.timeout < time_point::max() - start;
  const time_point deadline = limited ? start + options.timeout : no_deadline;
  if (limited) limit.deadline = weft::detail::deadline_after_ns(options.timeout.count());
  const auto addresses = detail::resolve(network, address, detail::purpose::dialing, limit, why.ec);
  failure first;  // of the address that is preferred
  for (std::size_t i = 0; i < addresses.size(); i++) {
    const time_point now = std::chrono::steady_clock::now();
    if (ctx && ctx->err()) return why.ec = ctx->err(), stream();  // whatever the earlier addresses said
    if (limited && now >= deadline) {
      if (!first.ec) first.ec = errc::timed_out;
      break;
    }
    stream s = dial_one(addresses[i], network, options, share_of(deadline, now, addresses.size() - i), ctx, why);
    if (!why.ec) return s;
    if (!first.ec) first = why;
  }
  if (first.ec) why = first;
  if (ctx && ctx->err()) why.ec = ctx->err();
  return {};
}

stream dial(std::string_view network, std::string_view address, const dial_options& options, const context* ctx, std::error_code& ec) {
  failure why;
  stream s = dial(network, address, options, ctx, why);
  ec = why.ec;
  return s;
}

stream dial(std::string_view network, std::string_view address, const dial_options& options, const context* ctx) {
  failure why;
  stream s = dial(network, address, options, ctx, why);
  if (why.ec) detail::throw_error(why.ec, "dial " + std::string(network) + " " + std::string(address), why.call);
  return s;
}

}  // namespace

stream dial(std::string_view network, std::string_view address, const dial_options& options, std::error_code& ec) { return dial(network, address, options, nullptr, ec); }
stream dial(std::string_view network, std::string_view address, const dial_options& options) { return dial(network, address, options, nullptr); }
stream dial(std::string_view network, std::string_view address, const context& ctx, const dial_options& options) { return dial(network, address, options, &ctx); }
stream dial(std::string_view network, std::string_view address, const context& ctx, const dial_options& options, std::error_code& ec) {
  return dial(network, address, options, &ctx, ec);
}

}  // namespace weft::net
