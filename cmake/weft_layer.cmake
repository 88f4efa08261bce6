# weft_layer(): one folder of src/ becomes one object library. weft_library(): all of them become `weft`.
#
#   weft_layer(work
#     NEEDS   base os lock mem probe goroutine        # the whole truth: tools/check/layers.py reads this line
#     SOURCES global_runq.cpp netpoll.cpp netpoll_epoll.cpp timers.cpp)
#
# The flags here are for weft's own code. What a user's code gets is in weft_consumer_options.cmake.

# What every file that includes src/ must agree on: tests and weft-bench link it too.
add_library(weft_internal INTERFACE)
target_include_directories(weft_internal INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_compile_features(weft_internal INTERFACE cxx_std_20)
target_link_libraries(weft_internal INTERFACE Threads::Threads)
if(WEFT_SLOW_CHECKS)
  target_compile_definitions(weft_internal INTERFACE WEFT_SLOW_CHECKS=1)
endif()
if(WEFT_SYMBOLS)
  target_compile_definitions(weft_internal INTERFACE WEFT_SYMBOLS=1)
endif()
# Frames are probed page by page, so that none jumps the guard of a goroutine's stack.
target_compile_options(weft_internal INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fstack-clash-protection>)

add_library(weft_warnings INTERFACE)
target_compile_options(weft_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wthread-safety>)
# g++ 12 sees mistakes in std::string that are not there, and more of them under UBSan.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(weft_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
  if(WEFT_SANITIZE)
    target_compile_options(weft_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds>)
  endif()
endif()
if(WEFT_WERROR)
  target_compile_options(weft_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()

# No red zone: inline assembly pushes onto the stack of the function that it stands in.
if(WEFT_ARCH STREQUAL "amd64")
  target_compile_options(weft_internal INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-mno-red-zone>)
  target_compile_definitions(weft_internal INTERFACE WEFT_NO_RED_ZONE=1)
endif()

# Flags of the runtime's own translation units.
#   initial-exec   the current g is one %fs-relative load, in the shared library too
#   unwind tables  backtraces from signal handlers and the panic's "stack of the throw"
add_library(weft_runtime_flags INTERFACE)
target_compile_options(weft_runtime_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-plt>
  $<$<COMPILE_LANGUAGE:CXX>:-ftls-model=initial-exec>
  $<$<COMPILE_LANGUAGE:CXX>:-fasynchronous-unwind-tables>)
if(WEFT_ARCH STREQUAL "amd64")
  target_compile_options(weft_runtime_flags INTERFACE -fcf-protection)
else()
  target_compile_options(weft_runtime_flags INTERFACE -mbranch-protection=standard)
endif()

function(weft_layer name)
  cmake_parse_arguments(arg "" "" "NEEDS;SOURCES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "weft_layer(${name}): what is ${arg_UNPARSED_ARGUMENTS}?")
  endif()
  list(FIND WEFT_LAYERS ${name} here)
  if(here EQUAL -1)
    message(FATAL_ERROR "weft_layer(${name}): not in WEFT_LAYERS of the top CMakeLists.txt")
  endif()
  foreach(need IN LISTS arg_NEEDS)
    list(FIND WEFT_LAYERS ${need} there)
    if(there EQUAL -1 OR NOT there LESS here)
      message(FATAL_ERROR "weft_layer(${name}): ${need} is not a lower layer")
    endif()
  endforeach()

  if(NOT arg_SOURCES)  # headers only: nothing to compile, check-headers looks at it
    return()
  endif()
  add_library(weft_${name} OBJECT ${arg_SOURCES})
  target_link_libraries(weft_${name} PRIVATE weft_internal weft_warnings weft_runtime_flags)
  set_target_properties(weft_${name} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON)
  set_property(GLOBAL APPEND PROPERTY WEFT_OBJECT_LAYERS weft_${name})
endfunction()

# The library itself, and weft_for_tests: the same objects with nothing hidden by a linker. Unit tests include src/ and so
# cannot link the shared library, which exports WEFT_API only.
function(weft_library)
  get_property(layers GLOBAL PROPERTY WEFT_OBJECT_LAYERS)
  if(NOT layers)
    message(FATAL_ERROR "weft: no layer in src/ has sources")
  endif()
  set(objects)
  foreach(layer IN LISTS layers)
    list(APPEND objects $<TARGET_OBJECTS:${layer}>)
  endforeach()

  add_library(weft ${objects})
  add_library(weft::weft ALIAS weft)
  target_link_libraries(weft PUBLIC Threads::Threads)
  if(WEFT_SYMBOLS)
    target_link_libraries(weft PRIVATE backtrace)
  endif()
  set_target_properties(weft PROPERTIES
    LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

  if(BUILD_SHARED_LIBS)
    target_link_options(weft PRIVATE -Wl,-z,defs)
    add_library(weft_for_tests STATIC EXCLUDE_FROM_ALL ${objects})
    set_target_properties(weft_for_tests PROPERTIES LINKER_LANGUAGE CXX)
    target_link_libraries(weft_for_tests INTERFACE weft_internal)
    if(WEFT_SYMBOLS)
      target_link_libraries(weft_for_tests INTERFACE backtrace)
    endif()
  else()
    add_library(weft_for_tests INTERFACE)
    target_link_libraries(weft_for_tests INTERFACE weft weft_internal)
  endif()
endfunction()
