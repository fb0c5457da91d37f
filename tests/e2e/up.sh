#!/usr/bin/env bash
# `./dev up` brings everything up on a real Kafka and Redis, brings back what died, and `down` leaves nothing.
set -euo pipefail
export DEV_UP_DIR=$TEST_DIR/up
dev=$SOURCE_DIR/dev
. "$SOURCE_DIR/tests/support/process.sh"
trap '"$dev" down || true' EXIT

fail() {
	echo "$*"
	tail -n 20 "$DEV_UP_DIR"/*.log
	exit 1
}
gpus() {
	"$BUILD_DIR/bin/gpubus" get gpus -o json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))'
}
request() { # VM
	"$BUILD_DIR/bin/gpubus" request --pool 1 --vm "$1" --gpu 'GP104GL [Tesla P4]=1' --wait=60s
}

"$dev" up --hosts 2 --schedulers 2
set -a
. "$DEV_UP_DIR/env"
set +a
[ "$(gpus)" = 12 ] || fail "2 hosts must have 12 GPUs, not $(gpus)"
request vm-1 || fail "no GPU for vm-1"

# One dies: the other one serves, and up brings it back as a new process.
old=$(<"$DEV_UP_DIR/scheduler-1.pid")
kill -KILL "$old"
request vm-2 || fail "no GPU for vm-2"
"$dev" up
[ "$(<"$DEV_UP_DIR/scheduler-1.pid")" != "$old" ] || fail "scheduler-1 was not started again"
kill -0 "$(<"$DEV_UP_DIR/scheduler-1.pid")" || fail "scheduler-1 does not run"
kill -0 "$(<"$DEV_UP_DIR/scheduler-2.pid")" || fail "scheduler-2 does not run"

# A pid file whose process is not ours (the pid was given to somebody else) is not believed, nor its process killed.
stranger=$BASHPID
cp "$DEV_UP_DIR/scheduler-2.pid" "$TEST_DIR/scheduler-2.pid"
echo "$stranger" >"$DEV_UP_DIR/scheduler-2.pid"
kill -KILL "$(<"$TEST_DIR/scheduler-2.pid")"
"$dev" up
[ "$(<"$DEV_UP_DIR/scheduler-2.pid")" != "$stranger" ] || fail "a stranger was taken for scheduler-2"

# More hosts, fewer schedulers; the servers stay as they are.
kafka=$(<"$DEV_UP_DIR/kafka.pid")
"$dev" up --hosts 3 --schedulers 1
[ "$(gpus)" = 18 ] || fail "3 hosts must have 18 GPUs, not $(gpus)"
[ "$(<"$DEV_UP_DIR/kafka.pid")" = "$kafka" ] || fail "Kafka was started again"
[ ! -e "$DEV_UP_DIR/scheduler-2.pid" ] || fail "scheduler-2 was not ended"

pids=$(cat "$DEV_UP_DIR"/*.pid)
"$dev" down
for pid in $pids; do
	[ -z "$(process_start_time "$pid")" ] || fail "process $pid is left"
done
for file in "$DEV_UP_DIR"/*.pid; do
	[ ! -e "$file" ] || fail "$file is left"
done
