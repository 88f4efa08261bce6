// parallel.hpp: loops over all processors.
// A loop is cut in two only when somebody is hungry: when this processor's list of unstarted tasks, from which the others take, is
// empty (lazy binary splitting; Tzannes et al. 2010). So it runs serially while there is one processor, and a loop of unequal steps is
// cut finer where it takes longer. Between chunks it looks whether another part has failed, and lets others run when asked to.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/context.hpp>
#include <weft/detail/config.hpp>
#include <weft/run.hpp>
#include <weft/task_group.hpp>

namespace weft {

struct parallel_options {
  // What changes behaviour:
  context ctx = background();  ///< when it is done no new chunk begins, and the loop throws std::system_error with its error
  // What changes only speed:
  std::size_t grain = 1;  ///< steps that are never cut apart; raise it when cutting costs more than a few of them
};

namespace detail {

/// Between two chunks: a safe point, then whether another processor would take a part.
WEFT_API bool split_wanted() noexcept;

/// What a loop counts with: an integer or a random access iterator.
template <class I>
concept loop_index = std::integral<I> || std::random_access_iterator<I>;

template <loop_index I>
constexpr I advanced(I i, std::uint64_t n) {
  if constexpr (std::integral<I>) return static_cast<I>(static_cast<std::uint64_t>(i) + n);
  else return i + static_cast<std::iter_difference_t<I>>(n);
}
template <loop_index I>
constexpr std::uint64_t steps(const I& first, const I& last) {
  if constexpr (std::integral<I>) return first < last ? static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) : 0;
  else return last - first > 0 ? static_cast<std::uint64_t>(last - first) : 0;
}

/// One loop: what its parts share.
template <class I, class Chunk>
struct parallel_loop {
  Chunk& chunk;  // (first, last): what it gives, if anything, is joined by Join
  const parallel_options& options;
  const std::uint64_t grain = std::max<std::uint64_t>(options.grain, 1);
  const done_core* const done = options.ctx.done_core();
  std::atomic<bool> failed{false};

  [[nodiscard]] bool goes_on() const noexcept {
    return !failed.load(std::memory_order_relaxed) && !(done && done->done.load(std::memory_order_acquire));  // [mo:done]
  }
  /// At the end: whether it has been left undone.
  void check() const {
    if (done && !goes_on()) throw_system_error(options.ctx.err());
  }

  // Few enough that what lies between them costs nothing, many enough that the last of them are short.
  [[nodiscard]] std::uint64_t next_chunk(std::uint64_t n) const noexcept { return std::min(n, std::max(grain, n / 64)); }
  [[nodiscard]] bool may_split(std::uint64_t n) const noexcept { return n > grain && split_wanted(); }

  struct part {  // while it lives, an exception ends the loop everywhere
    std::atomic<bool>& failed;
    bool whole = false;
    ~part() {
      if (!whole) failed.store(true, std::memory_order_relaxed);
    }
  };

  void run(I first, std::uint64_t n) {
    while (n > 0 && goes_on()) {
      if (may_split(n)) {
        const std::uint64_t upper = n / 2, lower = n - upper;
        task_group g;
        g.go([this, from = advanced(first, lower), upper] { run(from, upper); });
        run(first, lower);
        return g.wait();
      }
      const std::uint64_t k = next_chunk(n);
      const I last = advanced(first, k);
      part p{failed};
      chunk(first, last);
      p.whole = true;
      first = last;
      n -= k;
    }
  }

  /// The same with a result; n > 0. Empty when the loop has failed elsewhere.
  template <class T, class Join>
  void run(I first, std::uint64_t n, std::optional<T>& result, Join& join) {
    const auto add = [&](std::optional<T>&& more) {
      if (more && result) result.emplace(std::invoke(join, *std::move(result), *std::move(more)));
      else if (more) result = std::move(more);
    };
    while (n > 0 && goes_on()) {
      if (may_split(n)) {
        const std::uint64_t upper = n / 2, lower = n - upper;
        std::optional<T> above;
        {
          task_group g;
          g.go([this, &join, &above, from = advanced(first, lower), upper] { run(from, upper, above, join); });
          run(first, lower, result, join);
          g.wait();
        }
        part p{failed};
        add(std::move(above));
        p.whole = true;
        return;
      }
      const std::uint64_t k = next_chunk(n);
      const I last = advanced(first, k);
      part p{failed};
      add(std::optional<T>(chunk(first, last)));
      p.whole = true;
      first = last;
      n -= k;
    }
  }
};

template <class I, class Chunk>
void run_loop(I first, const I& last, Chunk&& chunk, const parallel_options& options) {
  parallel_loop<I, std::remove_reference_t<Chunk>> loop{chunk, options};
  loop.run(first, steps(first, last));
  loop.check();
}

}  // namespace detail

/// Calls f(i) once for each i from first up to, but without, last: in any order, several at once, by reference to the one f. i is an
/// integer or a random access iterator. An f that takes two arguments is called as f(from, to) with whole chunks instead.
///
/// When a call throws, no new chunk begins; one of the exceptions is rethrown when all has ended.
/// Parks: yes.    Threads: any; a plain one takes part.    Allocates: a block of the processor's cache a cut.
/// Example: examples/structured.cpp
template <class First, class Last, class F>
  requires(std::integral<First> && std::integral<Last>) || (std::random_access_iterator<First> && std::same_as<First, Last>)
