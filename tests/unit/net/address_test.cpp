// address_test.cpp: addresses and names. getaddrinfo is this program's own, so that names can be looked up that nobody answers for.
// weft-test: emulated=0 libs=dl
#include <dlfcn.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <atomic>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "net/address.hpp"
#include "support/support.hpp"

using namespace weft::test;
namespace net = weft::net;

namespace {
std::atomic<int> asked{0}, answered{0};
std::atomic<bool> name_server_is_dead{true};
void name_server_answers() {
  name_server_is_dead = false;
  name_server_is_dead.notify_all();
}
bool is(const std::error_code& ec, weft::errc e) { return ec == weft::make_error_code(e); }
}  // namespace

// Of names that end in ".dead" nothing is heard until name_server_is_dead says otherwise; then they are this machine.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** list) {
  static const auto real = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  const bool is_number = hints && (hints->ai_flags & AI_NUMERICHOST) != 0;
  if (!node || is_number || !std::string_view(node).ends_with(".dead")) return real(node, service, hints, list);
  ++asked;
  name_server_is_dead.wait(
      true);  // asleep: hundreds that looked again and again would take the processors from whoever runs beside this
  ++answered;
  return real("127.0.0.1", service, hints, list);
}

// Hazard 20. A name server that does not answer holds up nobody but who asked, and him no longer than he wants.
WEFT_TEST(lookup, that_hangs_ends_with_the_limit_and_holds_up_nobody) {
  asked = answered = 0;
  name_server_is_dead = true;
  const int n = weft::procs() + 4;
  weft::wait_group dialers;
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  for (int i = 0; i < n; ++i) {
    dialers.go([] {
      std::error_code ec;
      EXPECT_FALSE(net::dial("tcp", "some.dead:80", {.timeout = 50ms}, ec));
      EXPECT_TRUE(is(ec, weft::errc::timed_out)) << ec.message();
    });
    dialers.go([&ctx = ctx] {
      std::error_code ec;
      EXPECT_FALSE(net::dial("tcp", "other.dead:80", ctx, {}, ec));
      EXPECT_TRUE(is(ec, weft::errc::canceled)) << ec.message();
    });
  }
  EXPECT_TRUE(eventually([&] { return asked == 2 * n; })) << "one lookup holds up another";
  cancel();
  dialers.wait();
  EXPECT_EQ(answered, 0);
  name_server_answers();
  EXPECT_TRUE(eventually([&] { return answered == 2 * n && weft::goroutines() == 1; }));
}

WEFT_TEST(lookup, gives_what_it_finds_to_who_waits) {
  name_server_answers();
  const auto l = net::listen("tcp", "127.0.0.1:0");
  weft::wait_group done;
  for (int i = 0; i < 8; ++i) {
    done.go([&] {
      const auto s = net::dial("tcp", "some.dead:" + std::to_string(l.port()), {.timeout = 1h});
      EXPECT_EQ(s.remote_address(), l.address());
    });
  }
  for (int i = 0; i < 8; ++i) static_cast<void>(l.accept());
  done.wait();
  plain_thread([&] { EXPECT_TRUE(net::dial("tcp", "some.dead:" + std::to_string(l.port()))); }).join();
}

// A thread a lookup, and there are not threads without end: Go has 500 at once.
WEFT_TEST(lookup, of_many_names_takes_few_threads) {
  asked = answered = 0;
  name_server_is_dead = true;
  const int n = 600;
  weft::wait_group dialers;
  for (int i = 0; i < n; ++i) {
    dialers.go([] {
      std::error_code ec;
      static_cast<void>(net::dial("tcp4", "some.dead:1", {.timeout = 1h}, ec));
    });
  }
  EXPECT_TRUE(eventually([&] { return asked == 500; }, 60s));
  for (int i = 0; i < 100; ++i) weft::this_goroutine::yield();
  EXPECT_EQ(asked, 500);
  name_server_answers();
  dialers.wait();
  EXPECT_EQ(answered, n);
}

// A link-local address without its interface cannot be dialled.
WEFT_TEST(address, of_version_6_keeps_its_zone) {
  net::detail::socket_address a;
  a.size = sizeof(sockaddr_in6);
  auto& v6 = *reinterpret_cast<sockaddr_in6*>(&a.storage);
  v6.sin6_family = AF_INET6;
  v6.sin6_addr.s6_addr[0] = 0xfe, v6.sin6_addr.s6_addr[1] = 0x80, v6.sin6_addr.s6_addr[15] = 1;
  v6.sin6_port = htons(80);
  EXPECT_EQ(to_string(a), "[fe80::1]:80");
  v6.sin6_scope_id = 999'999;
  EXPECT_EQ(to_string(a), "[fe80::1%999999]:80");
  v6.sin6_scope_id = ::if_nametoindex("lo");
  ASSERT_NE(v6.sin6_scope_id, 0u);
  EXPECT_EQ(to_string(a), "[fe80::1%lo]:80");
  std::error_code ec;
  const auto again = net::detail::resolve("tcp", to_string(a), net::detail::purpose::dialing, {}, ec);
  ASSERT_EQ(again.size(), 1u) << ec.message();
  EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(&again[0].storage)->sin6_scope_id, v6.sin6_scope_id);
}
