#!/usr/bin/env bash
# valgrind_test.sh: Valgrind knows goroutines' stacks: no false errors, no "client switching stacks?".
# Valgrind takes 2 to 3 s only to start one of the eleven, and runs one thread at a time: 50 to 60 s for all on an idle machine, more
# than twice that where another test has the other core. So at one number of procs only, at which goroutines change threads.
# weft-test: procs=4 timeout=400
set -u
command -v valgrind >/dev/null || exit 77
grep -q '^WEFT_SANITIZE:[A-Z]*=..*' "$WEFT_BUILD_DIR/CMakeCache.txt" && exit 77  # it has its own memory
[[ -x $WEFT_BUILD_DIR/examples/hello ]] || exit 77
report=$(mktemp)
trap 'rm -f "$report"' EXIT
for program in hello pingpong pipeline select structured sync cancellation timers coroutines "sieve 50" "skynet 1000"; do
  printf '%s\n' "$program"  # the last one where the time runs out
  # shellcheck disable=SC2086  # its arguments are words
  valgrind --error-exitcode=9 --log-file="$report" "$WEFT_BUILD_DIR"/examples/$program >/dev/null
  status=$?
  grep -q "Possibly corrupted debuginfo file" "$report" && exit 77  # an older Valgrind than the compiler's DWARF
  if ((status != 0)) || grep -q 'switching stacks' "$report"; then
    printf '%s: status %d\n' "$program" "$status"
    cat "$report"
    exit 1
  fi
done
