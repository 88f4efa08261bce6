// cancellation.cpp: how work is told that nobody wants it any more. docs/guide/cancellation.md quotes it.
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

// A search that would take for ever. It waits with ctx, so it ends when that does.
weft::result<int> search(const weft::context& ctx, const weft::chan<int>& answers) { return answers.recv(ctx); }

void until_a_time() {
  const auto answers = weft::make_chan<int>();
  const auto [ctx, cancel] = weft::with_timeout(weft::background(), 20ms);
  const auto found = search(ctx, answers);
  std::printf("search: %s\n", found ? "found" : found.error().message().c_str());
}

void the_first_will_do() {
  const auto answers = weft::make_chan<std::string>(1), slow = weft::make_chan<std::string>();
  weft::wait_group all;
  {
    const auto [ctx, cancel] = weft::with_cancel(weft::background());
    all.go([answers, ctx = ctx] { static_cast<void>(answers.send("cache", ctx)); });
    all.go([slow, ctx = ctx] { std::printf("disk: %s\n", slow.recv(ctx).error().message().c_str()); });
    std::printf("first: %s\n", answers.recv()->c_str());
  }  // the others are cancelled here
  all.wait();
}

void in_a_loop() {
  const auto values = weft::make_chan<int>();
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  weft::go([values, cancel = &cancel] {
    for (int i = 1; i <= 3; i++) values.send(i);
    (*cancel)();
  });
  int sum = 0;
  for (bool going = true; going;) {
    weft::select(weft::on_recv(values, [&](std::optional<int> v) { sum += *v; }),  //
                 weft::on_context(ctx, [&] { going = false; }));
  }
  std::printf("sum until cancelled: %d\n", sum);
}

void why() {
  const auto [ctx, cancel] = weft::with_cancel_cause(weft::background());
  cancel(std::make_exception_ptr(std::runtime_error("the user has left")));
  try {
    std::rethrow_exception(ctx.cause());
  } catch (const std::exception& e) {
    std::printf("%s: %s\n", ctx.err().message().c_str(), e.what());
  }
}

constexpr weft::context_key<std::string> request_id{"request_id"};

void log_line(const weft::context& ctx, const char* text) {
  const std::string* id = ctx.value(request_id);
  std::printf("[%s] %s\n", id ? id->c_str() : "-", text);
}

void values() {
  const weft::context ctx = weft::with_value(weft::background(), request_id, "r-17");
  log_line(ctx, "hello");
  log_line(weft::background(), "nobody asked");
}

void at_the_end() {
  const auto done = weft::make_chan<void>();
  const auto [ctx, cancel] = weft::with_cancel(weft::background());
  const auto stop = weft::after_func(ctx, [done] { done.send(); });
  cancel();
  done.recv();
  std::printf("it ran: stop() says %s\n", stop() ? "true" : "false");
}

// Code that computes asks now and then; what knows only std::stop_token gets one.
void code_of_others() {
  const auto [ctx, cancel] = weft::with_timeout(weft::background(), 10ms);
  long rounds = 0;
  for (const std::stop_token token = ctx.get_stop_token(); !token.stop_requested(); rounds++) weft::this_goroutine::yield();
  std::printf("stopped after %s\n", rounds > 0 ? "some rounds" : "none");
}

}  // namespace

int main() {
  return weft::run([] {
    until_a_time();
    the_first_will_do();
    in_a_loop();
    why();
    values();
    at_the_end();
    code_of_others();
  });
}
