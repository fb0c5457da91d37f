# Sourced by ./dev.

dev_fmt() {
	setup test
	find shared services tests -name '*.[ch]' -print0 | xargs -0 clang-format -i
}
