# Target check-headers: every header compiles by itself. Not part of `all`.

file(GLOB_RECURSE weft_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
  ${PROJECT_SOURCE_DIR}/include/weft/*.hpp ${PROJECT_SOURCE_DIR}/src/*.hpp)

set(weft_header_checks)
foreach(header IN LISTS weft_headers)
  if(header MATCHES "^src/arch/(amd64|arm64)/" AND NOT CMAKE_MATCH_1 STREQUAL WEFT_ARCH)
    continue()  # another CPU's
  endif()
  if(header MATCHES "^include/(.*)")
    set(spelling "<${CMAKE_MATCH_1}>")
  else()
    string(REGEX REPLACE "^src/" "" inside ${header})
    set(spelling "\"${inside}\"")
  endif()
  set(check ${CMAKE_BINARY_DIR}/check-headers/${header}.cpp)
  # Twice: a header must bear that as well.
  file(CONFIGURE OUTPUT ${check} CONTENT "#include ${spelling}\n#include ${spelling}\n")
  list(APPEND weft_header_checks ${check})
endforeach()

if(weft_header_checks)
  add_library(check-headers OBJECT EXCLUDE_FROM_ALL ${weft_header_checks})
  target_link_libraries(check-headers PRIVATE weft_internal weft_warnings weft_runtime_flags)
  set_target_properties(check-headers PROPERTIES CXX_EXTENSIONS OFF CXX_CLANG_TIDY "")
  target_compile_options(check-headers PRIVATE -Werror -O0)
endif()
