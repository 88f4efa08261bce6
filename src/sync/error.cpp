// sync/error.cpp: see <weft/error.hpp>.
#include <weft/error.hpp>

namespace weft {

namespace {

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "weft"; }
  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::canceled: return "context canceled";
      case errc::deadline_exceeded: return "context deadline exceeded";
      case errc::timed_out: return "i/o timeout";
      case errc::closed: return "use of closed network connection";
      case errc::channel_closed: return "channel closed";
      case errc::would_block: return "operation would block";
      case errc::eof: return "EOF";
    }
    return "unknown error";
  }
  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<errc>(value)) {
      case errc::canceled: return std::errc::operation_canceled;
      case errc::deadline_exceeded:
      case errc::timed_out: return std::errc::timed_out;
      case errc::would_block: return std::errc::operation_would_block;
      default: return {value, *this};
    }
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const category* the_category = new category();  // never destroyed: error codes outlive static destructors
  return *the_category;
}

bool is_timeout(const std::error_code& ec) noexcept { return ec == std::errc::timed_out; }

panic::~panic() = default;
closed_channel::closed_channel() : panic("send on closed channel") {}
close_of_closed_channel::close_of_closed_channel() : panic("close of closed channel") {}
close_of_nil_channel::close_of_nil_channel() : panic("close of nil channel") {}
task_exited::task_exited() : panic("join of a task that called this_goroutine::exit") {}
bad_chan_size::bad_chan_size() : panic("makechan: size out of range") {}

namespace detail {
void throw_system_error(std::error_code ec) { throw std::system_error(ec); }
}  // namespace detail

}  // namespace weft
