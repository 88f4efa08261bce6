// sched/settings.cpp: WEFT_DEBUG. A setting that is not known is reported, never ignored.
#include "sched/init.hpp"
#include "sched/lap.hpp"
#include "sched/lockcheck.hpp"

#include <charconv>

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
      sched.chaos = sched.long_laps = true;
      sched.seed = number;
    } else if (name == "inittrace" && parse(value, number)) {
      trace_init_tasks = number != 0;
    } else if (name == "lockcheck" && parse(value, number) && number <= 2) {
      start_lockcheck(static_cast<lockcheck>(number));
    } else if (name == "schedtrace" && parse(value, number) && number <= 3'600'000) {
      sched.trace_every_ns = static_cast<std::int64_t>(number) * 1'000'000;
    } else if (name == "scheddetail" && parse(value, number)) {
      sched.trace_detail = number != 0;
    } else if (name == "longslice" && parse(value, number) && number <= 3'600'000) {
      sched.report_slices_ns = static_cast<std::int64_t>(number) * 1'000'000;
    } else if (name == "slice" && parse(value, number) && number > 0 && number <= 3'600'000) {
      sched.slice_ns = static_cast<std::int64_t>(number) * 1'000'000;
    } else if (name == "stackguards" && parse(value, number)) {
      stacks_use_mappings(number);
    } else {
      error_text() << "weft: " << from << ": unknown or malformed setting \"" << setting
                   << "\" (known: chaos=SEED inittrace=1 lockcheck=1|2 longslice=MS scheddetail=1 schedtrace=MS slice=MS stackguards=N)\n";
    }
  }
}

}  // namespace weft
