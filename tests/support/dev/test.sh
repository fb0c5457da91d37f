# Sourced by ./dev.

# Everything that must hold. The last lines are ctest's own summary, and its exit status is ours. The unit tests
# run twice: as they are, and (the test asan_unit) built with AddressSanitizer and UndefinedBehaviorSanitizer.
dev_test() { # [CTEST-ARGUMENTS...]
	phase "setting up"
	setup test
	phase "building dev"
	build_preset dev
	phase "building asan"
	build_preset asan
	phase "testing"
	ctest --preset dev -j "$jobs" --no-tests=error "$@"
}
