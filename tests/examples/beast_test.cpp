// beast_test.cpp: <weft/beast.hpp>, by Boost.Beast's own functions on both ends of a connection.
// weft-test: procs=1,2 emulated=0
#if __has_include(<boost/beast/http.hpp>)
#include <cerrno>
#include <future>
#include <string>

#include "support/support.hpp"

#include <weft/beast.hpp>

#include <boost/beast/core/buffers_cat.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http.hpp>

using namespace weft::test;
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace net = weft::net;

static_assert(beast::is_sync_stream<net::beast_stream>::value);
static_assert(std::is_same_v<beast::lowest_layer_type<net::beast_stream>, net::stream>);

namespace {

struct connection {
  net::beast_stream a, b;
  connection() {
    auto l = net::listen("tcp", "127.0.0.1:0");
    weft::wait_group done;
    done.go([&] { b = net::beast_stream(l.accept()); });
    a = net::beast_stream(net::dial("tcp", l.address()));
    done.wait();
  }
};

}  // namespace

WEFT_TEST(beast, messages_go_through_its_parser_and_serializer) {
  connection c;
  weft::wait_group done;
  done.go([&] {
    beast::flat_buffer buffer;
    for (;;) {
      http::request<http::string_body> request;
      beast::error_code ec;
      http::read(c.b, buffer, request, ec);
      if (ec) {
        EXPECT_EQ(ec, http::error::end_of_stream) << ec.message();
        return c.b.next_layer().close();
      }
      http::response<http::string_body> response{http::status::ok, request.version(), request.body()};
      response.prepare_payload();
      EXPECT_GT(http::write(c.b, response), request.body().size());
    }
  });
  beast::flat_buffer buffer;
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, std::size_t{5'000}, std::size_t{900'000}}) {
    http::request<http::string_body> request{http::verb::post, "/echo", 11, std::string(size, 'x')};
    request.set(http::field::host, "localhost");
    request.prepare_payload();
    http::write(c.a, request);
    http::response<http::string_body> response;
    http::read(c.a, buffer, response);
    EXPECT_EQ(response.body(), request.body());
  }
  c.a.next_layer().close();
  done.wait();
}

// Beast tells the two ends apart by what it has parsed so far; it needs exactly asio's eof for that.
WEFT_TEST(beast, an_end_inside_a_message_is_partial) {
  connection c;
  c.a.next_layer().write_all("GET / HTTP/1.1\r\nHo");
  c.a.next_layer().close();
  beast::flat_buffer buffer;
  http::request<http::empty_body> request;
  beast::error_code ec;
  http::read(c.b, buffer, request, ec);
  EXPECT_EQ(ec, http::error::partial_message);
  char byte;
  EXPECT_EQ(c.b.read_some(asio::buffer(&byte, 1), ec), 0u);
  EXPECT_EQ(ec, asio::error::eof);
  EXPECT_THROW(c.b.read_some(asio::buffer(&byte, 1)), beast::system_error);
}

WEFT_TEST(beast, errors_come_as_boost_has_them) {
  connection c;
  beast::error_code ec;
  char bytes[16];
  c.b.next_layer().set_read_deadline(steady::now() + 1ms);
  EXPECT_EQ(c.b.read_some(asio::buffer(bytes), ec), 0u);
  EXPECT_EQ(ec, beast::error::timeout);
  EXPECT_EQ(ec, beast::condition::timeout);
  c.b.next_layer().close();
  c.b.read_some(asio::buffer(bytes), ec);
  EXPECT_EQ(ec, asio::error::operation_aborted);
  c.b.write_some(asio::buffer(bytes), ec);
  EXPECT_EQ(ec, asio::error::operation_aborted);
  c.a.next_layer().close();

  EXPECT_FALSE(net::to_boost_error({}));
  EXPECT_EQ(net::to_boost_error({ECONNRESET, std::system_category()}), asio::error::connection_reset);
  EXPECT_EQ(net::to_boost_error(std::make_error_code(std::errc::io_error)), boost::system::errc::io_error);
  EXPECT_EQ(net::to_boost_error(weft::errc::eof), asio::error::eof);
  EXPECT_TRUE(net::to_boost_error(std::make_error_code(std::future_errc::broken_promise)));
}

WEFT_TEST(beast, an_operation_without_bytes_does_nothing) {
  connection c;
  beast::error_code ec = asio::error::eof;
  EXPECT_EQ(c.a.read_some(asio::mutable_buffer(), ec), 0u);
  EXPECT_FALSE(ec);
  ec = asio::error::eof;
  EXPECT_EQ(c.a.write_some(asio::const_buffer(), ec), 0u);
  EXPECT_FALSE(ec);
}

// A header in twenty pieces would else be twenty packets.
WEFT_TEST(beast, small_buffers_are_sent_together) {
  connection c;
  const std::string one(10, 'a'), two(20, 'b'), large(10'000, 'c');
  beast::error_code ec;
  const auto pieces = beast::buffers_cat(asio::buffer(one), asio::const_buffer(), asio::buffer(two));
  EXPECT_EQ(c.a.write_some(pieces, ec), 30u);
  char bytes[100];
  EXPECT_EQ(c.b.read_some(asio::buffer(bytes), ec), 30u);
  EXPECT_EQ(std::string(bytes, 30), one + two);
  EXPECT_EQ(c.a.write_some(beast::buffers_cat(asio::buffer(one), asio::buffer(large)), ec), 4096u);
  EXPECT_EQ(c.a.write_some(beast::buffers_cat(asio::const_buffer(), asio::buffer(large), asio::buffer(one)), ec), large.size());
}
#endif
