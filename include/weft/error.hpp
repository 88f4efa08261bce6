// error.hpp: what went wrong, in the standard library's terms.
// The world's failures (a time-out, a closed connection) are values: `errc` in weft's error category, carried by
// std::error_code, std::system_error or `result<T>`. A goroutine's own mistakes are exceptions derived from `panic`,
// with Go's text; uncaught, they end the process. What is beyond repair never reaches the program: see docs/guide/failure.md.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <weft/detail/config.hpp>

namespace weft {

/// The failures that weft itself reports. The system's own stay in std::system_category().
enum class errc {
  canceled = 1,       ///< "context canceled"
  deadline_exceeded,  ///< "context deadline exceeded"
  timed_out,          ///< "i/o timeout"; equals std::errc::timed_out
  closed,             ///< "use of closed network connection"
  channel_closed,     ///< "channel closed"
  would_block,        ///< "operation would block"; equals std::errc::operation_would_block
  eof,                ///< "EOF": the stream ended before the buffer was full
};

/// weft's category: name "weft", messages as in the comments of errc.
WEFT_API const std::error_category& error_category() noexcept;
inline std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), error_category()}; }

/// Whether waiting longer could have helped: timed_out, deadline_exceeded and the system's ETIMEDOUT.
WEFT_API bool is_timeout(const std::error_code& ec) noexcept;

/// A run-time error of one goroutine's program, with Go's text. Uncaught it ends the process with status 2.
class WEFT_API panic : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  panic(const panic&) = default;
  ~panic() override;
};
class WEFT_API closed_channel : public panic {  ///< "send on closed channel"
 public:
  closed_channel();
};
class WEFT_API close_of_closed_channel : public panic {  ///< "close of closed channel"
 public:
  close_of_closed_channel();
};
class WEFT_API close_of_nil_channel : public panic {  ///< "close of nil channel"
 public:
  close_of_nil_channel();
};
class WEFT_API task_exited : public panic {  ///< "join of a task that called this_goroutine::exit"
 public:
  task_exited();
};
class WEFT_API bad_chan_size : public panic {  ///< "makechan: size out of range"
 public:
  bad_chan_size();
};

namespace detail {
[[noreturn]] WEFT_API void throw_system_error(std::error_code ec);  // cold, so that callers stay small
}

/// A value, or the reason why there is none. Like std::expected<T, std::error_code>, which C++20 does not have yet.
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  result(T value)
    requires(!std::is_same_v<T, std::error_code> && !std::is_same_v<T, errc>)
      : value_(std::move(value)) {}
  /// For a T that is itself an error: result<errc>(std::in_place, e).
  template <class... Args>
  explicit result(std::in_place_t, Args&&... args) : value_(std::in_place, std::forward<Args>(args)...) {}
  result(std::error_code why) noexcept : error_(why) {}
  result(errc why) noexcept : error_(make_error_code(why)) {}

  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  /// Undefined without a value, as std::optional's.
  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T&& operator*() && noexcept { return *std::move(value_); }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }
  /// Throws std::system_error with error() when there is no value.
  T& value() & { return check(), *value_; }
  const T& value() const& { return check(), *value_; }
  T&& value() && { return check(), *std::move(value_); }
  /// The reason; a default error_code (no error) when there is a value.
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

 private:
  void check() const {
    if (WEFT_UNLIKELY(!value_)) detail::throw_system_error(error_);
  }
  std::optional<T> value_;
  std::error_code error_;
};

template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  result() noexcept = default;
  result(std::error_code why) noexcept : error_(why) {}
  result(errc why) noexcept : error_(make_error_code(why)) {}
  [[nodiscard]] bool has_value() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (WEFT_UNLIKELY(static_cast<bool>(error_))) detail::throw_system_error(error_);
  }
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

 private:
  std::error_code error_;
};

}  // namespace weft

template <>
struct std::is_error_code_enum<weft::errc> : std::true_type {};
