// net/lookup.cpp: see lookup.hpp. Source: Go's net/cgo_unix.go, which bounds its lookups, and leaves those behind that take too long.
#include "net/lookup.hpp"

#include <cerrno>
#include <utility>

#include <weft/blocking.hpp>
#include <weft/chan.hpp>
#include <weft/error.hpp>
#include <weft/go.hpp>

#include "sched/sched.hpp"
#include "sync/chan.hpp"

namespace weft::net::detail {

using weft::detail::chan_access;
using weft::detail::chan_core;
using weft::detail::chan_status;
using weft::detail::wait_limit;

namespace {

class gai_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "resolver"; }
  std::string message(int value) const override { return ::gai_strerror(value); }
};

// A name server that does not answer keeps a thread for each lookup. Go's number.
constexpr std::int64_t most_at_once = 500;

// Holds an element for each lookup that is under way. It belongs to no bubble, whoever is the first here.
chan_core* under_way() {
  static chan_core* const c = [] {
    chan_core* made = weft::detail::chan_make(0, most_at_once, nullptr);
    made->bubble = 0;
    return made;
  }();
  return c;
}

struct question {
  std::string host, port;
  addrinfo hints;
  int error = 0;
  int system_error = 0;  // with EAI_SYSTEM
  addrinfo_list answer = {};
};

// By itself, because it names errno: nothing here changes threads (design D5).
[[gnu::noinline]] void ask(question& q) noexcept {
  addrinfo* list = nullptr;
  q.error = ::getaddrinfo(q.host.empty() ? nullptr : q.host.c_str(), q.port.c_str(), &q.hints, &list);
  if (q.error == EAI_SYSTEM) q.system_error = errno;
  if (q.error == 0) q.answer.reset(list);
}

addrinfo_list answer_to(question& q, std::error_code& ec) {
  if (q.error == EAI_SYSTEM) ec = {q.system_error, std::system_category()};
  else if (q.error) ec = {q.error, resolver_category()};
  return std::move(q.answer);
}

bool is_over(chan_status s, std::error_code& ec) noexcept {
  if (s == chan_status::timed_out) ec = errc::timed_out;
  if (s == chan_status::cancelled) ec = errc::canceled;
  return static_cast<bool>(ec);
}

addrinfo_list ask_beside(question q, const wait_limit& limit, std::error_code& ec) {
  struct shared : question {
    explicit shared(question&& from) : question(std::move(from)) {}
    chan<void> done = make_chan<void>();
  };
  const auto s = std::make_shared<shared>(std::move(q));
  if (is_over(weft::detail::chan_send_until(under_way(), nullptr, limit), ec)) return nullptr;
  struct turn {
    turn() = default;
    turn(turn&& o) noexcept : mine(std::exchange(o.mine, false)) {}
    ~turn() {
      if (mine) weft::detail::chan_recv(under_way(), nullptr);  // at once: there is ours
    }
    bool mine = true;
  };
  weft::go({.name = "lookup"}, [s, t = turn()] {
    blocking(ask, *s);
    s->done.close();
  });
  if (is_over(weft::detail::chan_recv_until(chan_access::ref(s->done).get(), nullptr, limit), ec)) return nullptr;
  return answer_to(*s, ec);
}

}  // namespace

const std::error_category& resolver_category() noexcept {
  static const auto* c = new gai_category();
  return *c;
}

addrinfo_list look_up(const std::string& host, const std::string& port, const addrinfo& hints, const wait_limit& limit, std::error_code& ec) {
  question q{host, port, hints};
  if (current_g()) {
    q.hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;  // what asks nobody and reads no file
    ask(q);
    if (q.error == EAI_NONAME) return ask_beside({host, port, hints}, limit, ec);
  } else {
    ask(q);
  }
  return answer_to(q, ec);
}

}  // namespace weft::net::detail
