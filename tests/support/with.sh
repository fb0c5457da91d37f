#!/usr/bin/env bash
# Runs a command with servers of its own, on free ports, in a directory of its own, and ends them with it:
#
#   with.sh [kafka] [redis] [--dir DIR] -- COMMAND...
#
# The command finds KAFKA_BOOTSTRAP, REDIS_URL, REDIS_SOCKET and TEST_DIR in its environment. The directory is
# removed when the command succeeds; when it fails the ends of the servers' logs are shown. However this script
# ends, the servers end with it.
set -euo pipefail
. "$(dirname "$(realpath "$0")")/kafka.sh"
. "$(dirname "$(realpath "$0")")/redis.sh"

servers=() keep=
while [ $# -gt 0 ]; do
	case $1 in
	kafka | redis) servers+=("$1") && shift ;;
	--dir) keep=1 TEST_DIR=$2 && shift 2 ;;
	--) shift && break ;;
	*) echo "with.sh: what is '$1'?" >&2 && exit 2 ;;
	esac
done
TEST_DIR=${TEST_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/gpubus-test.XXXXXX")}
mkdir -p "$TEST_DIR"
export TEST_DIR
export PROCESS_DIES_WITH_PARENT=1
# A broker of a few seconds' life: the optimizing compiler would cost a third of its CPU time and come too late.
export KAFKA_JVM=${KAFKA_JVM:--Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1}
finish() {
	local status=$? server
	trap - EXIT
	for server in ${servers+"${servers[@]}"}; do
		"${server}_stop" "$TEST_DIR"
		[ $status -eq 0 ] || { echo "--- $server.log" && tail -n 15 "$TEST_DIR/$server.log"; } >&2
	done
	[ $status -ne 0 ] || [ -n "$keep" ] || rm -rf "$TEST_DIR"
	exit $status
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

for server in ${servers+"${servers[@]}"}; do
	"${server}_start" "$TEST_DIR"
	case $server in
	kafka)
		export KAFKA_BOOTSTRAP KAFKA_BOOTSTRAP_VM # the second is for passthrough/vm.sh
		KAFKA_BOOTSTRAP=$(<"$TEST_DIR/kafka.bootstrap") KAFKA_BOOTSTRAP_VM=$(<"$TEST_DIR/kafka.vm-bootstrap")
		;;
	redis)
		export REDIS_URL REDIS_SOCKET
		REDIS_URL=$(<"$TEST_DIR/redis.url") REDIS_SOCKET=$(<"$TEST_DIR/redis.socket")
		;;
	esac
done
unset PROCESS_DIES_WITH_PARENT
status=0
"$@" || status=$?
exit $status
