// support/init_library.hpp: see init_library.cpp.
#pragma once

#include <string>
#include <string_view>

#include <weft/init.hpp>

namespace weft::test {
extern std::string* init_order;  ///< names of init tasks, in the order in which they began
void note_init(std::string_view name);
}  // namespace weft::test
