// observe/debug.cpp: see <weft/debug.hpp>.
#include <weft/debug.hpp>

#include <ostream>
#include <string>

#include "sched/traceback.hpp"

namespace weft::debug {

void dump(std::ostream& os) {
  std::string text;  // first all of it: what the stream does may park
  {
    error_text out([](void* to, std::string_view part) { static_cast<std::string*>(to)->append(part); }, &text);
    print_all(out);
  }
  os << text;
}

}  // namespace weft::debug
