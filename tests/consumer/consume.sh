#!/usr/bin/env bash
# One consumer: consume.sh install|find_package|pkgconfig|subdirectory|must_not_compile|must_not_link static|shared SCRATCH
# `install` builds weft as a distribution would and installs it into SCRATCH/prefix, where the others find it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(cd "$here/../.." && pwd)
kind=$1 linkage=$2 scratch=$3
prefix=$scratch/prefix
shared=OFF
[[ $linkage == shared ]] && shared=ON
# The same sources are compiled for each of these, with the same flags; where they are built does not matter.
# -O1: this is about what is built and installed, not about how fast it runs.
flags=(-DCMAKE_CXX_FLAGS=-O1 -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=)
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_NOHASHDIR=1
fi

fail() {
  echo "consumer $kind $linkage: $*"
  exit 1
}

# None of weft's own flags may reach the user's compile line.
no_flags_of_ours() {
  local line
  line=$(grep -o '"command": .*main\.cpp' "$1/compile_commands.json") || fail "no compile line of main.cpp"
  for flag in -Wall -Wextra -Werror -Wthread-safety -mno-red-zone -fno-plt -fsanitize -DWEFT_ -fvisibility; do
    [[ $line != *"$flag"* ]] || fail "users are given $flag: $line"
  done
  [[ $line == *-fstack-clash-protection* ]] || fail "users are not given -fstack-clash-protection: $line"
}

expect_42() {
  local output
  output=$("$@") || fail "$* ended with $?"
  [[ $output == 42 ]] || fail "$* printed: $output"
}

# ... unless he asks for it: weft_safepoints() has the compiler call weft.
has_safe_points() {
  nm -C "$1" | grep -Eq ' U (weft_safe_point_displaces|__sanitizer_cov_trace_pc|__cyg_profile_func_enter)$' || fail "$1 has no safe points"
}

is_linked_as_wanted() {
  if readelf -d "$1" | grep -q 'NEEDED.*libweft'; then
    [[ $linkage == shared ]] || fail "is linked to libweft.so"
  else
    [[ $linkage == static ]] || fail "is not linked to libweft.so"
  fi
}

consume_install() {
  rm -rf "$prefix"
  cmake -S "$source" -B "$scratch/weft" -DCMAKE_BUILD_TYPE=RelWithDebInfo "${flags[@]}" -DBUILD_SHARED_LIBS=$shared \
    -DWEFT_TESTS=OFF -DWEFT_BENCH=OFF -DWEFT_EXAMPLES=OFF -DCMAKE_INSTALL_LIBDIR=lib
  cmake --build "$scratch/weft" --parallel 2
  cmake --install "$scratch/weft" --prefix "$prefix"
  # Moved, to see that nothing of it knows where it was. (pkg-config is told the new place.)
  rm -rf "$prefix.moved" && mv "$prefix" "$prefix.moved" && mv "$prefix.moved" "$prefix"
  if find "$prefix" -type f | grep -Ev '/include/weft/.*\.hpp$|/lib/libweft\.(a|so[.0-9]*)$|/lib/cmake/weft/weft-[a-z-]*\.cmake$|/lib/pkgconfig/weft\.pc$'; then
    fail "installs files that are none of a user's"
  fi
  if grep -rl -e "$source" -e "$scratch" "$prefix/lib/cmake"; then
    fail "the installed package knows the folder it was built in"
  fi
}

consume_find_package() {
  local build=$scratch/find_package
  rm -rf "$build"
  cmake -S "$here/find_package" -B "$build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
  cmake --build "$build"
  no_flags_of_ours "$build"
  is_linked_as_wanted "$build/consumer"
  has_safe_points "$build/libpoints.a"
  expect_42 "$build/consumer"
  consume_safe_points
}

