# Background processes with pid files: sourced, not run.
#
# A process NAME in a directory DIR has DIR/NAME.pid (its process id), DIR/NAME.start (the kernel's start
# time of that process, so that a pid that was given to somebody else is recognised) and DIR/NAME.log.
# Nothing here ever signals a process that it has not recognised in this way.

# The start time (clock ticks since boot) of a process, or nothing.
process_start_time() { # PID
	local stat
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
	stat=${stat##*) } # the command's name may hold blanks and parentheses
	set -- $stat
	[ "$1" = Z ] || echo "${20}"
}

process_running() { # DIR NAME
	local pid start
	[ -s "$1/$2.pid" ] && [ -s "$1/$2.start" ] || return 1
	pid=$(<"$1/$2.pid") start=$(<"$1/$2.start")
	[ "$(process_start_time "$pid")" = "$start" ]
}

# Starts a command in a session of its own, detached from the terminal. With PROCESS_DIES_WITH_PARENT=1 the
# kernel ends it when the calling shell (not a subshell of it) is gone, however that happens.
process_start() { # DIR NAME COMMAND...
	local dir=$1 name=$2 pid
	shift 2
	[ -z "${PROCESS_DIES_WITH_PARENT:-}" ] || set -- setpriv --pdeathsig KILL "$@"
	setsid "$@" </dev/null >>"$dir/$name.log" 2>&1 &
	pid=$!
	disown "$pid" 2>/dev/null || true
	process_start_time "$pid" >"$dir/$name.start"
	echo "$pid" >"$dir/$name.pid"
}

# TERM, and KILL when that did not help within the given time. Removes the pid file when it is gone.
process_stop() { # DIR NAME [SECONDS]
	local pid deadline=$((SECONDS + ${3:-20}))
	if process_running "$1" "$2"; then
		pid=$(<"$1/$2.pid")
		kill -TERM "$pid" 2>/dev/null || true
		kill -CONT "$pid" 2>/dev/null || true # one that was stopped must be able to go
		while process_running "$1" "$2"; do
			if [ $SECONDS -ge $deadline ]; then
				echo "$2 (pid $pid) did not end on TERM, killing it" >&2
				kill -KILL "$pid" 2>/dev/null || true
				deadline=$((SECONDS + 10))
			fi
			sleep 0.05
		done
		# It is a zombie until its parent, which may be a lazy init, has asked how it ended.
		deadline=$((SECONDS + 2))
		while [ -e "/proc/$pid" ] && [ $SECONDS -lt $deadline ]; do
			sleep 0.05
		done
	fi
	rm -f "$1/$2.pid" "$1/$2.start"
}

# Runs a command again and again until it succeeds. Fails when the time is over, or when the process it
# waits for has died.
process_wait_until() { # SECONDS DIR NAME COMMAND...
	local deadline=$((SECONDS + $1)) dir=$2 name=$3
	shift 3
	until "$@" >/dev/null 2>&1; do
		process_running "$dir" "$name" || return 1
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

# A TCP port below the ephemeral range that nobody listens on now. Somebody may take it before it is used:
# whoever binds it must be ready to try another.
free_port() {
	local port
	while :; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		port_is_taken $port || break
	done
	echo $port
}

# Only listeners count: what is left of a dead server's connections keeps nobody from listening again.
port_is_taken() { # PORT
	local hex
	hex=$(printf ':%04X ' "$1")
	grep -qsE "^ *[0-9]+: [0-9A-F]+$hex[0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6
}

# Does this very process listen on the port (and not a stranger who was faster)?
process_listens() { # PID PORT
	local hex inode
	hex=$(printf ':%04X' "$2")
	for inode in $(awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null); do
		find "/proc/$1/fd" -lname "socket:\[$inode\]" 2>/dev/null | grep -q . && return 0
	done
	return 1
}
