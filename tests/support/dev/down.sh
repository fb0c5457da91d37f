# Sourced by ./dev.
. tests/support/dev/up.sh

# Ends what up started, and waits until it is gone. The data stays.
dev_down() {
	[ -d "$up" ] || return 0
	exec 9>"$up/lock"
	flock 9
	up_stop_services
	kafka_stop "$up"
	redis_stop "$up"
	exec 9>&-
}
