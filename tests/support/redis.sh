#!/usr/bin/env bash
# A private redis-server on a free TCP port and a unix socket, its data in a directory.
#
#   redis.sh start DIR [--appendonly]    starts it (or finds it running), waits until it answers; prints its URL
#   redis.sh stop DIR                    stops the one of this directory, and no other
#
# DIR/redis.pid, redis.log, redis.url (redis://HOST:PORT), redis.socket (the path of the unix socket) and
# redis/ (data). A second start in the same DIR goes on with the data and, if it is still free, with the same
# port. Can be sourced.
set -euo pipefail
redis_home=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
. "$redis_home/process.sh"

redis_answers() { # PID PORT
	process_listens "$1" "$2" && [ "$(redis-cli -h 127.0.0.1 -p "$2" ping)" = PONG ]
}

redis_start() { # DIR [--appendonly]
	local dir port socket appendonly=no attempt
	mkdir -p "$1/redis"
	dir=$(realpath "$1")
	[ "${2:-}" != --appendonly ] || appendonly=yes
	if process_running "$dir" redis && [ -s "$dir/redis.url" ]; then
		return 0
	fi
	# A unix socket's path is limited to 107 bytes.
	socket=$dir/redis/redis.sock
	[ ${#socket} -lt 100 ] || socket=$(mktemp -d "${TMPDIR:-/tmp}/gpubus-redis.XXXXXX")/redis.sock
	port=$(sed -n 's/.*://p' "$dir/redis.url" 2>/dev/null || true)
	rm -f "$dir/redis.url"
	for attempt in 1 2 3 4 5; do
		if [ -z "$port" ] || port_is_taken "$port"; then port=$(free_port); fi
		process_start "$dir" redis redis-server --port "$port" --bind 127.0.0.1 --unixsocket "$socket" \
			--dir "$dir/redis" --appendonly "$appendonly" --save '' --daemonize no
		if process_wait_until 60 "$dir" redis redis_answers "$(<"$dir/redis.pid")" "$port"; then
			echo "$socket" >"$dir/redis.socket"
			echo "redis://127.0.0.1:$port" >"$dir/redis.url"
			return 0
		fi
		process_stop "$dir" redis 5
		grep -qi 'address already in use' "$dir/redis.log" || break
		port=
	done
	echo "Redis did not start; the end of $dir/redis.log:" >&2
	tail -n 20 "$dir/redis.log" >&2
	return 1
}

redis_stop() { # DIR
	local dir socket
	dir=$(realpath "$1")
	process_stop "$dir" redis 20
	socket=$(cat "$dir/redis.socket" 2>/dev/null || true)
	case $socket in
	*/gpubus-redis.*/redis.sock) rm -rf "$(dirname "$socket")" ;;
	esac
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	case "${1:-} $#" in
	"start 2" | "start 3") redis_start "${@:2}" && cat "$2/redis.url" ;;
	"stop 2") redis_stop "$2" ;;
	*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
fi
