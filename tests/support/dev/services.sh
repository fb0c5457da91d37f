# What up and demo have in common: programs, processes, waiting. Sourced by ./dev.
. tests/support/process.sh
. tests/support/redis.sh

bin=$build/dev/bin
gpubus=$bin/gpubus

build_programs() { # MORE-TARGETS...
	phase "building"
	build_preset dev gpubus gpubus-inventory gpubus-scheduler gpubus-hostgen "$@"
}

# Waits until a JSON array that the CLI prints has at least so many items, and the process is still alive.
has_items() { # NUMBER GET-ARGUMENTS...
	local number=$1
	shift
	"$gpubus" get "$@" -o json | python3 -c 'import json, sys
sys.exit(len(json.load(sys.stdin)) < int(sys.argv[1]))' "$number"
}

# A service that does not get ready says why in its log.
wait_or_tell() { # SECONDS DIR NAME WHAT COMMAND...
	local dir=$2 name=$3 what=$4
	if ! process_wait_until "$1" "$dir" "$name" "${@:5}"; then
		echo "$what did not happen; the end of $dir/$name.log:" >&2
		tail -n 20 "$dir/$name.log" >&2
		return 1
	fi
}
