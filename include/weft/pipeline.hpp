// pipeline.hpp: values that go through stages, each in goroutines of its own, joined by channels.
//
//   weft::pipeline::from(paths)
//       | weft::pipeline::transform(read_file, {.workers = 8, .ordered = true})
//       | weft::pipeline::filter([](const file& f) { return !f.text.empty(); })
//       | weft::pipeline::for_each(print);
//
// The last stage runs it, in the calling goroutine, and returns when all goroutines of all stages have ended. Channels hold few
// values, so a slow stage holds up those before it: memory stays bounded, however long the source is. When a stage throws, all end
// soon, and one such exception is rethrown.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/chan.hpp>
#include <weft/context.hpp>
#include <weft/detail/config.hpp>
#include <weft/error.hpp>
#include <weft/task_group.hpp>

namespace weft::pipeline {

struct stage_options {
  // What changes behaviour:
  int workers = 1;       ///< calls at the same time, at least 1
  bool ordered = false;  ///< transform with several workers: results come in the order of the values they were made of
  // What changes only speed and memory:
  int buffer = 16;  ///< values that may wait behind the stage
};

namespace detail {

/// One run of a pipeline: its goroutines, which end when its group is cancelled.
class run {
 public:
  explicit run(const context& parent) : group_(parent) {}

  template <class F>
  void go(F f) {
    group_.go(std::move(f));
  }
  /// All have ended: rethrows what one has thrown.
  void wait() { group_.wait(); }
  /// The next value; nullopt when there is none, or all should end.
  template <class T>
  std::optional<T> recv(const receiver<T>& c) {
    auto r = c.recv(group_.context());
    return r ? std::optional<T>(*std::move(r)) : std::nullopt;
  }
  /// False when all should end: then v is lost.
  template <class T>
  bool send(const chan<T>& c, T v) {
    return c.send(std::move(v), group_.context()).has_value();
  }

 private:
  task_group group_;
};

template <class T>
struct stage {
  virtual ~stage() = default;
  /// Starts the goroutines of this stage and of those before it.
  virtual receiver<T> start(run& r) = 0;
};

inline int checked(int n) { return std::max(n, 1); }

}  // namespace detail

/// A pipeline without its end: gives Ts. Move-only; it runs once.
template <class T>
class [[nodiscard]] flow {
 public:
  using value_type = T;
  explicit flow(std::unique_ptr<detail::stage<T>> s) noexcept : stage_(std::move(s)) {}

  /// For stages that follow.
  [[nodiscard]] std::unique_ptr<detail::stage<T>> take() && noexcept { return std::move(stage_); }

 private:
  std::unique_ptr<detail::stage<T>> stage_;
};

/// The elements of any range, in order: by value, or by reference to a range that outlives the run.    Example: examples/structured.cpp
template <std::ranges::input_range R>
  requires std::ranges::viewable_range<R>
auto from(R&& range, const stage_options& options = {}) {
  using view = std::views::all_t<R>;
  using value = std::ranges::range_value_t<R>;
  struct source final : detail::stage<value> {
    source(view v, int n) : elements(std::move(v)), buffer(n) {}
    receiver<value> start(detail::run& r) override {
      auto out = make_chan<value>(buffer);
      r.go([this, &r, out] {
        for (auto&& v : elements)
          if (!r.send(out, value(std::forward<decltype(v)>(v)))) return;
        out.close();
      });
      return out;
    }
    view elements;
    int buffer;
  };
  return flow<value>(std::make_unique<source>(std::views::all(std::forward<R>(range)), detail::checked(options.buffer)));
}

/// What f() gives, until that is nullopt.
template <std::invocable F>
auto generate(F f, const stage_options& options = {}) {
  using value = typename std::invoke_result_t<F&>::value_type;
  struct source final : detail::stage<value> {
    source(F g, int n) : make(std::move(g)), buffer(n) {}
    receiver<value> start(detail::run& r) override {
      auto out = make_chan<value>(buffer);
      r.go([this, &r, out] {
        while (std::optional<value> v = std::invoke(make))
          if (!r.send(out, *std::move(v))) return;
        out.close();
      });
      return out;
    }
    F make;
    int buffer;
  };
  return flow<value>(std::make_unique<source>(std::move(f), detail::checked(options.buffer)));
}

template <class F>
struct transform_stage {
  F f;
  stage_options options;

