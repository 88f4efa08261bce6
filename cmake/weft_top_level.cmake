# Read only when weft is the project being built, not a part of somebody's: build type, ccache, sanitizers.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(WEFT_CCACHE ccache)
mark_as_advanced(WEFT_CCACHE)
if(WEFT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${WEFT_CCACHE})  # for the tests' precompiled header
endif()

if(WEFT_SANITIZE)
  if(NOT WEFT_SANITIZE MATCHES "^(address|thread|undefined)$")
    message(FATAL_ERROR "WEFT_SANITIZE=${WEFT_SANITIZE}: address, thread or undefined")
  endif()
  if(WEFT_SANITIZE STREQUAL "thread" AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # g++'s ThreadSanitizer knows 8,128 fibers at 830 KB each; clang's has room for the tests. docs/building.md
    message(FATAL_ERROR "WEFT_SANITIZE=thread needs clang: use the preset tsan, or -DCMAKE_CXX_COMPILER=clang++-N")
  endif()
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${WEFT_SANITIZE}>
                      $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
  add_link_options(-fsanitize=${WEFT_SANITIZE})
  if(WEFT_SANITIZE STREQUAL "undefined")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all>)
  endif()
endif()
