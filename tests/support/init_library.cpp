// support/init_library.cpp: an init task in a static library, of which a program gets only what it names.
#include "support/init_library.hpp"

namespace weft::test {
std::string* init_order = nullptr;
void note_init(std::string_view name) {
  if (!init_order) init_order = new std::string();
  *init_order += name;
  *init_order += ' ';
}
}  // namespace weft::test

WEFT_INIT(in_a_library) { weft::test::note_init("in_a_library"); }
