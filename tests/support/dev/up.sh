# Sourced by ./dev.
. tests/support/dev/services.sh
. tests/support/kafka.sh

up=${DEV_UP_DIR:-$build/up}
up_gpus_per_host=6

dev_up() { # [--hosts N] [--schedulers N]
	local hosts schedulers
	# Without options: as it was. So a second `up` after a crash brings back what was there.
	hosts=$(cat "$up/hosts.count" 2>/dev/null || echo 2)
	schedulers=$(cat "$up/schedulers.count" 2>/dev/null || echo 1)
	while [ $# -gt 0 ]; do
		case "$1 ${2:-}" in
		--hosts\ [1-9]*) hosts=$2 ;;
		--schedulers\ [0-9]*) schedulers=$2 ;;
		*) echo "usage: ./dev up [--hosts N] [--schedulers N]" >&2 && return 2 ;;
		esac
		shift 2
	done
	setup test
	build_programs
	mkdir -p "$up"
	# Two of us at a time would start everything twice. The processes must not inherit the lock.
	exec 9>"$up/lock"
	flock 9
	up_servers 9>&-
	up_topics 9>&-
	up_inventory "$hosts" 9>&-
	up_schedulers "$schedulers" 9>&-
	phase "waiting for the GPUs"
	[ "$schedulers" = 0 ] || wait_or_tell 90 "$up" scheduler-1 "discovery of all GPUs" \
		has_items $((hosts * up_gpus_per_host)) gpus
	exec 9>&-
	phase "up: $hosts hosts, $schedulers schedulers"
	cat <<-END

		Logs and pid files are in $up. To talk to it:
		  set -a; . $up/env; set +a; PATH=$bin:\$PATH
		  gpubus get gpus
		  gpubus request --pool 1 --vm vm-1 --gpu 'GP104GL [Tesla P4]=2' --wait
	END
}

up_servers() {
	local before after
	before=$(cat "$up/env" 2>/dev/null || true)
	phase "starting Redis and Kafka"
	redis_start "$up" --appendonly
	kafka_start "$up"
	cat >"$up/env.new" <<-END
		KAFKA_BOOTSTRAP=$(<"$up/kafka.bootstrap")
		REDIS_URL=$(<"$up/redis.url")
		GPUBUS_KAFKA_BOOTSTRAP_SERVERS=$(<"$up/kafka.bootstrap")
		GPUBUS_REDIS_URL=$(<"$up/redis.url")
	END
	mv "$up/env.new" "$up/env"
	after=$(<"$up/env")
	# Servers that came back on other ports: who was given the old ones has to be told.
	if [ -n "$before" ] && [ "$before" != "$after" ]; then
		up_stop_services
	fi
	set -a
	. "$up/env"
	set +a
}

up_topics() {
	phase "topics and pool"
	{
		"$gpubus" topics apply &&
			"$gpubus" publish VmPoolDefined --json \
				'{"pool_id": "1", "name": "Pool 1", "attach": "external", "policy": "pack"}'
	} >"$up/topics.log" 2>&1 || { cat "$up/topics.log" >&2 && return 1; }
}

# One process speaks for all hosts. Another number of hosts: their trees are made anew and it starts again.
up_inventory() { # HOSTS
	if [ "$(cat "$up/hosts.count" 2>/dev/null)" != "$1" ]; then
		process_stop "$up" inventory
		rm -rf "$up/hosts"
		# The demo's hosts, without the display that no VM can have.
		sed "/boot-vga/d; s/count=2 pool/count=$1 pool/" tests/support/dev/demo.hosts |
			"$bin/gpubus-hostgen" --output "$up/hosts"
		echo "$1" >"$up/hosts.count"
	fi
	process_running "$up" inventory || process_start "$up" inventory \
		"$bin/gpubus-inventory" --pool 1 --hosts-dir "$up/hosts" --state-dir "$up/inventory.state"
}

up_schedulers() { # SCHEDULERS
	local n file name
	echo "$1" >"$up/schedulers.count"
	for file in "$up"/scheduler-*.pid; do
		name=$(basename "$file" .pid)
		[ ! -e "$file" ] || [ "${name#scheduler-}" -le "$1" ] || process_stop "$up" "$name"
	done
	for n in $(seq "$1"); do
		process_running "$up" "scheduler-$n" || process_start "$up" "scheduler-$n" \
			"$bin/gpubus-scheduler" --name "scheduler-$n"
	done
}

up_stop_services() {
	local file
	# All at once, then one after the other: a scheduler that leaves hands over to one that stays.
	for file in "$up"/scheduler-*.pid "$up"/inventory.pid; do
		[ ! -e "$file" ] || process_stop "$up" "$(basename "$file" .pid)"
	done
}
