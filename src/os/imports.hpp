// os/imports.hpp: puts a function of ours in the place of one that the objects of this process import from each other.
#pragma once

#include <cstddef>

namespace weft::os {

struct import {
  const char* name;
  void* ours;
  void** theirs;  // where to leave the function that was meant
};

/// In every object that is loaded now, calls of these functions by name come to ours from here on: the tables that the dynamic
/// linker filled in are changed. How many places that were; 0 in a program without them, as one that is linked statically.
/// Calls inside the object that defines a function, and addresses that were taken before, stay as they are.
int replace_imports(const import* imports, std::size_t n) noexcept;

}  // namespace weft::os
