// task/rate_limiter.cpp: see <weft/rate_limiter.hpp>.
#include <weft/rate_limiter.hpp>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>

#include "goroutine/sudog.hpp"
#include "sched/bubble.hpp"
#include "sched/park_until.hpp"

namespace weft {

namespace {

constexpr std::int64_t never = detail::wait_limit::never;

double checked(double rate) {
  if (!(rate >= 0)) throw std::invalid_argument("weft: rate_limiter: the rate is negative, or no number");
  return rate;
}
int checked(int burst) {
  if (burst < 0) throw std::invalid_argument("weft: rate_limiter: the burst is negative");
  return burst;
}

std::int64_t time_for(double tokens, double rate) noexcept {
  const double ns = std::ceil(tokens / rate * 1e9);
  return ns < 9e18 ? static_cast<std::int64_t>(ns) : never;  // also for the infinity of rate 0
}

bool commit_nothing(g*) noexcept { return true; }

}  // namespace

rate_limiter::rate_limiter(double tokens_per_second, int burst) : rate_(checked(tokens_per_second)), burst_(checked(burst)), tokens_(burst), counted_at_(time_here()) {}

void rate_limiter::advance(std::int64_t now) const {
  if (now <= counted_at_) return;
  const double more = rate_ == 0 ? 0 : static_cast<double>(now - counted_at_) * 1e-9 * rate_;
  tokens_ = std::min<double>(burst_, tokens_ + more);
  counted_at_ = now;
}

// When n events may happen, if not later than `latest`: then their tokens are taken.
std::optional<rate_limiter::taken> rate_limiter::take(std::int64_t now, int n, std::int64_t latest) {
  if (n < 0) throw std::invalid_argument("weft: rate_limiter: fewer than 0 events");
  const std::lock_guard hold(mutex_);
  if (rate_ == unlimited) return taken{now, rate_};
  if (n > burst_) return std::nullopt;
  advance(now);
  const double left = tokens_ - n;
  std::int64_t at = now;
  if (left < 0) {
    const std::int64_t wait = time_for(-left, rate_);
    if (wait == never || wait > never - now || now + wait > latest) return std::nullopt;
    at = now + wait;
  }
  tokens_ = left;
  if (n > 0) last_event_ = std::max(last_event_, at);
  return taken{at, rate_};
}

bool rate_limiter::allow(int n) {
  const std::int64_t now = time_here();
  return take(now, n, now).has_value();
}

std::optional<reservation> rate_limiter::reserve(int n) {
  const std::optional<taken> t = take(time_here(), n, never);
  if (!t) return std::nullopt;
  return reservation(this, t->at, t->rate, n);
}

result<void> rate_limiter::wait_until(int n, const detail::wait_limit& limit) {
  if (limit.done && limit.done->done.load(std::memory_order_acquire)) return errc::canceled;  // [mo:done]
  const std::int64_t now = time_here();
  const std::optional<taken> t = take(now, n, limit.deadline);
  if (!t) return limit.deadline != never && n <= burst() && this->limit() != 0 ? errc::timed_out : errc::would_block;
  if (t->at <= now) return {};
  g* gp = current_or_thread();
  begin_contest(gp);
  const detail::wait_end end = park_until(gp, &commit_nothing, nullptr, wait_reason::sleep, {.deadline = t->at, .done = limit.done});
  if (end != detail::wait_end::cancelled) return {};
  reservation(this, t->at, t->rate, n).cancel();
  return errc::canceled;
}

void rate_limiter::set_limit(double tokens_per_second) {
  const double rate = checked(tokens_per_second);
  const std::lock_guard hold(mutex_);
  advance(time_here());
  rate_ = rate;
}

void rate_limiter::set_burst(int burst) {
  const int n = checked(burst);
  const std::lock_guard hold(mutex_);
  advance(time_here());
  burst_ = n;
}

double rate_limiter::limit() const {
  const std::lock_guard hold(mutex_);
  return rate_;
}
int rate_limiter::burst() const {
  const std::lock_guard hold(mutex_);
  return burst_;
}
double rate_limiter::tokens() const {
  const std::lock_guard hold(mutex_);
  advance(time_here());
  return tokens_;
}

std::chrono::nanoseconds reservation::delay() const noexcept { return std::chrono::nanoseconds(std::max<std::int64_t>(0, at_ - time_here())); }

void reservation::cancel() {
  const int n = std::exchange(n_, 0);
  const std::int64_t now = time_here();
  const std::lock_guard hold(limiter_->mutex_);
  if (n == 0 || limiter_->rate_ == rate_limiter::unlimited || at_ <= now) return;
  // Who reserved after us counts on being later than we are: that time stays taken.
  const double counted_on = static_cast<double>(limiter_->last_event_ - at_) * 1e-9 * rate_;
  if (counted_on >= n) return;
  limiter_->advance(now);
  limiter_->tokens_ = std::min<double>(limiter_->burst_, limiter_->tokens_ + n - counted_on);
  if (limiter_->last_event_ == at_ && limiter_->rate_ > 0) limiter_->last_event_ = std::max<std::int64_t>(0, at_ - time_for(n, limiter_->rate_));
}

}  // namespace weft
