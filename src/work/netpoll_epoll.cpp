// work/netpoll_epoll.cpp: see netpoll.hpp.
#include "work/netpoll.hpp"

#include <algorithm>
#include <cerrno>
#include <new>

#include "base/sanitizers.hpp"
#include "base/throw.hpp"
#include "os/epoll.hpp"
#include "os/memory.hpp"
#include "work/timers.hpp"

namespace weft {

namespace {

ranked_lock<rank::leaf> pool_lock;
poll_desc* free_descs = nullptr;  // guarded by pool_lock
atomic<int> poller{-1}, breaker{-1};
atomic<bool> break_pending{false};
atomic<int> waiters{0};

constexpr std::uint64_t break_data = 0;

// The epoll descriptor, made at its first use.
int poller_fd() noexcept {
  int fd = poller.load(std::memory_order_acquire);  // [mo:poller.fd]
  if (fd >= 0) return fd;
  lock_guard hold(pool_lock);
  if ((fd = poller.load(std::memory_order_relaxed)) >= 0) return fd;
  fd = os::epoll_create();
  const int event = fd < 0 ? fd : os::event_fd();
  const int error = event < 0 ? event : os::epoll_control(fd, EPOLL_CTL_ADD, event, EPOLLIN, break_data);
  if (error < 0) {
    begin_report();
    error_text() << "runtime: epoll_create1, eventfd or epoll_ctl failed with " << -error << " (ulimit -n? fs.epoll.max_user_watches?)\n";
    fatal("netpoll init failed");
  }
  breaker.store(event, std::memory_order_relaxed);
  poller.store(fd, std::memory_order_release);  // [mo:poller.fd]
  return fd;
}

poll_desc* take_desc() noexcept {
  lock_guard hold(pool_lock);
  if (!free_descs) {
    constexpr std::size_t n = 64;
    auto* slab = static_cast<char*>(os::reserve(n * sizeof(poll_desc), os::page_size()));
    if (!slab) return nullptr;
    for (std::size_t i = n; i-- > 0;) {
      auto* pd = ::new (static_cast<void*>(slab + i * sizeof(poll_desc))) poll_desc();
      pd->link = free_descs;
      free_descs = pd;
    }
  }
  poll_desc* pd = free_descs;
  free_descs = pd->link;
  return pd;
}

// 48 bits of address and 16 of tag. Descs are aligned to 64, so none is break_data.
std::uint64_t pack(const poll_desc* pd) noexcept {
  return reinterpret_cast<std::uint64_t>(pd) | static_cast<std::uint64_t>(pd->tag.load(std::memory_order_relaxed) & 0xffff) << 48;
}

void deliver(const epoll_event& e, g_list& out) noexcept {
  auto* pd = reinterpret_cast<poll_desc*>(e.data.u64 & 0xffff'ffff'ffff);
  sanitizers::got_from_kernel(pd);
  if ((pd->tag.load(std::memory_order_acquire) & 0xffff) != e.data.u64 >> 48) return;  // [mo:poll.tag] closed meanwhile
  if (e.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) pd->info.fetch_or(poll_desc::hung_up, std::memory_order_seq_cst);  // [mo:poll.info]
  if (e.events & EPOLLPRI) pd->info.fetch_or(poll_desc::urgent, std::memory_order_seq_cst);  // [mo:poll.info]
  if (e.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
    if (runnable* gp = poll_unblock(pd, direction::read, true)) out.push_back(gp);
  if (e.events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
    if (runnable* gp = poll_unblock(pd, direction::write, true)) out.push_back(gp);
}

}  // namespace

poll_desc* poll_open(int fd) noexcept {
  poll_desc* pd = take_desc();
  if (!pd) {
    errno = ENOMEM;
    return nullptr;
  }
  pd->fd = fd;
  pd->slot[0].store(poll_desc::nothing, std::memory_order_relaxed);
  pd->slot[1].store(poll_desc::nothing, std::memory_order_relaxed);
  pd->info.store(0, std::memory_order_relaxed);
  sanitizers::give_to_kernel(pd);
  const int error = os::epoll_control(poller_fd(), EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET, pack(pd));
  if (error < 0) {
    poll_close(pd);
    errno = -error;
    return nullptr;
  }
  return pd;
}

void poll_close(poll_desc* pd) noexcept {
  // Explicitly: a dup of the descriptor elsewhere would keep the registration alive.
  os::epoll_control(poller_fd(), EPOLL_CTL_DEL, pd->fd, 0, 0);
  pd->fd = -1;
  pd->tag.fetch_add(1, std::memory_order_release);  // [mo:poll.tag] events that are under way are stale now
  lock_guard hold(pool_lock);
  pd->link = free_descs;
  free_descs = pd;
}

runnable* poll_unblock(poll_desc* pd, direction d, bool io) noexcept {
  auto& slot = pd->slot[static_cast<int>(d)];
  // [mo:poll.slot] seq_cst: close and deadline set `info` and then look here; a waiter prepares here and then looks at `info`.
  std::uintptr_t old = slot.load(std::memory_order_seq_cst);
  for (;;) {
    if (old == poll_desc::is_ready) return nullptr;
    if (old == poll_desc::nothing && !io) return nullptr;
    // [mo:poll.slot] acq_rel: acquire the parked goroutine, release the readiness to who looks next.
    if (slot.compare_exchange_weak(old, io ? poll_desc::is_ready : poll_desc::nothing, std::memory_order_acq_rel, std::memory_order_acquire)) break;
  }
  if (old == poll_desc::preparing || old == poll_desc::nothing) return nullptr;
  waiters.fetch_sub(1, std::memory_order_relaxed);
  return reinterpret_cast<runnable*>(old);
}

bool poll_park(atomic<std::uintptr_t>& slot, runnable* r) noexcept {
  // Counted before it can be found, so that the count never falls below zero; a thread that goes idle meanwhile sees it.
  waiters.fetch_add(1, std::memory_order_seq_cst);  // [mo:idle]
  std::uintptr_t expected = poll_desc::preparing;
  // [mo:poll.slot] release: the context is saved.
  if (slot.compare_exchange_strong(expected, reinterpret_cast<std::uintptr_t>(r), std::memory_order_release, std::memory_order_acquire)) return true;
  waiters.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

bool poll_commit(g* gp) noexcept { return poll_park(*static_cast<atomic<std::uintptr_t>*>(gp->commit_arg), gp); }

void poll_evict(poll_desc* pd, g_list& woken) noexcept {
  lock_guard hold(pd->lock);
  pd->info.fetch_or(poll_desc::closing, std::memory_order_seq_cst);  // [mo:poll.info]
  for (const direction d : {direction::read, direction::write}) {
    timer_heap::remove(&pd->deadline[static_cast<int>(d)]);
    if (runnable* gp = poll_unblock(pd, d, false)) woken.push_back(gp);
  }
}

bool poll_claim(g* gp) noexcept {
  auto& slot = *static_cast<atomic<std::uintptr_t>*>(gp->commit_arg);
  auto mine = reinterpret_cast<std::uintptr_t>(gp);
  if (!slot.compare_exchange_strong(mine, poll_desc::nothing, std::memory_order_acq_rel, std::memory_order_relaxed)) return false;  // [mo:poll.slot]
  waiters.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

g_list netpoll(std::int64_t ns, std::uint32_t most) noexcept {
  g_list out;
  const int fd = poller_fd();
  epoll_event events[netpoll_most];
  const auto room = static_cast<int>(std::min(most, netpoll_most));
  for (;;) {
    const int n = os::epoll_wait(fd, events, room, ns);
    if (n < 0) {
      if (n == -EINTR && ns == 0) continue;
      if (n == -EINTR) return out;  // the caller works out the time that is left
      begin_report();
      error_text() << "runtime: epoll_wait failed with " << -n << "\n";
      fatal("netpoll failed");
    }
    for (int i = 0; i < n; i++) {
      if (events[i].data.u64 != break_data) {
        deliver(events[i], out);
      } else if (ns != 0) {  // a look that does not wait leaves it to the one that does
        os::event_clear(breaker.load(std::memory_order_relaxed));
        break_pending.store(false, std::memory_order_seq_cst);  // [mo:break]
      }
    }
    return out;
  }
}

void netpoll_break() noexcept {
  const int fd = (poller_fd(), breaker.load(std::memory_order_relaxed));
  // [mo:break] one signal under way is enough.
  if (!break_pending.exchange(true, std::memory_order_seq_cst)) os::event_signal(fd);
}

int netpoll_waiters() noexcept { return waiters.load(std::memory_order_relaxed); }

}  // namespace weft
