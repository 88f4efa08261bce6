// single_flight.hpp: many ask for the same thing at the same time, and the work is done once. Source of the idea: Go's
// golang.org/x/sync/singleflight.
#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <weft/context.hpp>
#include <weft/detail/config.hpp>
#include <weft/detail/exception_of.hpp>
#include <weft/detail/sequence_core.hpp>
#include <weft/error.hpp>
#include <weft/go.hpp>
#include <weft/mutex.hpp>
#include <weft/this_goroutine.hpp>

namespace weft {

/// What a single_flight gives: the value, and whether others got it as well.
template <class V>
struct flight_result {
  V value;
  bool shared;
};

/// While a call for a key is under way, others for an equal key wait for it and get a copy of its value, or its exception. Calls for
/// other keys go on at the same time. It is no cache: a call that comes after the end starts a new one.
/// An f that calls for its own key waits for itself. Hash and Equal must not throw for a key that they have known before.
template <class K, class V, class Hash = std::hash<K>, class Equal = std::equal_to<K>>
class single_flight {
  static_assert(std::is_copy_constructible_v<V>, "weft::single_flight<K, V>: each caller gets a copy of the V; use a std::shared_ptr");

 public:
  single_flight() : all_(std::make_shared<flights>()) {}
  single_flight(const single_flight&) = delete;
  single_flight& operator=(const single_flight&) = delete;

  /// What f() returns, or throws: called here, or by another caller for the same key while that call is under way. When f ends its
  /// goroutine by this_goroutine::exit(), the others get a panic.
  /// Parks: yes.    Threads: any.    Allocates: yes.
  template <class F>
  flight_result<V> call(const K& key, F&& f) {
    const auto [here, mine] = all_->join(key);
    if (mine) fly(*all_, here, key, f);
    else static_cast<void>(detail::sequence_wait(here->ended, 0, {}));
    return here->result();
  }
  /// The same, waiting at most for d: then errc::timed_out. So f, if it is called at all, is called in a goroutine of its own, and
  /// goes on for the others; it is copied or moved there.
  template <class Rep, class Period, class F>
  result<flight_result<V>> call_for(const K& key, std::chrono::duration<Rep, Period> d, F&& f) {
    return call_until(key, {.deadline = detail::deadline_after_ns(detail::to_ns(d))}, std::forward<F>(f));
  }
  /// The same, until ctx is done: then errc::canceled or errc::deadline_exceeded.
  template <class F>
  result<flight_result<V>> call(const K& key, F&& f, const context& ctx) {
    const detail::wait_limit limit = detail::limit_of(ctx);
    if (detail::is_over(limit)) return detail::err_of(ctx);
    auto r = call_until(key, limit, std::forward<F>(f));
    return r || r.error() != errc::timed_out ? r : detail::err_of(ctx);
  }
  /// The next call for the key starts anew, though one is under way. False when there is none.    Parks: no.    Threads: any.
  bool forget(const K& key) {
    const std::lock_guard hold(all_->lock);
    return all_->under_way.erase(key) != 0;
  }

 private:
  struct flight {
    detail::sequence_core ended;
    std::optional<V> value;
    std::exception_ptr error;
    bool shared = false;  // guarded by flights::lock until it has ended

    flight_result<V> result() const {
      if (error) std::rethrow_exception(error);
      return {*value, shared};
    }
  };
  using flight_ptr = std::shared_ptr<flight>;

  struct flights {
    mutex lock;
    std::unordered_map<K, flight_ptr, Hash, Equal> under_way;  // guarded by lock

    /// The flight for key, and whether it is the caller's to fly.
    std::pair<flight_ptr, bool> join(const K& key) {
      const std::lock_guard hold(lock);
      if (const auto found = under_way.find(key); found != under_way.end()) return found->second->shared = true, std::pair(found->second, false);
      return {under_way.emplace(key, std::make_shared<flight>()).first->second, true};
    }
    void land(const flight_ptr& here, const K& key) {
      {
        const std::lock_guard hold(lock);
        if (const auto found = under_way.find(key); found != under_way.end() && found->second == here) under_way.erase(found);
      }
      detail::sequence_advance(here->ended);
    }
  };

  template <class F>
  static void fly(flights& all, const flight_ptr& here, const K& key, F& f) {
    struct lander {  // also when the goroutine ends in f
      flights& all;
      const flight_ptr& here;
      const K& key;
      ~lander() {
        if (!here->value && !here->error) here->error = std::make_exception_ptr(panic("single_flight: the goroutine of the call has ended"));
        all.land(here, key);
      }
    } const at_end{all, here, key};
    here->error = weft::detail::exception_of([&] { here->value.emplace(std::invoke(f)); });
  }

  template <class F>
  result<flight_result<V>> call_until(const K& key, const detail::wait_limit& limit, F&& f) {
    const auto [here, mine] = all_->join(key);
    if (mine) {
      try {
        weft::go([](std::shared_ptr<flights>&& all, flight_ptr&& mine_now, K&& k, std::decay_t<F>&& g) { fly(*all, mine_now, k, g); }, all_, here, key,
                 std::forward<F>(f));
      } catch (...) {  // a copy threw
        here->error = std::current_exception();
        all_->land(here, key);
        throw;
      }
    }
    if (detail::sequence_wait(here->ended, 0, limit) != detail::wait_end::woken) return errc::timed_out;
    return result<flight_result<V>>(std::in_place, here->result());
  }

  std::shared_ptr<flights> all_;  // flights that nobody waits for any more need it, too
};

}  // namespace weft
