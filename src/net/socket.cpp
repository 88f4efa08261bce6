// net/socket.cpp: see socket.hpp.
#include "net/socket.hpp"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "os/clock.hpp"
#include "os/futex.hpp"
#include "sched/attach.hpp"
#include "sched/call_c.hpp"
#include "sched/park.hpp"
#include "sched/unwind.hpp"

namespace weft::net::detail {

namespace {

int index(direction d) noexcept { return static_cast<int>(d); }

std::uint32_t expired_bit(direction d) noexcept { return d == direction::read ? poll_desc::read_expired : poll_desc::write_expired; }

std::uint32_t cancelled_bit(direction d) noexcept { return d == direction::read ? poll_desc::read_cancelled : poll_desc::write_cancelled; }

template <direction D>
void deadline_passed(heap_timer* t, due_list& due) noexcept {
  auto* pd = static_cast<poll_desc*>(t->arg);
  pd->info.fetch_or(expired_bit(D), std::memory_order_seq_cst);  // [mo:poll.info]
  if (runnable* gp = poll_unblock(pd, D, false)) due.push_back(gp);
}

}  // namespace

socket::socket(int fd, std::string_view network, std::error_code& ec) noexcept : fd_(fd), network_(network) {
  pd_ = poll_open(fd);
  if (!pd_) ec = {errno, std::system_category()};
}

socket::~socket() {
  if (!pd_) {
    ::close(fd_);
  } else if (mutex_.close()) {  // the last handle's end: nobody is in an operation, nobody will ask for the addresses
    g_list nobody;
    poll_evict(pd_, nobody);
    destroy();
  }
  delete kept_.load(std::memory_order_relaxed);
}

bool socket::check(direction d, std::error_code& ec) noexcept {
  const std::uint32_t trouble = poll_trouble(pd_, d);
  if (__builtin_expect(trouble != 0, 0)) {
    ec = trouble & poll_desc::closing ? errc::closed : trouble & cancelled_bit(d) ? errc::canceled : errc::timed_out;
    return false;
  }
  // The timer wakes who is parked; who never has to wait may never give its P a chance to run it.
  const std::int64_t deadline = deadline_ns_[index(d)].load(std::memory_order_relaxed);
  if (__builtin_expect(deadline == 0, 1) || os::now_ns() < deadline) return true;
  ec = errc::timed_out;
  return false;
}

bool socket::wait(direction d, std::error_code& ec) {
  if (!current_g()) return wait_on_thread(d, ec);
  unwind_if_due();
  for (wait_step next = wait_step::again; next == wait_step::again;) {
    next = before_wait(d, ec);
    if (next == wait_step::ready) return true;
    if (next == wait_step::park) park(&poll_commit, &slot(d), wait_reason::io_wait);
    next = after_wait(d, ec);
    if (next == wait_step::ready) return true;
    unwind_if_due();
  }
  return false;
}

socket::wait_step socket::before_wait(direction d, std::error_code& ec) noexcept {
  start_late_timer(d);
  std::uintptr_t old = poll_desc::is_ready;
  // [mo:poll.slot] acquire the readiness; take it.
  if (slot(d).compare_exchange_strong(old, poll_desc::nothing, std::memory_order_acquire, std::memory_order_relaxed)) return wait_step::ready;
  old = poll_desc::nothing;
  // [mo:poll.slot] seq_cst: then the look at `info` in check(); close and deadline do it the other way round.
  if (slot(d).compare_exchange_strong(old, poll_desc::preparing, std::memory_order_seq_cst, std::memory_order_relaxed))
    return check(d, ec) ? wait_step::park : wait_step::failed;
  WEFT_INVARIANT(old == poll_desc::is_ready, "netpoll: two wait for one direction");
  return wait_step::again;
}

socket::wait_step socket::after_wait(direction d, std::error_code& ec) noexcept {
  // Readiness counts even when a deadline or a close came with it: who throws it away may never hear of that data again.
  if (slot(d).exchange(poll_desc::nothing, std::memory_order_acq_rel) == poll_desc::is_ready) {  // [mo:poll.slot]
    ec.clear();
    return wait_step::ready;
  }
  if (ec || !check(d, ec)) return wait_step::failed;
  return wait_step::again;  // a deadline woke us that has been moved since
}

bool socket::wait_on_thread(direction d, std::error_code& ec) noexcept {
  refuse_in_call_c(wait_reason::io_wait);
  const thread_waits shown(wait_reason::io_wait);
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
  const reference open(*this);
  if (!open) return;
  const std::int64_t when = t.time_since_epoch().count();
  g_list woken;
  {
    lock_guard hold(pd_->lock);
    deadline_ns_[index(d)].store(when, std::memory_order_relaxed);
    timer_heap::remove(&pd_->deadline[index(d)]);
    if ((pd_->info.load(std::memory_order_relaxed) & poll_desc::closing) == 0) {
      pd_->info.fetch_and(~expired_bit(d), std::memory_order_seq_cst);  // [mo:poll.info]
      if (t != no_deadline) start_timer_locked(d, when, woken);
    }
  }
  while (runnable* gp = woken.pop_front()) ready(gp);  // an idle P may take it, though we go on
}

// As a deadline that passes: `info` first, then who waits.
void socket::cancel(direction d) noexcept {
  pd_->info.fetch_or(cancelled_bit(d), std::memory_order_seq_cst);  // [mo:poll.info]
  if (auto* waits = poll_unblock(pd_, d, false)) ready(waits);
}
void socket::forget_cancel(direction d) noexcept { pd_->info.fetch_and(~cancelled_bit(d), std::memory_order_seq_cst); }  // [mo:poll.info]

// For a deadline that is set and has no timer. When it is past, it takes effect at once.
void socket::start_timer_locked(direction d, std::int64_t when, g_list& woken) noexcept {
  m* mp = this_m();
  const in_runtime inside(mp);
  const bool has_p = mp && mp->pp;
  p* pp = has_p ? +mp->pp : sched.ps[0].load(std::memory_order_acquire);  // [mo:procs]
  if (when <= os::now_ns()) {
    pd_->info.fetch_or(expired_bit(d), std::memory_order_seq_cst);  // [mo:poll.info]
    if (runnable* gp = poll_unblock(pd_, d, false)) woken.push_back(gp);
  } else if (pp) {  // before the first run() there is none: see start_late_timer()
    heap_timer& timer = pd_->deadline[index(d)];
    timer.when = when;
    timer.arg = pd_;
    timer.fire = d == direction::read ? &deadline_passed<direction::read> : &deadline_passed<direction::write>;
    if (pp->timers.add(&timer)) wake_poller(when, has_p ? who_else::nobody : who_else::a_searcher);
  }
}

// Before a goroutine waits: a deadline that was set when there was no P to keep its timer gets it now.
void socket::start_late_timer(direction d) noexcept {
  heap_timer& timer = pd_->deadline[index(d)];
  const auto& deadline = deadline_ns_[index(d)];
  // [mo:timers.heap] acquire: when it has fired, check() sees that.
  if (__builtin_expect(deadline.load(std::memory_order_relaxed) == 0 || timer.heap.load(std::memory_order_acquire) != nullptr, 1)) return;
  g_list woken;
  {
    lock_guard hold(pd_->lock);
    const std::int64_t when = deadline.load(std::memory_order_relaxed);
    const std::uint32_t info = pd_->info.load(std::memory_order_relaxed);
    if (when != 0 && timer.heap.load(std::memory_order_acquire) == nullptr && (info & (poll_desc::closing | expired_bit(d))) == 0)  // [mo:timers.heap]
      start_timer_locked(d, when, woken);
  }
  inject(woken);
}

bool socket::close() noexcept {
  if (!mutex_.close()) return false;
  keep_addresses();
  g_list woken;
  poll_evict(pd_, woken);
  inject(woken);
  if (mutex_.drop_ref()) destroy();
  else wait_for_end();
  return true;
}

// Waits for those who are in an operation. They are awake and on their way: nothing in an operation waits for its user.
void socket::wait_for_end() noexcept {
  if (current_g()) return weft::detail::acquire(ended_, weft::detail::queue_end::back, wait_reason::io_wait);
  // A thread looks now and then, because it may have to give up: the goroutines of a run() that has ended do not go on.
  const auto has_ended = [this] {
    lock_word(ended_.lock);
    const bool yes = ended_.permits > 0;
    unlock_word(ended_.lock);
    return yes;
  };
  for (std::int64_t pause = 20'000, waited = 0; !has_ended(); waited += pause) {
    if (waited > 200'000'000 && !sched.running.load(std::memory_order_relaxed)) return;
    pause = std::min<std::int64_t>(pause * 2, 5'000'000);
    const timespec t = os::to_timespec(pause);
    ::nanosleep(&t, nullptr);
  }
}

void socket::destroy() noexcept {
  poll_close(pd_);
  if (!path_.empty()) ::unlink(path_.c_str());
  ::close(fd_);
}

// The last reference has gone, and it was not close()'s.
void socket::end() noexcept {
  destroy();
  weft::detail::release(ended_);  // close() may return now, and the socket be gone
}

// Before anybody is woken whose error text names them. Without memory the text does without.
void socket::keep_addresses() noexcept {
  auto* kept = new (std::nothrow) addresses;
  if (!kept) return;
  get_address(fd_, end_of_connection::local, kept->local);
  if (remote_.any.sa_family == 0) get_address(fd_, end_of_connection::remote, kept->remote);
  kept_.store(kept, std::memory_order_release);  // [mo:socket.kept]
}

std::string socket::local_address() {
  if (const reference open(*this); open) {
    socket_address a;
    return get_address(open.fd(), end_of_connection::local, a) ? to_string(a) : std::string();
  }
  const addresses* kept = kept_.load(std::memory_order_acquire);  // [mo:socket.kept]
  return kept ? to_string(kept->local) : std::string();
}

std::string socket::remote_address() {
  if (remote_.any.sa_family != 0) return to_string(remote_);
  if (const reference open(*this); open) {
    socket_address a;
    return get_address(open.fd(), end_of_connection::remote, a) ? to_string(a) : std::string();
  }
  const addresses* kept = kept_.load(std::memory_order_acquire);  // [mo:socket.kept]
  return kept ? to_string(kept->remote) : std::string();
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
