# Sourced by ./dev.

# The rules are the tests with the label lint; they look at the built archives too.
dev_lint() {
	setup test
	phase "building dev"
	build_preset dev
	ctest --preset dev -L lint
}
