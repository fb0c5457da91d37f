# Sourced by ./dev.
. tests/support/dev/services.sh

demo=${DEV_DEMO_DIR:-$build/demo}

# The real services on a broker in memory and a private Redis; the stories themselves are in demo_story.py and
# demo_passthrough.py.
dev_demo() { # [--stay | --passthrough]
	case "${1:-} $#" in
	" 0") demo_assignments ;;
	"--stay 1")
		demo_assignments
		demo_stay
		;;
	"--passthrough 1") demo_passthrough ;;
	*) echo "usage: ./dev demo [--stay | --passthrough]" >&2 && return 2 ;;
	esac
}

demo_assignments() {
	phase "setting up"
	setup demo
	build_programs gpubus-mock-broker
	demo_start
	demo_start_hosts 9>&-
	python3 tests/support/dev/demo_story.py "$gpubus" "$demo"
	phase "done; the result is in $demo/summary.json"
}

# A GPU reaches a VM, and comes back: on a host that is emulated whole.
demo_passthrough() {
	phase "setting up"
	setup passthrough
	build_programs gpubus-mock-broker gpubus-attach gpubus-attach-step passthrough_guest
	demo_start
	phase "the emulated host"
	python3 -B tests/support/dev/demo_passthrough.py "$gpubus" "$demo" 9>&-
	phase "done; the result is in $demo/summary.json"
}

demo_start() {
	phase "starting a broker, Redis and the services"
	mkdir -p "$demo"
	exec 9>"$demo.lock"
	if ! flock --nonblock 9; then
		echo "a demo is running in this checkout already" >&2
		return 1
	fi
	# The recorded hosts are many small files: they are unpacked once.
	mkdir -p "$demo/hosts"
	find "$demo" -mindepth 1 -maxdepth 1 ! -name hosts -exec rm -rf {} +
	rm -rf "$demo"/hosts/h[0-9]
	export PROCESS_DIES_WITH_PARENT=1 # nothing outlives the demo, however it ends
	trap demo_stop EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	demo_start_services 9>&-
	unset PROCESS_DIES_WITH_PARENT
}

demo_start_services() {
	process_start "$demo" broker "$bin/gpubus-mock-broker" --address-file "$demo/broker.address"
	redis_start "$demo"
	wait_or_tell 20 "$demo" broker "the broker's start" test -s "$demo/broker.address"
	export GPUBUS_KAFKA_BOOTSTRAP_SERVERS GPUBUS_REDIS_URL
	GPUBUS_KAFKA_BOOTSTRAP_SERVERS=$(<"$demo/broker.address") GPUBUS_REDIS_URL=$(<"$demo/redis.url")
	cat >"$demo/env" <<-END
		KAFKA_BOOTSTRAP=$GPUBUS_KAFKA_BOOTSTRAP_SERVERS
		REDIS_URL=$GPUBUS_REDIS_URL
		GPUBUS_KAFKA_BOOTSTRAP_SERVERS=$GPUBUS_KAFKA_BOOTSTRAP_SERVERS
		GPUBUS_REDIS_URL=$GPUBUS_REDIS_URL
	END
	process_start "$demo" scheduler "$bin/gpubus-scheduler" --name demo --broker-is-mock
}

demo_start_hosts() {
	local -x PROCESS_DIES_WITH_PARENT=1
	"$bin/gpubus-hostgen" --output "$demo/hosts" tests/support/dev/demo.hosts
	tests/data/hosts/unpack.sh "$demo/hosts"
	process_start "$demo" inventory "$bin/gpubus-inventory" --pool 1 --hosts-dir "$demo/hosts" \
		--state-dir "$demo/state"
}

demo_stop() {
	local status=$? name
	trap - EXIT
	for name in inventory scheduler broker; do
		[ $status -eq 0 ] || ! [ -s "$demo/$name.log" ] || {
			echo "--- $demo/$name.log" && tail -n 10 "$demo/$name.log"
		} >&2
		process_stop "$demo" $name 10
	done
	redis_stop "$demo"
	exit $status
}

demo_stay() {
	cat <<-END

		It keeps running until Ctrl-C. In another terminal:
		  set -a; . $demo/env; set +a; PATH=$bin:\$PATH
		  gpubus get gpus
		  gpubus request --pool 1 --vm vm-9 --gpu 'GA102GL [A10]=2' --wait
		  gpubus tail answers
	END
	# A child in the foreground would get the signal in our place; wait is interrupted by it.
	tail -f /dev/null &
	trap 'kill $! 2>/dev/null; exit 0' INT TERM
	wait $!
}
