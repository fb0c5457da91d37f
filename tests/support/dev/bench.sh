# Sourced by ./dev.

# On a build without debugging aids, a real Kafka and a real Redis of its own.
dev_bench() { # [OPTIONS of tests/bench/bench.py]
	phase "setting up"
	setup test
	phase "building release"
	build_preset release
	"$build/venv/bin/python" tests/bench/bench.py "$@"
}
