# weft_safepoints(TARGET [YIELDS]): has the compiler put safe points into TARGET's own C++ and C sources. docs/guide/goroutines_and_threads.md
#
# At a point a goroutine that has computed for its time slice while others wait gives its processor up and runs on beside them;
# with YIELDS it yields instead. Only for code that has no lock of the C library's (a std::mutex), no errno and no thread_local
# in use over a loop or a call: weft cannot see that.
#
#   clang          on every way through a function and round a loop, after vectorising
#   g++, x86-64    at the entry of every function that is not inlined: g++ would put points into loops before it vectorises, and then not
#   g++, AArch64   the same, inlined functions too; no YIELDS
#
# TARGET, or what links it, must link weft::weft. Installed with the package, so it stands on its own.

function(weft_safepoints target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "YIELDS" "" "")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "weft_safepoints(${target}): what is ${arg_UNPARSED_ARGUMENTS}? It knows YIELDS")
  endif()
  if(NOT TARGET ${target})
    message(FATAL_ERROR "weft_safepoints(${target}): there is no such target")
  endif()
  get_target_property(type ${target} TYPE)
  get_target_property(imported ${target} IMPORTED)
  if(imported OR NOT type MATCHES "^(EXECUTABLE|(STATIC|SHARED|MODULE|OBJECT)_LIBRARY)$")
    message(FATAL_ERROR "weft_safepoints(${target}): the target compiles nothing")
  endif()

  set(on_amd64 OFF)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
    set(on_amd64 ON)
  endif()
  set(clang_options -fsanitize-coverage=edge,trace-pc)
  set(gnu_options -pg -mfentry -mfentry-name=weft_safe_point_displaces)
  if(arg_YIELDS)
    set(clang_options -fsanitize-coverage=edge,trace-pc-guard)
    set(gnu_options -pg -mfentry -mfentry-name=weft_safe_point_yields)
  endif()
  if(NOT on_amd64)
    set(gnu_options -finstrument-functions -finstrument-functions-exclude-file-list=include/c++,include/weft)
  endif()

  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  foreach(language IN ITEMS CXX C)
    if(NOT language IN_LIST languages OR NOT CMAKE_${language}_COMPILER_LOADED)  # a subproject may have enabled it for itself
      continue()
    endif()
    if(CMAKE_${language}_COMPILER_ID STREQUAL "Clang")
      set(options ${clang_options})
    elseif(CMAKE_${language}_COMPILER_ID STREQUAL "GNU")
      if(arg_YIELDS AND NOT on_amd64)
        message(FATAL_ERROR "weft_safepoints(${target} YIELDS): on ${CMAKE_SYSTEM_PROCESSOR} this needs clang; "
                            "${CMAKE_${language}_COMPILER} is ${CMAKE_${language}_COMPILER_ID}")
      endif()
      set(options ${gnu_options})
    else()
      message(FATAL_ERROR "weft_safepoints(${target}): ${CMAKE_${language}_COMPILER} is ${CMAKE_${language}_COMPILER_ID}; "
                          "only clang and g++ are known to put safe points into a program")
    endif()
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:${language}>:${options}>")
  endforeach()
  # weft's functions and not those that do nothing, which the sanitizers' runtime has.
  target_link_options(${target} PUBLIC LINKER:--undefined=weft_has_safe_points)
endfunction()
