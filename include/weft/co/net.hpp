// co/net.hpp: sockets for coroutines: the operations of stream and listener, awaited. A coroutine that waits for a peer keeps
// no stack. Deadlines, close() and errors are those of <weft/net.hpp>; both kinds may use one stream.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>

#include <weft/co/task.hpp>
#include <weft/detail/config.hpp>
#include <weft/net.hpp>

namespace weft::co {

// Each is a coroutine of its own, which keeps the stream; the buffer and ec must live until it has ended. The form without ec
// throws std::system_error.    Threads: any.    Allocates: its frame, from the processor's cache.

/// co_await read_some(s, buffer): what is there, waiting for the first byte; 0 at the end of the stream.
WEFT_API task<std::size_t> read_some(net::stream s, std::span<std::byte> buffer);
WEFT_API task<std::size_t> read_some(net::stream s, std::span<std::byte> buffer, std::error_code& ec);
/// co_await read_full(s, buffer): fills the buffer; errc::eof when the stream ends before. How many bytes came.
WEFT_API task<std::size_t> read_full(net::stream s, std::span<std::byte> buffer);
WEFT_API task<std::size_t> read_full(net::stream s, std::span<std::byte> buffer, std::error_code& ec);
/// co_await write_some(s, data): what fits into the socket's buffer, waiting for room for the first byte.
WEFT_API task<std::size_t> write_some(net::stream s, std::span<const std::byte> data);
WEFT_API task<std::size_t> write_some(net::stream s, std::span<const std::byte> data, std::error_code& ec);
/// co_await write_all(s, data): all of it; no other writer's bytes come between. How many were written.
WEFT_API task<std::size_t> write_all(net::stream s, std::span<const std::byte> data);
WEFT_API task<std::size_t> write_all(net::stream s, std::span<const std::byte> data, std::error_code& ec);
inline task<std::size_t> write_all(net::stream s, std::string_view text) { return write_all(s, std::as_bytes(std::span(text))); }
inline task<std::size_t> write_all(net::stream s, std::string_view text, std::error_code& ec) { return write_all(s, std::as_bytes(std::span(text)), ec); }
/// co_await accept(l): the next connection.
WEFT_API task<net::stream> accept(net::listener l);
WEFT_API task<net::stream> accept(net::listener l, std::error_code& ec);

}  // namespace weft::co
