// chat.cpp: a chat server over TCP; talk to it with `nc 127.0.0.1 7777`. The first line is your name; each further one goes to
// everybody. Two goroutines per client, one that reads and one that writes, and one hub that alone knows who is there: it
// shares nothing, all tell it what happens through one channel.
//   chat [ADDRESS]         serves, on 127.0.0.1:7777 if no address is given
//   chat --selftest [N]    serves, and dials itself with N clients that check that each message reaches everybody
// weft-example: args=--selftest
#include <weft/weft.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using line = std::shared_ptr<const std::string>;  // one text, sent to many

/// Reads a stream by lines.
class line_reader {
 public:
  explicit line_reader(weft::net::stream s) : stream_(std::move(s)) {}

  /// The next line without its end; nothing at the end of the stream, after an error, or for a line that is too long.
  std::optional<std::string> next() {
    for (;;) {
      if (const std::size_t end = buffer_.find('\n'); end != buffer_.npos) {
        std::string text = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        if (text.ends_with('\r')) text.pop_back();
        return text;
      }
      if (buffer_.size() > 4096) return std::nullopt;
      char bytes[1024];
      std::error_code ec;
      const std::size_t n = stream_.read_some(std::as_writable_bytes(std::span(bytes)), ec);
      if (n == 0) return std::nullopt;
      buffer_.append(bytes, n);
    }
  }

 private:
  weft::net::stream stream_;
  std::string buffer_;
};

struct event {
  enum { joins, says, leaves } what;
  int client;
  std::string text;           // joins: the name
  weft::sender<line> outbox;  // joins: where this client's lines go
};

/// The one goroutine that knows all clients.
void hub(weft::receiver<event> events) {
  struct member {
    std::string name;
    weft::sender<line> outbox;
  };
  std::map<int, member> members;
  const auto tell_all = [&](const std::string& text) {
    const auto shared = std::make_shared<const std::string>(text + '\n');
    for (auto m = members.begin(); m != members.end();) {
      if (m->second.outbox.try_send(shared)) {
        ++m;
      } else {  // who does not read must not hold up the others
        m->second.outbox.close();
        m = members.erase(m);
      }
    }
  };
  for (event& e : events) {
    const auto m = members.find(e.client);
    switch (e.what) {
      case event::joins:
        members[e.client] = {e.text, e.outbox};
        tell_all("* " + e.text + " is here");
        break;
      case event::says:
        if (m != members.end()) tell_all(m->second.name + ": " + e.text);
        break;
      case event::leaves:
        if (m == members.end()) break;
        const std::string name = m->second.name;
        m->second.outbox.close();
        members.erase(m);
        tell_all("* " + name + " has left");
        break;
    }
  }
}

void serve_client(int number, weft::net::stream stream, weft::sender<event> events) {
  const auto outbox = weft::make_chan<line>(1024);
  weft::wait_group writing;
  writing.go([outbox, stream]() mutable {
    std::error_code ec;
    for (const line& l : outbox)
      if (!ec) stream.write_all(*l, ec);
    stream.close();  // wakes the reader below
  });
  line_reader lines(stream);
  if (const auto name = lines.next()) {
    events.send({event::joins, number, *name, outbox});
    while (const auto text = lines.next()) events.send({event::says, number, *text, {}});
    events.send({event::leaves, number, {}, {}});  // the hub closes the outbox
  } else {
    outbox.close();
  }
  writing.wait();
}

void serve(weft::net::listener listener) {
  const auto events = weft::make_chan<event>(64);
  weft::go(hub, weft::receiver<event>(events));
  std::error_code ec;
  for (int number = 1;; ++number) {
    weft::net::stream s = listener.accept(ec);
    if (ec) break;
    weft::go(serve_client, number, std::move(s), weft::sender<event>(events));
  }
}

// --- the test ---

constexpr int messages = 10;

/// One client: enters, waits until all are in, talks, and listens until it has heard everything. Gives what went wrong.
std::string talk(const std::string& address, int me, int clients, weft::wait_group& entering) {
  const std::string name = "client" + std::to_string(me);
  weft::net::stream s = weft::net::dial("tcp", address);
  s.set_deadline(std::chrono::steady_clock::now() + std::chrono::seconds(20));
  line_reader lines(s);
  s.write_all(name + '\n');
  auto text = lines.next();
  while (text && *text != "* " + name + " is here") text = lines.next();
  entering.done();
  if (!text) return "was not let in";
  entering.wait();

  for (int m = 0; m < messages; ++m) s.write_all("message " + std::to_string(m) + '\n');
  std::map<std::string, int> heard;  // how many messages of whom
  for (int left = messages * clients; left > 0;) {
    text = lines.next();
    if (!text) return "did not hear " + std::to_string(left) + " of the messages";
    if (text->starts_with("* ")) continue;  // somebody comes or goes
    const std::string from = text->substr(0, text->find(':'));
    if (*text != from + ": message " + std::to_string(heard[from])) return "out of order: " + *text;
    ++heard[from];
    --left;
  }
  s.close();
  return static_cast<int>(heard.size()) == clients ? "" : "did not hear everybody";
}

int selftest(int clients) {
  weft::net::listener listener = weft::net::listen("tcp", "127.0.0.1:0");
  weft::go(serve, listener);
  weft::wait_group entering;
  entering.add(clients);
  std::vector<weft::task<std::string>> tasks;
  for (int i = 0; i < clients; ++i) tasks.push_back(weft::async(talk, listener.address(), i, clients, std::ref(entering)));
  int bad = 0;
  for (int i = 0; i < clients; ++i) {
    const std::string wrong = tasks[i].join();
    if (wrong.empty()) continue;
    std::printf("client%d: %s\n", i, wrong.c_str());
    ++bad;
  }
  listener.close();
  if (bad == 0) std::printf("%d messages of each of %d clients reached everybody\n", messages, clients);
  return bad == 0 ? 0 : 1;
}

int app(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--selftest") return selftest(argc > 2 ? std::atoi(argv[2]) : 20);
  std::error_code ec;
  weft::net::listener listener = weft::net::listen("tcp", argc > 1 ? argv[1] : "127.0.0.1:7777", {}, ec);
  if (ec) {
    std::fprintf(stderr, "chat: cannot listen: %s\n", ec.message().c_str());
    return 1;
  }
  std::printf("chat: listening on %s\n", listener.address().c_str());
  serve(listener);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return weft::run(app, argc, argv); }
