// model/atomic.hpp: the atomic that the explorer drives, and what else of the machine it plays. Put before each file of weft's that
// a model is made of (-include, with WEFT_MODEL=1), so this includes nothing of weft's.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

namespace weft::model {

using order = std::memory_order;
using place = std::source_location;

// The explorer's side: each is one step of the calling thread of the model, or, outside of a model, just the access.
std::uint64_t load(const void* at, unsigned size, order o, place p) noexcept;
void store(void* at, unsigned size, std::uint64_t value, order o, place p) noexcept;
/// A read-modify-write: nobody else runs between the two. Gives the value that it finds.
std::uint64_t begin_update(const void* at, unsigned size, place p) noexcept;
void end_update(void* at, unsigned size, std::uint64_t value, order o, place p) noexcept;
/// Whether it found `expected`; if not, `expected` is what it read instead.
bool try_update(void* at, unsigned size, std::uint64_t& expected, std::uint64_t wanted, order success, order failure, place p) noexcept;
void begins(const void* at) noexcept;  // an atomic is constructed here,
void ends(const void* at) noexcept;    // or destroyed

void full_fence(place p = place::current()) noexcept;
/// What membarrier does: a full fence on every thread.
void fence_on_all_threads() noexcept;
/// In a loop that waits: the thread goes on when something that it has looked at since its last relax() changes.
void relax() noexcept;

/// As std::atomic, of anything up to 8 bytes.
template <class T>
class atomic {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);

 public:
  constexpr atomic() noexcept : value_{} { born(); }
  constexpr atomic(T v) noexcept : value_(v) { born(); }
  constexpr ~atomic() {
    if (!std::is_constant_evaluated()) ends(this);
  }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(order o = order::seq_cst, place p = place::current()) const noexcept { return out(model::load(this, sizeof(T), o, p)); }
  void store(T v, order o = order::seq_cst, place p = place::current()) noexcept { model::store(this, sizeof(T), in(v), o, p); }
  T exchange(T v, order o = order::seq_cst, place p = place::current()) noexcept {
    return update([v](T) { return v; }, o, p);
  }
  bool compare_exchange_strong(T& expected, T wanted, order success, order failure, place p = place::current()) noexcept {
    std::uint64_t e = in(expected);
    const bool done = try_update(this, sizeof(T), e, in(wanted), success, failure, p);
    expected = out(e);
    return done;
  }
  bool compare_exchange_strong(T& expected, T wanted, order o = order::seq_cst, place p = place::current()) noexcept {
    return compare_exchange_strong(expected, wanted, o, o == order::acq_rel ? order::acquire : o == order::release ? order::relaxed : o, p);
  }
  // Fails only as the strong one does: a spurious failure sends the loops of weft round once more, and shows nothing new.
  bool compare_exchange_weak(T& expected, T wanted, order success, order failure, place p = place::current()) noexcept {
    return compare_exchange_strong(expected, wanted, success, failure, p);
  }
  bool compare_exchange_weak(T& expected, T wanted, order o = order::seq_cst, place p = place::current()) noexcept {
    return compare_exchange_strong(expected, wanted, o, p);
  }
  T fetch_add(T v, order o = order::seq_cst, place p = place::current()) noexcept {
    return update([v](T old) { return static_cast<T>(old + v); }, o, p);
  }
  T fetch_sub(T v, order o = order::seq_cst, place p = place::current()) noexcept {
    return update([v](T old) { return static_cast<T>(old - v); }, o, p);
  }
  T fetch_or(T v, order o = order::seq_cst, place p = place::current()) noexcept {
    return update([v](T old) { return static_cast<T>(old | v); }, o, p);
  }
  T fetch_and(T v, order o = order::seq_cst, place p = place::current()) noexcept {
    return update([v](T old) { return static_cast<T>(old & v); }, o, p);
  }
  operator T() const noexcept { return load(); }
  T operator=(T v) noexcept { return store(v), v; }

 private:
  static std::uint64_t in(T v) noexcept {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &v, sizeof v);
    return bits;
  }
  static T out(std::uint64_t bits) noexcept {
    T v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
  }
  constexpr void born() noexcept {
    if (!std::is_constant_evaluated()) begins(this);
  }
  template <class F>
  T update(F f, order o, place p) noexcept {
    const T old = out(begin_update(this, sizeof(T), p));
    end_update(this, sizeof(T), in(f(old)), o, p);
    return old;
  }

  T value_;  // alone, so that its layout is that of std::atomic and a futex finds its word
};

}  // namespace weft::model
