# What somebody who links weft::weft gets: headers, C++20, threads, and one code generation flag. No warning, no sanitizer, no test.

function(weft_consumer_options target)
  target_compile_features(${target} INTERFACE cxx_std_20)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if(WEFT_STACK_CLASH_PROTECTION)
    # A goroutine's stack ends in a guard. A frame larger than the guard would step over it; with this flag each page of a
    # frame is touched in order, so that the guard is always hit.
    target_compile_options(${target} INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU,Clang>:-fstack-clash-protection>)
    set(WEFT_PC_CFLAGS " -fstack-clash-protection" PARENT_SCOPE)
  else()
    set(WEFT_PC_CFLAGS "" PARENT_SCOPE)
  endif()
endfunction()