void parallel_for(First first, Last last, F&& f, const parallel_options& options = {}) {
  using index = std::common_type_t<First, Last>;
  detail::run_loop<index>(
      static_cast<index>(first), static_cast<index>(last),
      [&f](const index& from, const index& to) {
        if constexpr (std::is_invocable_v<F&, index, index>) {
          std::invoke(f, from, to);
        } else {
          F& body = f;  // in registers, with the end: what a step writes might be either as far as the compiler knows
          for (index i = from, end = to; i != end; ++i) std::invoke(body, i);
        }
      },
      options);
}
/// The same for the elements of a range with random access: f(element).
template <std::ranges::random_access_range R, class F>
  requires std::ranges::sized_range<R>
void parallel_for(R&& range, F&& f, const parallel_options& options = {}) {
  const auto first = std::ranges::begin(range);
  detail::run_loop(
      first, first + static_cast<std::ranges::range_difference_t<R>>(std::ranges::size(range)),
      [&f](auto from, const auto to) {
        F& body = f;  // see above
        for (; from != to; ++from) std::invoke(body, *from);
      },
      options);
}

/// Calls f(element) once for each element of any range. Without random access one goroutine goes through it, and each element is a
/// task; of a single-pass range the elements are moved into those.
/// Parks: yes.    Threads: any.    Allocates: blocks of the processor's cache.
template <std::ranges::input_range R, class F>
void parallel_for_each(R&& range, F&& f, const parallel_options& options = {}) {
  if constexpr (std::ranges::random_access_range<R> && std::ranges::sized_range<R>) {
    parallel_for(range, f, options);
  } else {
    task_group g(options.ctx, task_group_options{.limit = 16 * std::max(procs(), 1)});
    for (auto i = std::ranges::begin(range); i != std::ranges::end(range) && !g.cancelled(); ++i) {
      if constexpr (std::ranges::forward_range<R>) g.go([&f, i] { static_cast<void>(std::invoke(f, *i)); });
      else g.go([&f](std::ranges::range_value_t<R>&& v) { static_cast<void>(std::invoke(f, std::move(v))); }, std::ranges::iter_move(i));
    }
    g.wait();
    if (const std::error_code e = options.ctx.err()) detail::throw_system_error(e);
  }
}

/// join(...join(init, f(first))..., f(last - 1)) with the brackets set in any way, but in this order: join must be associative, it
/// need not be commutative. init counts once. An f that takes two arguments reduces whole chunks: f(from, to), from != to.
/// Exceptions as in parallel_for.
/// Parks: yes.    Threads: any.    Allocates: a block of the processor's cache a cut.
template <class First, class Last, class T, class F, class Join = std::plus<>>
  requires(std::integral<First> && std::integral<Last>) || (std::random_access_iterator<First> && std::same_as<First, Last>)
[[nodiscard]] T parallel_reduce(First first, Last last, T init, F&& f, Join&& join = {}, const parallel_options& options = {}) {
  using index = std::common_type_t<First, Last>;
  auto chunk = [&](index from, const index& to) -> T {
    if constexpr (std::is_invocable_v<F&, index, index>) {
      return std::invoke(f, from, to);
    } else {
      T sum = std::invoke(f, from);
      for (++from; from != to; ++from) sum = std::invoke(join, std::move(sum), std::invoke(f, from));
      return sum;
    }
  };
  detail::parallel_loop<index, decltype(chunk)> loop{chunk, options};
  std::optional<T> result(std::move(init));
  loop.run(static_cast<index>(first), detail::steps<index>(static_cast<index>(first), static_cast<index>(last)), result, join);
  loop.check();
  return *std::move(result);
}
/// The same over the elements of a range with random access.
template <std::ranges::random_access_range R, class T, class Join = std::plus<>>
  requires std::ranges::sized_range<R>
[[nodiscard]] T parallel_reduce(R&& range, T init, Join&& join = {}, const parallel_options& options = {}) {
  const auto first = std::ranges::begin(range);
  return parallel_reduce(
      first, first + static_cast<std::ranges::range_difference_t<R>>(std::ranges::size(range)), std::move(init),
      [](const auto& i) -> T { return *i; }, join, options);
}

/// Calls all functions, at once as far as there are processors: the first one here. One of their exceptions is rethrown when all
/// have ended.
/// Parks: yes.    Threads: any.    Allocates: a block of the processor's cache a function.
template <class F, class... Fs>
void parallel_invoke(F&& f, Fs&&... fs) {
  task_group g;
  const std::tuple<Fs&...> rest(fs...);
  // By itself: clang 19 crashes over an init-capture of an element of the pack.
  const auto start = [&g](auto& other) { g.go([&other] { static_cast<void>(std::invoke(other)); }); };
  [&]<std::size_t... I>(std::index_sequence<I...>) {  // the last first: newest is what runs next
    (start(std::get<sizeof...(Fs) - 1 - I>(rest)), ...);
  }(std::index_sequence_for<Fs...>());
  static_cast<void>(std::invoke(f));
  g.wait();
}

}  // namespace weft
