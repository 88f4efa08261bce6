// net/socket.cpp: see socket.hpp.
#include "net/socket.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "net/address.hpp"
#include "os/clock.hpp"
#include "sched/park.hpp"

namespace weft::net::detail {

namespace {

int index(direction d) noexcept { return static_cast<int>(d); }

std::uint32_t expired_bit(direction d) noexcept { return d == direction::read ? poll_desc::read_expired : poll_desc::write_expired; }

template <direction D>
void deadline_passed(timer* t, g_list& woken) noexcept {
  auto* pd = static_cast<poll_desc*>(t->arg);
  pd->info.fetch_or(expired_bit(D), std::memory_order_seq_cst);  // [mo:poll.info]
  if (g* gp = poll_unblock(pd, D, false)) woken.push_back(gp);
}

}  // namespace

socket::socket(int fd, std::string_view network, std::error_code& ec) noexcept : fd_(fd), network_(network) {
  pd_ = poll_open(fd);
  if (!pd_) ec = {errno, std::system_category()};
}

socket::~socket() {
  if (!pd_) ::close(fd_);
  else close();
}

bool socket::check(direction d, std::error_code& ec) noexcept {
  const std::uint32_t trouble = poll_trouble(pd_, d);
  if (__builtin_expect(trouble != 0, 0)) {
    ec = trouble & poll_desc::closing ? errc::closed : errc::timed_out;
    return false;
  }
  // The timer wakes who is parked; who never has to wait may never give its P a chance to run it.
  const std::int64_t deadline = deadline_ns_[index(d)].load(std::memory_order_relaxed);
  if (__builtin_expect(deadline == 0, 1) || os::now_ns() < deadline) return true;
  ec = errc::timed_out;
  return false;
}

bool socket::wait(direction d, std::error_code& ec) noexcept {
  g* gp = current_g();
  if (!gp) return wait_on_thread(d, ec);
  auto& slot = pd_->slot[index(d)];
  std::uintptr_t old = poll_desc::is_ready;
  // [mo:poll.slot] acquire the readiness; take it.
  if (slot.compare_exchange_strong(old, poll_desc::nothing, std::memory_order_acquire, std::memory_order_relaxed)) return check(d, ec);
  old = poll_desc::nothing;
  // [mo:poll.slot] seq_cst: then the look at `info` in check(); close and deadline do it the other way round.
  if (slot.compare_exchange_strong(old, poll_desc::preparing, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    if (check(d, ec)) park(&poll_commit, &slot, wait_reason::io_wait);
  } else {
    WEFT_INVARIANT(old == poll_desc::is_ready, "netpoll: two wait for one direction");
  }
  slot.exchange(poll_desc::nothing, std::memory_order_acq_rel);  // [mo:poll.slot]
  return !ec && check(d, ec);
}

bool socket::wait_on_thread(direction d, std::error_code& ec) noexcept {
  for (;;) {
    if (!check(d, ec)) return false;
    int limit_ms = 50;  // nothing wakes a thread in poll() when the socket is closed: look now and then
    if (const std::int64_t deadline = deadline_ns_[index(d)].load(std::memory_order_relaxed)) {
      const std::int64_t left = deadline - os::now_ns();
      if (left <= 0) {
        ec = errc::timed_out;
        return false;
      }
      limit_ms = static_cast<int>(std::min<std::int64_t>(limit_ms, left / 1'000'000 + 1));
    }
    pollfd p{fd_, static_cast<short>(d == direction::read ? POLLIN : POLLOUT), 0};
    if (::poll(&p, 1, limit_ms) > 0) return check(d, ec);
  }
}

void socket::set_deadline(direction d, time_point t) noexcept {
  if (!mutex_.add_ref()) return;
  const std::int64_t when = t.time_since_epoch().count();
  deadline_ns_[index(d)].store(when, std::memory_order_relaxed);
  g_list woken;
  {
    lock_guard hold(pd_->lock);
    timer& timer = pd_->deadline[index(d)];
    timer_heap::remove(&timer);
    if ((pd_->info.load(std::memory_order_relaxed) & poll_desc::closing) == 0) {
      pd_->info.fetch_and(~expired_bit(d), std::memory_order_seq_cst);  // [mo:poll.info]
      m* mp = self()->mp;
      p* pp = mp && mp->pp ? mp->pp : sched.ps[0].load(std::memory_order_acquire);  // [mo:procs]
      if (t == no_deadline) {
      } else if (when <= os::now_ns()) {
        pd_->info.fetch_or(expired_bit(d), std::memory_order_seq_cst);  // [mo:poll.info]
        if (g* gp = poll_unblock(pd_, d, false)) woken.push_back(gp);
      } else if (pp) {
        timer.when = when;
        timer.arg = pd_;
        timer.fire = d == direction::read ? &deadline_passed<direction::read> : &deadline_passed<direction::write>;
        const bool earliest = pp->timers.add(&timer);
        if (earliest) wake_poller(when, mp && mp->pp ? who_else::nobody : who_else::a_searcher);
      }
    }
  }
  inject(woken);
  if (mutex_.drop_ref()) destroy();
}

bool socket::close() noexcept {
  if (!mutex_.close()) return false;
  g_list woken;
  poll_evict(pd_, woken);
  inject(woken);
  if (mutex_.drop_ref()) destroy();
  return true;
}

void socket::destroy() noexcept {
  poll_close(pd_);
  ::close(fd_);
}

std::string socket::local_address() noexcept {
  if (!mutex_.add_ref()) return {};
  std::string text = address_of(fd_, end_of_connection::local);
  if (mutex_.drop_ref()) destroy();
  return text;
}

std::string socket::remote_address() noexcept {
  if (!mutex_.add_ref()) return {};
  std::string text = address_of(fd_, end_of_connection::remote);
  if (mutex_.drop_ref()) destroy();
  return text;
}

std::string describe(const char* operation, socket* s) {
  std::string text = operation;
  if (!s) return text;
  text += " " + s->network();
  const std::string local = s->local_address(), remote = s->remote_address();
  if (!local.empty()) text += " " + local;
  if (!remote.empty()) text += "->" + remote;
  return text;
}

}  // namespace weft::net::detail