  template <class T>
  friend auto operator|(flow<T> before, transform_stage self) {
    using value = std::remove_cvref_t<std::invoke_result_t<F&, T&&>>;
    static_assert(std::is_object_v<value>, "weft::pipeline::transform: f returns nothing; for_each is for that");
    struct here final : detail::stage<value> {
      here(std::unique_ptr<detail::stage<T>> b, transform_stage s) : before(std::move(b)), f(std::move(s.f)), options(s.options) {}
      receiver<value> start(detail::run& r) override {
        const receiver<T> in = before->start(r);
        auto out = make_chan<value>(detail::checked(options.buffer));
        const int workers = detail::checked(options.workers);
        if (options.ordered && workers > 1) start_ordered(r, in, out, workers);
        else start_any(r, in, out, workers);
        return out;
      }
      void start_any(detail::run& r, const receiver<T>& in, const chan<value>& out, int workers) {
        left = workers;
        for (int i = 0; i < workers; i++) {
          r.go([this, &r, in, out] {
            while (std::optional<T> v = r.recv(in))
              if (!r.send(out, value(std::invoke(f, *std::move(v))))) return;
            if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) out.close();  // [mo:own] the others have sent what they had
          });
        }
      }
      // Each value gets a place in a queue, where its result is waited for in order. The queue holds as many as may be at work, less the
      // one that is waited for.
      void start_ordered(detail::run& r, const receiver<T>& in, const chan<value>& out, int workers) {
        auto places = make_chan<chan<value>>(workers - 1);
        r.go([this, &r, in, places] {
          while (std::optional<T> v = r.recv(in)) {
            auto place = make_chan<value>(1);
            if (!r.send(places, place)) return;
            r.go([this, &r, place, v = *std::move(v)]() mutable { static_cast<void>(r.send(place, value(std::invoke(f, std::move(v))))); });
          }
          places.close();
        });
        r.go([&r, places, out] {
          while (const auto place = r.recv(receiver<chan<value>>(places))) {
            std::optional<value> v = r.recv(receiver<value>(*place));
            if (!v || !r.send(out, *std::move(v))) return;
          }
          out.close();
        });
      }
      std::unique_ptr<detail::stage<T>> before;
      F f;
      stage_options options;
      std::atomic<int> left{0};
    };
    return flow<value>(std::make_unique<here>(std::move(before).take(), std::move(self)));
  }
};

/// f(value) for each, by `workers` goroutines at the same time.
template <class F>
[[nodiscard]] auto transform(F f, const stage_options& options = {}) {
  return transform_stage<F>{std::move(f), options};
}

template <class F>
struct filter_stage {
  F pred;
  stage_options options;

  template <class T>
  friend flow<T> operator|(flow<T> before, filter_stage self) {
    struct here final : detail::stage<T> {
      here(std::unique_ptr<detail::stage<T>> b, filter_stage s) : before(std::move(b)), pred(std::move(s.pred)), options(s.options) {}
      receiver<T> start(detail::run& r) override {
        const receiver<T> in = before->start(r);
        auto out = make_chan<T>(detail::checked(options.buffer));
        left = detail::checked(options.workers);
        for (int i = left; i > 0; i--) {
          r.go([this, &r, in, out] {
            while (std::optional<T> v = r.recv(in))
              if (std::invoke(pred, std::as_const(*v)) && !r.send(out, *std::move(v))) return;
            if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) out.close();  // [mo:own]
          });
        }
        return out;
      }
      std::unique_ptr<detail::stage<T>> before;
      F pred;
      stage_options options;
      std::atomic<int> left{0};
    };
    return flow<T>(std::make_unique<here>(std::move(before).take(), std::move(self)));
  }
};

/// The values that pred likes, in order when there is one worker.
template <class F>
[[nodiscard]] auto filter(F pred, const stage_options& options = {}) {
  return filter_stage<F>{std::move(pred), options};
}

template <class F>
struct for_each_stage {
  F f;
  stage_options options;
  context ctx;

  template <class T>
  friend void operator|(flow<T> before, for_each_stage self) {
    const std::unique_ptr<detail::stage<T>> stages = std::move(before).take();
    detail::run r(self.ctx);  // ends before the stages do
    const receiver<T> in = stages->start(r);
    auto work = [&r, in, &f = self.f] {  // its own `in`: when f throws here, the others go on for a while, and r waits for them
      while (std::optional<T> v = r.recv(in)) std::invoke(f, *std::move(v));
    };
    for (int i = detail::checked(self.options.workers); i > 1; i--) r.go(work);
    work();
    r.wait();
    if (const std::error_code e = self.ctx.err()) weft::detail::throw_system_error(e);
  }
};

/// The end: runs the pipeline and calls f(value) for each, the first worker here. Returns when all has ended; rethrows what a stage threw.
/// Parks: yes.    Threads: any.    Allocates: channels and boxes.
template <class F>
[[nodiscard]] auto for_each(F f, const stage_options& options = {}) {
  return for_each_stage<F>{std::move(f), options, background()};
}
/// The same; when ctx is done before the end, all end, and std::system_error is thrown with its error.
template <class F>
[[nodiscard]] auto for_each(const context& ctx, F f, const stage_options& options = {}) {
  return for_each_stage<F>{std::move(f), options, ctx};
}

struct collect_stage {
  template <class T>
  friend std::vector<T> operator|(flow<T> before, collect_stage) {
    std::vector<T> all;
    std::move(before) | for_each([&all](T&& v) { all.push_back(std::move(v)); });
    return all;
  }
};
/// The end: runs the pipeline and gives all values.
[[nodiscard]] inline collect_stage collect() { return {}; }

}  // namespace weft::pipeline
