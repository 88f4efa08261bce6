// sched/settings.cpp: WEFT_PROCS and WEFT_DEBUG. A setting that is not known is reported, never ignored.
#include "sched/init.hpp"
#include "sched/lap.hpp"

#include <charconv>
#include <cstdlib>

#include "os/cpu.hpp"

namespace weft {

namespace {

bool parse(std::string_view text, std::uint64_t& out) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

void read_settings(std::string_view text, std::string_view from) noexcept {
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view setting = text.substr(0, comma);
    text = comma == text.npos ? std::string_view() : text.substr(comma + 1);
    if (setting.empty()) continue;
    const auto equals = setting.find('=');
    const std::string_view name = setting.substr(0, equals), value = equals == setting.npos ? std::string_view() : setting.substr(equals + 1);
    std::uint64_t number = 0;
    if (name == "chaos" && parse(value, number)) {
      sched.chaos = true;
      sched.seed = number;
    } else if (name == "inittrace" && parse(value, number)) {
      trace_init_tasks = number != 0;
    } else {
      error_text() << "weft: " << from << ": unknown or malformed setting \"" << setting << "\" (known: chaos=SEED, inittrace=1)\n";
    }
  }
}

int default_procs() noexcept {
  if (const char* text = std::getenv("WEFT_PROCS")) {
    std::uint64_t n = 0;
    if (parse(text, n) && n >= 1) return n < max_procs ? static_cast<int>(n) : max_procs;
    error_text() << "weft: WEFT_PROCS=\"" << text << "\" is not a number of 1 or more: ignored\n";
  }
  const int n = os::default_procs();
  return n < max_procs ? n : max_procs;
}

}  // namespace weft