# weft_safepoints() with either compiler, whichever weft was built with; and what it refuses.
consume_safe_points() {
  local build=$scratch/safe_points compiler output
  for compiler in g++ clang++-{30..16} clang++; do
    command -v "$compiler" >/dev/null || continue
    [[ $compiler == clang++ && $("$compiler" -dumpversion) < 16 ]] && continue
    rm -rf "$build"
    CXX=$compiler cmake -S "$here/safe_points" -B "$build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release
    cmake --build "$build"
    expect_42 "$build/displaces"
    expect_42 "$build/yields"
    echo "safe points of $compiler: fine"
  done
  for wrong in "consumer SOMETIMES" "nobody" "headers"; do
    output=$(cmake -S "$here/safe_points" -B "$build" -DCMAKE_PREFIX_PATH="$prefix" -DWRONG="$wrong" 2>&1) && fail "weft_safepoints($wrong) passes"
    [[ $output == *"weft_safepoints(${wrong%% *}): "* ]] || fail "weft_safepoints($wrong): $output"
  done
}

consume_subdirectory() {
  local build=$scratch/subdirectory
  rm -rf "$build"
  cmake -S "$here/subdirectory" -B "$build" -DWEFT_SOURCE="$source" "${flags[@]}" -DBUILD_SHARED_LIBS=$shared
  cmake --build "$build" --parallel 2
  no_flags_of_ours "$build"
  is_linked_as_wanted "$build/consumer"
  has_safe_points "$build/libpoints.a"
  expect_42 "$build/consumer"
}

consume_pkgconfig() {
  command -v pkg-config >/dev/null || { echo "no pkg-config here"; exit 77; }
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
  local flags libs
  flags=$(pkg-config --cflags weft)
  libs=$(pkg-config --libs weft)
  mkdir -p "$scratch/pkgconfig"
  # shellcheck disable=SC2086  # flags are words
  "${CXX:-c++}" -std=c++20 -O1 $flags "$here/main.cpp" "$here/points.cpp" -o "$scratch/pkgconfig/consumer" $libs
  is_linked_as_wanted "$scratch/pkgconfig/consumer"
  LD_LIBRARY_PATH=$prefix/lib expect_42 "$scratch/pkgconfig/consumer"
}

# Every must_not_compile/*.cpp is refused, for the reason its first line gives: // refused: REGEX. With -DFINE it compiles,
# or the refusal could be a slip of the pen.
consume_must_not_compile() {
  local file reason output
  for file in "$here"/must_not_compile/*.cpp; do
    [[ -e $file ]] || exit 77
    reason=$(sed -n '1s,^// refused: ,,p' "$file")
    [[ -n $reason ]] || fail "$file: its first line should be // refused: REGEX"
    output=$("${CXX:-c++}" -std=c++20 -fsyntax-only -I"$prefix/include" -DFINE "$file" 2>&1) || fail "$file with -DFINE: $output"
    if output=$("${CXX:-c++}" -std=c++20 -fsyntax-only -I"$prefix/include" "$file" 2>&1); then
      fail "$file compiles"
    fi
    grep -Eq "$reason" <<<"$output" || fail "$file is refused for another reason: $output"
    echo "refused as it should be: ${file##*/}"
  done
}

# The same for the linker: must_not_link.cpp.
consume_must_not_link() {
  command -v pkg-config >/dev/null || { echo "no pkg-config here"; exit 77; }
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
  local file=$here/must_not_link.cpp reason output flags
  reason=$(sed -n '1s,^// refused: ,,p' "$file")
  read -ra flags <<<"$(pkg-config --cflags --libs weft)"
  local compile=("${CXX:-c++}" -std=c++20 "$file" -o "$scratch/must_not_link" "${flags[@]}")
  output=$("${compile[@]}" -DFINE 2>&1) || fail "$file with -DFINE: $output"
  if output=$("${compile[@]}" 2>&1); then
    fail "$file is linked"
  fi
  grep -Eq "$reason" <<<"$output" || fail "$file is refused for another reason: $output"
}

"consume_$kind"
echo "consumer $kind $linkage: fine"
