#!/usr/bin/env bash
# Builds the asan preset (quick when it is built) and runs its unit tests, simulator and foreign codec test.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=1:detect_leaks=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
[ -f build/asan/build.ninja ] || cmake --preset asan
cmake --build build/asan -- --quiet
ctest --preset asan -L 'unit|sim|codec' --no-tests=error --output-on-failure
