# Sourced by ./dev.

dev_build() { # [PRESET...]
	local preset
	setup demo
	[ $# -gt 0 ] || set -- dev
	for preset; do
		phase "building $preset"
		build_preset "$preset"
	done
}

# Configures when needed and builds; says little unless it fails.
build_preset() { # PRESET [TARGET...]
	local preset=$1 log
	shift
	mkdir -p "$build/$preset"
	log=$build/$preset/configure.log
	# A tree that was moved or copied has a cache that points elsewhere: that cache is of no use.
	if [ -f "$build/$preset/CMakeCache.txt" ] &&
		! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$build/$preset/CMakeCache.txt"; then
		rm -rf "${build:?}/$preset"
		mkdir -p "$build/$preset"
	fi
	if ! cmake --preset "$preset" >"$log" 2>&1; then
		cat "$log" >&2
		return 1
	fi
	log=$build/$preset/build.log
	if ! cmake --build "$build/$preset" -j "$jobs" ${1:+--target "$@"} -- --quiet >"$log" 2>&1; then
		tail -n 100 "$log" >&2
		return 1
	fi
}
