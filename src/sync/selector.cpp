// sync/selector.cpp: the list of cases of a selector: see <weft/select.hpp>.
#include <cstdlib>
#include <cstring>
#include <new>

#include <weft/error.hpp>
#include <weft/select.hpp>

namespace weft {

using detail::select_case;
using detail::select_op;

// landing_ stays uninitialised.
selector::selector() noexcept {}  // NOLINT

selector::~selector() {
  clear();
  std::free(block_);
}

int selector::add(const detail::chan_ref& channel, select_op op, void (*finish)(entry&, void*, event)) {
  if (size_ == detail::select_max) throw panic("select: too many cases (max 65536)");
  if (size_ == capacity_) grow();
  entry& e = entries_[size_];
  e.channel = channel;
  e.finish = finish;
  e.out = nullptr;
  cases_[size_] = {channel.get(), nullptr, op};
  return static_cast<int>(size_++);
}

void selector::grow() {
  const std::size_t more = std::size_t{capacity_} * 4;
  constexpr std::size_t each = sizeof(entry) + sizeof(select_case) + detail::select_scratch_per_case;
  auto* block = static_cast<char*>(std::malloc(more * each + detail::select_scratch_per_case));
  if (!block) throw std::bad_alloc();
  auto* entries = reinterpret_cast<entry*>(block);
  auto* cases = reinterpret_cast<select_case*>(entries + more);
  for (std::size_t i = 0; i < more; i++) {
    ::new (&entries[i]) entry();
    ::new (&cases[i]) select_case();
    if (i >= size_) continue;
    entry& old = entries_[i];
    entries[i].channel = std::move(old.channel);
    entries[i].finish = old.finish;
    entries[i].out = old.out;
    std::memcpy(entries[i].value, old.value, sizeof old.value);
    cases[i] = cases_[i];
    if (cases[i].element == old.value) cases[i].element = entries[i].value;
  }
  std::free(block_);
  block_ = block;
  entries_ = entries;
  cases_ = cases;
  scratch_ = cases + more;
  capacity_ = static_cast<std::uint32_t>(more);
}

int selector::run(detail::select_limit limit) {
  detail::select_result r{};
  if (size_ <= inside) {
    detail::select_scratch<inside> scratch;
    r = detail::select_cases(cases_, size_, scratch.bytes, limit);
  } else {
    r = detail::select_cases(cases_, size_, scratch_, limit);
  }
  if (r.index < 0) return -1;
  select_case& k = cases_[r.index];
  entry& e = entries_[r.index];
  const bool done = r.status == detail::chan_status::done;
  if (k.op == select_op::send) {
    if (!done) throw closed_channel();
    if (e.finish) e.finish(e, nullptr, event::done);
    k.channel = nullptr;
    e.channel = {};
    e.finish = nullptr;
  } else {
    e.finish(e, landing_, done ? event::done : event::closed);
  }
  return r.index;
}

void selector::remove(int i) noexcept {
  if (i < 0 || static_cast<std::uint32_t>(i) >= size_) return;
  entry& e = entries_[i];
  if (e.finish) e.finish(e, nullptr, event::dropped);
  e.finish = nullptr;
  e.channel = {};
  cases_[i].channel = nullptr;
}

void selector::clear() noexcept {
  for (std::uint32_t i = 0; i < size_; i++) remove(static_cast<int>(i));
  size_ = 0;
}

}  // namespace weft
